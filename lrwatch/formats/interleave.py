"""Several files of one run as one stream: their records in the order of time."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrwatch.formats.base import choose
from lrwatch.model import Gap, Scalars

Order = Literal["wall", "step"]
Part = tuple[NDArray[np.float64], Scalars]
"""A block and the keys that order its records: shape (n,), ascending."""


@dataclass(slots=True)
class _Held:
    item: Scalars | Gap
    wall: NDArray[np.float64]
    step: NDArray[np.float64]
    start: int = 0  # what lies before it has been taken

    def keys(self, order: Order) -> NDArray[np.float64]:
        return self.wall if order == "wall" else self.step


class Lane:
    """What one file has given and nobody has taken yet.

    Within a file its own order stands, whatever its clock says: a record counts as no earlier than the latest
    before it, and a gap as of the time of the record before it.

    Attributes
    ----------
    has_walls
        Whether the records have wall times; None as long as there were no records.
    """

    def __init__(self) -> None:
        self.has_walls: bool | None = None
        self._held: deque[_Held] = deque()
        self._wall = np.array([-math.inf])
        self._step = np.array([-math.inf])

    def __len__(self) -> int:
        """How many records are held, a gap counting as one."""
        return sum(len(held.wall) - held.start for held in self._held)

    def put(self, item: Scalars | Gap) -> None:
        """Append what the file gives."""
        if isinstance(item, Scalars):
            wall = np.fmax.accumulate(np.concatenate([self._wall, item.walls]))[1:]
            step = np.maximum.accumulate(np.concatenate([self._step, item.steps]))[1:]
            self._wall, self._step = wall[-1:], step[-1:]
            self.has_walls = bool(self.has_walls) or bool(np.isfinite(wall[-1]))
            self._held.append(_Held(item, wall, step))
        else:
            self._held.append(_Held(item, self._wall, self._step))

    def reached(self, order: Order) -> float:
        """The time of the latest record so far, taken or not: no later record comes before it."""
        return float((self._wall if order == "wall" else self._step)[0])

    def first_gap(self, order: Order) -> float:
        """When the first gap is; infinity where there is none."""
        gap = next((held for held in self._held if isinstance(held.item, Gap)), None)
        return float(gap.keys(order)[0]) if gap else math.inf

    def take(self, order: Order, until: float) -> list[Part]:
        """Take the records not later than `until`, those before the first gap only, with their keys."""
        taken: list[Part] = []
        while self._held and isinstance(block := self._held[0].item, Scalars):
            held = self._held[0]
            keys = held.keys(order)
            end = int(np.searchsorted(keys, until, side="right"))
            if end > held.start:
                part = block if (held.start, end) == (0, len(block)) else choose(block, slice(held.start, end))
                taken.append((keys[held.start : end], part))
                held.start = end
            if end < len(block):
                break
            self._held.popleft()
        return taken

    def take_gaps(self, order: Order, until: float) -> list[Gap]:
        """Take the gaps that are next, if they are not later than `until`."""
        gaps: list[Gap] = []
        while self._held and isinstance(gap := self._held[0].item, Gap) and self._held[0].keys(order)[0] <= until:
            gaps.append(gap)
            self._held.popleft()
        return gaps


def interleave(
    lanes: Sequence[Lane], order: Order, until: float, keep: Callable[[Lane, Part], Part]
) -> Iterator[Scalars | Gap]:
    """Take from `lanes` what is not later than `until`, and give it in `order`.

    Parameters
    ----------
    keep
        Returns the part of what was taken from a lane that is to be given.
    """
    lanes = [lane for lane in lanes if len(lane)]
    while lanes:
        # Up to the first gap there are only records; it comes after those of its own time, whatever their lane.
        bound = min(until, *(lane.first_gap(order) for lane in lanes))
        parts = [keep(lane, part) for lane in lanes for part in lane.take(order, bound)]
        parts = [part for part in parts if len(part[1])]
        if parts:
            yield merge(parts)
        gaps = [gap for lane in lanes for gap in lane.take_gaps(order, bound)]
        yield from gaps
        if not gaps:
            return


def merge(parts: list[Part]) -> Scalars:
    """Join blocks into one, ordered by their keys; where these are equal, in the order of `parts`.

    Parameters
    ----------
    parts
        At least one.
    """
    if len(parts) == 1:
        return parts[0][1]
    blocks = [block for _, block in parts]
    ids: dict[str, int] = {}
    which = [np.array([ids.setdefault(name, len(ids)) for name in b.names], np.int32)[b.which] for b in blocks]
    order = np.argsort(np.concatenate([keys for keys, _ in parts]), kind="stable")
    return Scalars(
        tuple(ids),
        np.concatenate(which)[order],
        np.concatenate([block.steps for block in blocks])[order],
        np.concatenate([block.values for block in blocks])[order],
        np.concatenate([block.walls for block in blocks])[order],
    )
