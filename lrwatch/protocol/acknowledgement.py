"""The acknowledgement: what the training did with the control file. Untrusted input to the watcher."""

import dataclasses
import math
from dataclasses import dataclass

from lrwatch.errors import ProtocolError
from lrwatch.protocol import document
from lrwatch.protocol.document import integer_field, number_field, text_field
from lrwatch.protocol.plan import MAX_SCALE, MAX_STEP, MIN_SCALE

SCHEMA = "lrwatch.ack/1"
FILE_NAME = "ack.json"
STATUSES = ("applied", "clamped", "refused", "held")
STEP_AXES = ("global", "counted")

_MAX_GROUPS = 1024


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The state of the client of rank 0.

    Parameters
    ----------
    training_id
        Made by the client; names one training across its checkpoints and restarts.
    generation, seq, plan_id, request_id, beat
        Of the control file that the client last accepted; zeros before the first.
    status
        ``applied``; ``clamped``: its own bounds cut the plan's scale; ``refused``: the newest file was
        rejected (`refused_because` says why); ``held``: nothing new is applied (mode, or nothing yet).
    step
        The client's newest step; `step_axis` tells whether the loop gave it or the client counts its own.
    start_step, from_scale
        Where the current plan began and the scale the client stood at then (without the base schedule's
        factor); None while it has not begun.
    base_id, base_start_step, base_from_scale
        The same of the base schedule, so that a training resumed without its own state does not restart it.
    scale
        The scale in use, after the client's bounds.
    base_lr, lr
        One number per parameter group: what the script set, and what the optimizer used. Empty if unknown.
    restored_to_step
        The step the training went back to for `request_id`; None if it did not.
    finished
        True at a clean end of the training.
    at
        Seconds since the epoch by the client's clock.
    """

    training_id: str
    generation: int = 0
    seq: int = 0
    plan_id: int = 0
    request_id: int = 0
    beat: int = 0
    status: str = "held"
    refused_because: str | None = None
    step: int | None = None
    step_axis: str = "counted"
    start_step: int | None = None
    from_scale: float | None = None
    base_id: int = 0
    base_start_step: int | None = None
    base_from_scale: float | None = None
    scale: float = 1.0
    min_scale: float = MIN_SCALE
    max_scale: float = 1.0
    base_lr: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()
    optimizer: str | None = None
    total_steps: int | None = None
    restored_to_step: int | None = None
    finished: bool = False
    world_size: int = 1
    pid: int = 0
    host: str = ""
    at: float = 0.0

    def encode(self) -> bytes:
        """Return the bytes of the acknowledgement; a learning rate that is not finite is left out."""
        fields = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for key in ("base_lr", "lr"):
            fields[key] = [rate for rate in fields[key] if math.isfinite(rate)][:_MAX_GROUPS]
        return document.encode(fields)


def decode_acknowledgement(data: bytes) -> Acknowledgement:
    """Decode an acknowledgement.

    Raises
    ------
    ProtocolError
        With a reason of `lrwatch.errors.ProtocolError`; nothing else, whatever the bytes are.
    """
    fields = document.decode(data)
    if fields.get("schema") != SCHEMA:
        raise ProtocolError("schema", f"schema must be {SCHEMA!r}, not {str(fields.get('schema'))[:80]!r}")

    def integer(key: str, low: int = 0) -> int:
        return integer_field(fields, key, "ack", low, MAX_STEP)

    def maybe_integer(key: str) -> int | None:
        return None if fields.get(key) is None else integer(key)

    def maybe_text(key: str) -> str | None:
        return None if fields.get(key) is None else text_field(fields, key, "ack")[:1024]

    def one_of(key: str, allowed: tuple[str, ...]) -> str:
        value = text_field(fields, key, "ack")
        if value not in allowed:
            raise ProtocolError("field", f"ack.{key} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def scale(key: str) -> float:
        return number_field(fields, key, "ack", MIN_SCALE, MAX_SCALE)

    def maybe_scale(key: str) -> float | None:
        return None if fields.get(key) is None else scale(key)

    def rates(key: str) -> tuple[float, ...]:
        listed = fields.get(key, [])
        if not isinstance(listed, list) or len(listed) > _MAX_GROUPS:
            raise ProtocolError("field", f"ack.{key} must be a list of at most {_MAX_GROUPS} numbers")
        return tuple(number_field({key: rate}, key, "ack", -1e300, 1e300) for rate in listed)

    finished = fields.get("finished", False)
    if not isinstance(finished, bool):
        raise ProtocolError("field", f"ack.finished must be true or false, not {finished!r}")
    return Acknowledgement(
        training_id=text_field(fields, "training_id", "ack")[:128],
        generation=integer("generation"),
        seq=integer("seq"),
        plan_id=integer("plan_id"),
        request_id=integer("request_id"),
        beat=integer("beat"),
        status=one_of("status", STATUSES),
        refused_because=maybe_text("refused_because"),
        step=maybe_integer("step"),
        step_axis=one_of("step_axis", STEP_AXES),
        start_step=maybe_integer("start_step"),
        from_scale=maybe_scale("from_scale"),
        base_id=integer("base_id") if "base_id" in fields else 0,
        base_start_step=maybe_integer("base_start_step"),
        base_from_scale=maybe_scale("base_from_scale"),
        scale=scale("scale"),
        min_scale=scale("min_scale"),
        max_scale=scale("max_scale"),
        base_lr=rates("base_lr"),
        lr=rates("lr"),
        optimizer=maybe_text("optimizer"),
        total_steps=maybe_integer("total_steps"),
        restored_to_step=maybe_integer("restored_to_step"),
        finished=finished,
        world_size=integer("world_size", 1),
        pid=integer("pid"),
        host=maybe_text("host") or "",
        at=number_field(fields, "at", "ack", 0.0, 1e18),
    )
