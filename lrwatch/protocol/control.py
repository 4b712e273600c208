"""The control file: the desired state of one run, the only thing that a client needs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrwatch.errors import ProtocolError
from lrwatch.protocol import document
from lrwatch.protocol.document import integer_field, number_field, printable, text_field
from lrwatch.protocol.plan import MAX_STEP, Plan, hold, plan_from_json

SCHEMA = "lrwatch.control/1"
FILE_NAME = "control.json"
MODES = ("auto", "approve", "advise", "paused")
REQUESTS = ("none", "restore", "stop")


@dataclass(frozen=True, slots=True)
class Request:
    """Something only the training script can do; carried out once per id.

    Parameters
    ----------
    id
        The seq that introduced it; 0 before the first.
    kind
        ``none``, ``restore`` or ``stop``.
    before_step
        For ``restore``: go back to a checkpoint from before this step.
    skip_batches
        For ``restore``: then leave out so many batches, or the bad one comes again.
    """

    id: int = 0
    kind: str = "none"
    before_step: int | None = None
    skip_batches: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the request as the control file spells it."""
        fields: dict[str, Any] = {"id": self.id, "kind": self.kind}
        if self.before_step is not None:
            fields["before_step"] = self.before_step
        if self.skip_batches is not None:
            fields["skip_batches"] = self.skip_batches
        return fields


@dataclass(frozen=True, slots=True)
class Why:
    """The reason for the newest change, for people; a client never acts on it."""

    kind: str
    signal: str | None
    step: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Control:
    """The desired state of one run: scale(step) = base(step) x plan(step).

    Parameters
    ----------
    training_id
        The training that this state is for; None while the watcher has not heard from one.
    writer
        The watcher that wrote it.
    generation
        Rises with each take-over and only fences.
    seq
        Rises with every change except of `beat` and `issued_at`.
    beat
        Rises at every rewrite; a client that sees it stand still knows that the watcher is gone.
    mode
        ``auto`` and ``approve``: applied. ``advise`` and ``paused``: nothing new is applied.
    base
        A schedule that the watcher drives; None stands for 1.
    issued_at
        Seconds since the epoch, shown and never compared.
    """

    run: str
    writer: str
    generation: int
    seq: int
    plan: Plan
    training_id: str | None = None
    beat: int = 0
    mode: str = "auto"
    base: Plan | None = None
    request: Request = Request()
    why: Why | None = None
    issued_at: float = 0.0

    @property
    def order(self) -> tuple[int, int]:
        """What must never go back for a reader."""
        return self.generation, self.seq

    @property
    def applies(self) -> bool:
        """Whether a client follows the plan, or only reports it."""
        return self.mode in ("auto", "approve")

    def scale_at(self, step: int) -> float:
        """Return base x plan at a step; parts whose start is not resolved yet count as beginning there.

        A step before a part's start gives the scale at its start: a training that was restored to an earlier
        step goes on with what was asked of it.
        """
        scale = 1.0
        for part in (self.base, self.plan):
            if part is not None:
                scale *= part.scale_at(max(step - part.start_step, 0) if part.start_step is not None else 0)
        return scale

    def encode(self) -> bytes:
        """Return the bytes of the control file."""
        return document.encode(
            {
                "schema": SCHEMA,
                "run": self.run,
                "training_id": self.training_id,
                "writer": self.writer,
                "generation": self.generation,
                "seq": self.seq,
                "beat": self.beat,
                "mode": self.mode,
                "plan": self.plan.to_json(),
                "base": None if self.base is None else self.base.to_json(),
                "request": self.request.to_json(),
                "why": None if self.why is None else dataclasses.asdict(self.why),
                "issued_at": self.issued_at,
            }
        )


def decode_control(data: bytes) -> Control:
    """Decode a control file.

    Raises
    ------
    ProtocolError
        With a reason of `lrwatch.errors.ProtocolError`; nothing else, whatever the bytes are.
    """
    fields = document.decode(data)
    if fields.get("schema") != SCHEMA:
        raise ProtocolError("schema", f"schema must be {SCHEMA!r}, not {str(fields.get('schema'))[:80]!r}")
    training_id = fields.get("training_id")
    if training_id is not None:
        training_id = text_field(fields, "training_id", "control")
    mode = text_field(fields, "mode", "control")
    if mode not in MODES:
        raise ProtocolError("field", f"control.mode must be one of {', '.join(MODES)}, not {mode!r}")
    base = fields.get("base")
    return Control(
        run=text_field(fields, "run", "control"),
        training_id=training_id,
        writer=text_field(fields, "writer", "control"),
        generation=integer_field(fields, "generation", "control", 0, MAX_STEP),
        seq=integer_field(fields, "seq", "control", 0, MAX_STEP),
        beat=integer_field(fields, "beat", "control", 0, MAX_STEP),
        mode=mode,
        plan=plan_from_json(fields.get("plan"), "plan"),
        base=None if base is None else plan_from_json(base, "base"),
        request=_request_from_json(fields.get("request")),
        why=_why_from_json(fields.get("why")),
        issued_at=number_field(fields, "issued_at", "control", 0.0, 1e18) if "issued_at" in fields else 0.0,
    )


def initial_control(run: str, writer: str) -> Control:
    """Return the state before any decision: every client keeps the scale at which it stands."""
    return Control(run=run, writer=writer, generation=0, seq=0, plan=hold())


def _request_from_json(fields: object) -> Request:
    if fields is None:
        return Request()
    if not isinstance(fields, Mapping):
        raise ProtocolError("field", f"request must be an object, not {type(fields).__name__}")
    kind = text_field(fields, "kind", "request")
    if kind not in REQUESTS:
        raise ProtocolError("field", f"request.kind must be one of {', '.join(REQUESTS)}, not {kind!r}")
    request_id = integer_field(fields, "id", "request", 0, MAX_STEP)
    before_step, skip_batches = (
        None if fields.get(key) is None else integer_field(fields, key, "request", 0, MAX_STEP)
        for key in ("before_step", "skip_batches")
    )
    return Request(request_id, kind, before_step, skip_batches)


def _why_from_json(fields: object) -> Why | None:
    """Leave out what is not understood of a reason: it is for people, and no cause to reject the file."""
    if not isinstance(fields, Mapping):
        return None
    signal, step = fields.get("signal"), fields.get("step")
    return Why(
        kind=printable(str(fields.get("kind", ""))[:64]),
        signal=printable(signal[:256]) if isinstance(signal, str) else None,
        step=step if isinstance(step, int) and not isinstance(step, bool) else None,
        text=printable(str(fields.get("text", ""))[:2000]),
    )
