"""A plan: how the scale moves over optimizer steps, and its value at any of them."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from lrwatch.errors import ProtocolError
from lrwatch.protocol.document import integer_field, number_field

MIN_SCALE = 1e-6
MAX_SCALE = 1e6
MAX_SEGMENTS = 256
MAX_STEP = 2**53

SHAPES = ("constant", "linear", "geometric", "cosine", "inverse")


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a plan: from `start` to `end` within `steps` optimizer steps.

    Parameters
    ----------
    shape
        With u = t / steps in [0, 1) for the t-th step of the segment, the scale is

        ``constant``   start
        ``linear``     start + (end - start) u
        ``geometric``  start (end / start)^u
        ``cosine``     end + (start - end) (1 + cos(pi u)) / 2  (half a cosine, Loshchilov and Hutter 2017)
        ``inverse``    start / (1 + k u) with k = start / end - 1  (time-based decay)
    start
        The scale at u = 0 (``from`` in the file). None, allowed in the first segment of a plan with a null
        start only, means the scale at which the client stands.
    end
        The scale at u = 1 (``to`` in the file), which holds after a plan's last segment; None for
        ``constant``.
    steps
        Optimizer steps, at least 0; 0 jumps to the end.
    """

    shape: str
    start: float | None
    end: float | None
    steps: int

    def at(self, t: int, standing: float) -> float:
        """Return the scale at step `t` of the segment, `standing` replacing a null start."""
        start = standing if self.start is None else self.start
        end = start if self.end is None else self.end
        if t >= self.steps:
            return end
        u = t / self.steps
        if self.shape == "linear":
            return start + (end - start) * u
        if self.shape == "geometric":
            return start * math.exp(u * math.log(end / start))
        if self.shape == "cosine":
            return end + (start - end) * (1.0 + math.cos(math.pi * u)) / 2.0
        if self.shape == "inverse":
            return start / (1.0 + (start / end - 1.0) * u)
        return start

    def to_json(self) -> dict[str, Any]:
        """Return the segment as the control file spells it."""
        fields: dict[str, Any] = {"shape": self.shape, "from": self.start, "steps": self.steps}
        if self.end is not None:
            fields["to"] = self.end
        return fields


@dataclass(frozen=True, slots=True)
class Plan:
    """Segments one after another; the reactive part of the scale, or the base schedule.

    Parameters
    ----------
    id
        The seq of the control file that introduced the plan: a new seq with the same id restarts nothing.
    segments
        At least one, at most 256.
    start_step
        The global step at which the plan begins, the present scale being held until then; None: the first
        step at which the client sees the plan.
    repeat_from
        Index of the segment at which the plan goes on after the last one; None: the last scale holds.
    """

    id: int
    segments: tuple[Segment, ...]
    start_step: int | None = None
    repeat_from: int | None = None
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)  # of the segments, after the start

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", tuple(accumulate(segment.steps for segment in self.segments)))

    @property
    def steps(self) -> int:
        """Optimizer steps from the start to the end of the last segment (without repetition)."""
        return self._ends[-1]

    def settled(self, elapsed: int) -> bool:
        """Say whether the scale no longer changes from `elapsed` steps after the start on."""
        return self.repeat_from is None and elapsed >= self.steps

    def scale_at(self, elapsed: int, standing: float = 1.0) -> float:
        """Return the scale `elapsed` steps after the start.

        Parameters
        ----------
        elapsed
            Steps since the plan's start; a negative number gives the scale held before it, `standing`.
        standing
            The scale at which the client stood when it started the plan.

        Returns
        -------
        float
            A finite number in [1e-6, 1e6].
        """
        if elapsed < 0:
            return standing
        ends = self._ends
        total = ends[-1]
        if elapsed >= total:
            if self.repeat_from is None:
                last = self.segments[-1]
                return _within(last.at(last.steps, standing))
            first = ends[self.repeat_from - 1] if self.repeat_from else 0
            elapsed = first + (elapsed - total) % (total - first)
        index = bisect_right(ends, elapsed)
        return _within(self.segments[index].at(elapsed - (ends[index - 1] if index else 0), standing))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the control file spells it."""
        return {
            "id": self.id,
            "start_step": self.start_step,
            "segments": [segment.to_json() for segment in self.segments],
            "repeat_from": self.repeat_from,
        }


def hold(plan_id: int = 0) -> Plan:
    """Return the plan that leaves the scale where the client stands."""
    return Plan(plan_id, (Segment("constant", None, None, 0),))


def ramp(plan_id: int, to: float, steps: int, start: float | None = None) -> Plan:
    """Return the plan that goes geometrically from `start` (None: where the client stands) to `to`."""
    return Plan(plan_id, (Segment("geometric", start, to, steps),))


def plan_from_json(fields: object, where: str = "plan") -> Plan:
    """Decode a plan.

    Raises
    ------
    ProtocolError
        With reason ``field`` or ``number`` where `fields` breaks a rule of the contract.
    """
    if not isinstance(fields, Mapping):
        raise ProtocolError("field", f"{where} must be an object, not {type(fields).__name__}")
    start_step = fields.get("start_step")
    if start_step is not None:
        start_step = integer_field(fields, "start_step", where, 0, MAX_STEP)
    raw = fields.get("segments")
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_SEGMENTS:
        raise ProtocolError("field", f"{where}.segments must be a list of 1 to {MAX_SEGMENTS} segments")
    segments = tuple(
        _segment_from_json(item, f"{where}.segments[{index}]", index == 0 and start_step is None)
        for index, item in enumerate(raw)
    )
    repeat_from = fields.get("repeat_from")
    if repeat_from is not None:
        repeat_from = integer_field(fields, "repeat_from", where, 0, len(segments) - 1)
        if sum(segment.steps for segment in segments[repeat_from:]) == 0:
            raise ProtocolError("number", f"{where}.repeat_from: the repeated segments have no steps")
    plan_id = integer_field(fields, "id", where, 0, MAX_STEP)
    return Plan(plan_id, segments, start_step, repeat_from)


def _segment_from_json(fields: object, where: str, may_stand: bool) -> Segment:
    if not isinstance(fields, Mapping):
        raise ProtocolError("field", f"{where} must be an object, not {type(fields).__name__}")
    shape = fields.get("shape")
    if not isinstance(shape, str) or shape not in SHAPES:
        raise ProtocolError("field", f"{where}.shape must be one of {', '.join(SHAPES)}, not {shape!r}")
    start = fields.get("from")
    if start is not None:
        start = number_field(fields, "from", where, MIN_SCALE, MAX_SCALE)
    elif not may_stand:
        raise ProtocolError("field", f"{where}.from may be null in the first segment of a plan with a null start only")
    end = fields.get("to")
    if end is not None or shape != "constant":
        end = number_field(fields, "to", where, MIN_SCALE, MAX_SCALE)
    steps = integer_field(fields, "steps", where, 0, MAX_STEP)
    return Segment(shape, start, None if shape == "constant" else end, steps)


def _within(scale: float) -> float:
    """Keep rounding at the ends of a segment from leaving the protocol's range."""
    return MIN_SCALE if scale < MIN_SCALE else MAX_SCALE if scale > MAX_SCALE else scale
