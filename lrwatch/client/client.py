"""The training's end of the control file: poll it, follow it within the training's own bounds, acknowledge it."""

import dataclasses
import json
import math
import operator
import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from lrwatch.client.mailbox import Directory, Mailbox, locate
from lrwatch.client.steering import Steering
from lrwatch.errors import ProtocolError
from lrwatch.protocol import Acknowledgement, Request, decode_acknowledgement, document
from lrwatch.protocol.plan import MAX_SCALE, MAX_STEP, MIN_SCALE

HEARTBEAT_SECONDS = 10.0

_clients: "weakref.WeakValueDictionary[str, Client]" = weakref.WeakValueDictionary()


class Client:
    """The scale of one training's learning rate, as its control file wants it.

    Clients of one directory in one process are one object, and the narrower of their bounds hold; `close` it
    before another training begins there. In a forked child the object goes on, but only the process that made
    it acknowledges. With ``LRWATCH_DISABLE=1`` in the environment the scale is 1 and no file is touched.

    Parameters
    ----------
    directory
        The run's directory, parent of ``lrwatch/``; None: ``LRWATCH_DIR``.
    min_scale, max_scale
        Bounds in [1e-6, 1e6] that no control file gets past. The scale is a ratio to what the script sets.
    poll_seconds
        How often the control file is read; at least every 10 s whatever is given.
    total_steps
        Optimizer steps that the training is going to make, if known; only reported.
    optimizer
        The optimizer's name; only reported.
    clock
        Seconds that never go back.
    world_size, rank
        Of the job. Rank 0 alone acknowledges, and the others go by the training id that it reports. Every rank
        polls on its own, so that a change reaches the ranks some steps apart: as long as they do not share one
        reading, the replicas of a job of several ranks part under a scale that moves.

    Attributes
    ----------
    directory
        Its real path; empty if disabled.
    closed
        Whether the training has ended here.
    rejections
        Counts by reason: those of `lrwatch.errors.ProtocolError` for control files; ``io`` (control file
        unreadable), ``ack`` (acknowledgement on disk unusable), ``write`` (acknowledgement not written),
        ``state`` (saved state unusable), ``step`` (no step number), ``defect`` (a mistake of lrwatch's).
    resumed
        Set it before the first step where the loop knows that it continues a training. A loaded state, or a
        first step above 0, say so as well.
    last_scale
        What the newest step got.
    driver
        The hook that takes the steps of this client, where several share it.
    base_rates
        Gives the script's own learning rates for the acknowledgement.

    Raises
    ------
    ValueError, TypeError
        For arguments that cannot work. Nothing is raised after the construction.
    """

    def __new__(cls, directory: Directory | None = None, **_options: object) -> Self:
        """Return the client that the directory has already in this process, if there is one."""
        shared = None if _disabled() else _clients.get(locate(directory))
        return shared if isinstance(shared, cls) else super().__new__(cls)

    def __init__(
        self,
        directory: Directory | None = None,
        *,
        min_scale: float = 1e-3,
        max_scale: float = 1.0,
        poll_seconds: float = 0.5,
        total_steps: int | None = None,
        optimizer: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        world_size: int = 1,
        rank: int = 0,
    ) -> None:
        low = _number("min_scale", min_scale, MIN_SCALE, MAX_SCALE)
        high = _number("max_scale", max_scale, MIN_SCALE, MAX_SCALE)
        if low > high:
            raise ValueError(f"min_scale {low} must not be above max_scale {high}")
        interval = _number("poll_seconds", poll_seconds, 0.0, 86400.0)
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns seconds, not {clock!r}")
        if optimizer is not None and not isinstance(optimizer, str):
            raise TypeError(f"optimizer must be a name, not {optimizer!r}")
        facts = Acknowledgement(
            training_id="",
            min_scale=low,
            max_scale=high,
            optimizer=optimizer and optimizer[:256],
            total_steps=None if total_steps is None else _integer("total_steps", total_steps, 1),
            world_size=_integer("world_size", world_size, 1),
            pid=os.getpid(),
            host=os.uname().nodename[:256],
        )
        leads = _integer("rank", rank, 0) == 0
        if "_steering" in self.__dict__:
            self._share(facts)
            return
        self.rejections: Counter[str] = Counter()
        self.resumed = False
        self.driver: weakref.ref[object] | None = None
        self.base_rates: Callable[[], tuple[float, ...]] | None = None
        self._facts = facts
        self._leads = leads
        self._clock = clock
        self._poll_seconds = min(interval, HEARTBEAT_SECONDS)
        self._still = _disabled()  # disabled or closed: the scale stays and no file is touched
        self.directory = "" if self._still else locate(directory)
        self.closed = False
        self._mailbox = Mailbox(self.directory, self.rejections)
        self._steering = Steering(low, high)
        self.last_scale = 1.0 if self._still else self._steering.scale
        self._attached = self._loaded = False
        self._found: Acknowledgement | None = None  # in the directory, at the first step
        self._due = -math.inf  # when the control file is read again
        self._steady = False  # no later step brings another scale before `_due`
        self._delivered = False  # the training has read what is requested
        self._axis = "counted"
        self._next = 0  # the step of a call that names none
        self._stride = 1
        self._written: Acknowledgement | None = None
        self._written_at = -math.inf
        if not self._still:
            _clients[self.directory] = self

    def scale(self, step: int | None = None) -> float:
        """Return the scale at `step`, a ratio to the script's own learning rate.

        Parameters
        ----------
        step
            The global optimizer step, counted from 0; None: the client counts its calls, or takes what `tell`
            told. It may go back, as after a restore.

        Returns
        -------
        float
            base(step) x plan(step) within the bounds; where anything is wrong, the last scale.
        """
        if self._still:
            return self.last_scale
        try:
            now = self._clock()
            if now < self._due and self._steady:
                at = self._next if step is None else step
                steering = self._steering
                if type(at) is int and at >= steering.step and (step is None or self._axis == "global"):
                    steering.step = at
                    self._next = at + self._stride
                    return self.last_scale
            self._advance(step, now)
        except Exception:  # noqa: BLE001 - a mistake made here must not cost anybody a training
            self.rejections["defect"] += 1
        return self.last_scale

    def tell(self, step: int) -> None:
        """Name the global step that calls of `scale` without one take from now on."""
        at = self._whole(step)
        if at is not None:
            self._globally(at)
            self._next, self._stride = at, 0

    @property
    def training_id(self) -> str:
        """Names this training across its checkpoints and restarts."""
        return self._steering.training_id

    @property
    def request(self) -> Request:
        """What the training is asked to do now; kind ``none`` if nothing.

        A restore that has been read here stands until the next call of `scale`: reading it is taking it.
        """
        request = self._steering.request
        if request.kind == "restore":
            self._delivered = True
            self._due = -math.inf
        return request

    @property
    def restore_requested(self) -> bool:
        """Whether to go back to a checkpoint from before ``request.before_step``; True once per request."""
        return self.request.kind == "restore"

    @property
    def stop_requested(self) -> bool:
        """Whether to end the training."""
        return self.request.kind == "stop"

    def restored(self, step: int) -> None:
        """Report that the training went back to `step` as it was asked to.

        Going back is noticed without it where `scale` or `tell` is given the global step, and where a loaded
        state sets the client's own count back.
        """
        at = self._whole(step)
        if at is not None:
            self._steering.restored(at)
            self._due = -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint should hold so that the training is known again: plain JSON values."""
        try:
            state: dict[str, Any] = json.loads(self._acknowledgement().encode())
        except Exception:  # noqa: BLE001 - a checkpoint must be written whatever happens here
            self.rejections["defect"] += 1
            return {}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the training that `state` was saved by.

        What is known of that training beyond `state`, here or in its directory, stays: a request that has been
        carried out is not carried out again because an older checkpoint has not heard of it.
        """
        try:
            self._recall(decode_acknowledgement(document.encode(state)))
            self._loaded = self.resumed = True
            self._mailbox.forget()
            self._due = -math.inf
        except (ProtocolError, TypeError, ValueError, RecursionError):
            self.rejections["state"] += 1
        except Exception:  # noqa: BLE001 - a mapping may do anything while it is read
            self.rejections["defect"] += 1

    def close(self) -> None:
        """End the training cleanly: the acknowledgement says that it has finished."""
        self._end(finished=True)

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        return self  # a copied trainer is still the same training

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(finished=kind is None)

    def _advance(self, given: int | None, now: float) -> None:
        steering = self._steering
        at = None if given is None else self._whole(given)
        if not self._attached:
            self._attach(at)
        if at is None:
            at = self._next
        else:
            self._globally(at)
        if self._delivered:
            self._delivered = False
            steering.request = Request()
        polling = now >= self._due
        if polling:
            self._due = now + self._poll_seconds
            self._mailbox.poll(steering)
        self.last_scale = steering.advance(at)
        self._next = at + self._stride
        self._steady = steering.settled(at)
        if polling:
            self._acknowledge(now)

    def _attach(self, step: int | None) -> None:
        """Find out whether this training goes on from an earlier process."""
        self._attached = True
        resumed = self.resumed or bool(step) or self._next > 0
        if not resumed and self._leads:
            return
        self._found = memory = self._mailbox.memory()
        if memory is None or not resumed:
            return
        if not self._loaded:
            self._recall(memory)
        elif memory.training_id == self.training_id:
            self._steering.recall(memory)

    def _recall(self, memory: Acknowledgement) -> None:
        taken = self._steering.recall(memory)
        if memory.step is None:
            return
        if taken and self._stride:
            self._axis = memory.step_axis
        elif taken and memory.step_axis != self._axis:
            self._steering.shift(self._next - memory.step - 1)
        if self._stride and memory.step_axis == self._axis:
            self._next = memory.step + 1

    def _globally(self, step: int) -> None:
        """Go over to the loop's own step numbers."""
        if self._axis != "global":
            self._steering.shift(step - self._next)
            self._axis = "global"

    def _whole(self, step: object) -> int | None:
        """Return the number of a step, whatever kind of integer it is; None, and counted, if it is none."""
        try:
            at = operator.index(step)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            at = -1
        if 0 <= at <= MAX_STEP:
            return at
        self.rejections["step"] += 1
        return None

    def _acknowledge(self, now: float, *, finished: bool = False) -> None:
        """Write the acknowledgement if it is news, and hand over a request once that stands there."""
        steering = self._steering
        offer = steering.offer
        if not self._leads:
            self._follow_the_leader()
        elif os.getpid() == self._facts.pid:
            ack = self._acknowledgement(finished=finished)
            if offer is not None:
                ack = dataclasses.replace(ack, request_id=offer.id, restored_to_step=None)
            if now - self._written_at < HEARTBEAT_SECONDS and _same(ack, self._written):
                return
            if not self._mailbox.write(ack, durable=offer is not None):
                return
            self._written, self._written_at = ack, now
        steering.hand_over()

    def _follow_the_leader(self) -> None:
        """Take over the training id that rank 0 has reported since this rank's first step."""
        if self._mailbox.refused == "training":
            leader = self._mailbox.memory()
            if leader is not None and leader != self._found:
                self._steering.training_id = leader.training_id
                self._mailbox.forget()

    def _acknowledgement(self, *, finished: bool = False) -> Acknowledgement:
        steering, refused = self._steering, self._mailbox.refused
        plan, base, scale = steering.plan, steering.base, steering.scale
        followed = "clamped" if steering.clamped else "applied"
        rates = () if self.base_rates is None else self.base_rates()
        return dataclasses.replace(
            self._facts,
            training_id=steering.training_id,
            generation=steering.generation,
            seq=steering.seq,
            plan_id=plan.id,
            request_id=steering.request_id,
            beat=steering.beat,
            status="refused" if refused else followed if steering.applies else "held",
            refused_because=refused,
            step=None if steering.step < 0 else min(steering.step, MAX_STEP),
            step_axis=self._axis,
            start_step=plan.start,
            from_scale=None if plan.start is None else plan.standing,
            base_id=base.id,
            base_start_step=base.start,
            base_from_scale=None if base.start is None else base.standing,
            scale=scale,
            base_lr=rates,
            lr=tuple(rate * scale for rate in rates),
            restored_to_step=steering.restored_to_step,
            finished=finished,
            at=time.time(),
        )

    def _end(self, *, finished: bool) -> None:
        inert, self._still, self.closed = self._still, True, True
        if inert:
            return
        if _clients.get(self.directory) is self:
            del _clients[self.directory]
        try:
            if finished and self._attached:
                self._steering.offer = None  # nobody is left to carry it out
                self._acknowledge(math.inf, finished=True)
        except Exception:  # noqa: BLE001 - a training that has come to its end must not fail over this
            self.rejections["defect"] += 1

    def _share(self, facts: Acknowledgement) -> None:
        """Hold the bounds of another user of this client as well, and report what only he knows."""
        known = self._facts
        low, high = max(facts.min_scale, known.min_scale), min(facts.max_scale, known.max_scale)
        if low > high:
            raise ValueError(
                f"bounds [{facts.min_scale}, {facts.max_scale}] have nothing in common with the "
                f"[{known.min_scale}, {known.max_scale}] of the client that {self.directory} has already"
            )
        self.last_scale = self._steering.narrow(low, high)
        self._facts = dataclasses.replace(
            known,
            min_scale=low,
            max_scale=high,
            optimizer=known.optimizer or facts.optimizer,
            total_steps=known.total_steps or facts.total_steps,
        )
        self._due = -math.inf


def _same(new: Acknowledgement, old: Acknowledgement | None) -> bool:
    """Say whether `new` tells nothing but the passing of time."""
    return old is not None and old == dataclasses.replace(
        new, step=old.step, beat=old.beat, base_lr=old.base_lr, lr=old.lr, at=old.at
    )


def _disabled() -> bool:
    return os.environ.get("LRWATCH_DISABLE", "") not in ("", "0")


def _number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], not {value!r}")
    return float(value)


def _integer(name: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= MAX_STEP:
        raise ValueError(f"{name} must lie in [{low}, {MAX_STEP}], not {value!r}")
    return value
