"""Several files of one run as one stream: their records in the order of time."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrwatch.formats.base import choose
from lrwatch.model import Gap, Scalars

Order = Literal["wall", "step"]


@dataclass(frozen=True, slots=True)
class _Held:
    item: Scalars | Gap
    wall: NDArray[np.float64]
    step: NDArray[np.float64]

    def keys(self, order: Order) -> NDArray[np.float64]:
        return self.wall if order == "wall" else self.step


class Lane:
    """What one file has given and nobody has taken yet.

    Within a file its own order stands, whatever its clock says: a record counts as no earlier than the latest
    before it.

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
        return sum(1 if isinstance(held.item, Gap) else len(held.item) for held in self._held)

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

    def newest(self, order: Order) -> float:
        """Up to when everything that the file has given is held; minus infinity where nothing is held."""
        return float(self._held[-1].keys(order)[-1]) if self._held else -math.inf

    def take(self, order: Order, until: float) -> list[tuple[NDArray[np.float64], Scalars]]:
        """Take the records not later than `until`, those before the first gap only, with their keys."""
        taken: list[tuple[NDArray[np.float64], Scalars]] = []
        while self._held and isinstance(block := self._held[0].item, Scalars):
            held = self._held.popleft()
            keys = held.keys(order)
            end = int(np.searchsorted(keys, until, side="right"))
            if end == len(block):
                taken.append((keys, block))
                continue
            if end:
                taken.append((keys[:end], choose(block, slice(end))))
            self._held.appendleft(_Held(choose(block, slice(end, None)), held.wall[end:], held.step[end:]))
            break
        return taken

    def take_gaps(self, order: Order, until: float) -> list[Gap]:
        """Take the gaps that are next, if they are not later than `until`."""
        gaps: list[Gap] = []
        while self._held and isinstance(gap := self._held[0].item, Gap) and self._held[0].keys(order)[0] <= until:
            gaps.append(gap)
            self._held.popleft()
        return gaps


def merge(parts: list[tuple[NDArray[np.float64], Scalars]]) -> Scalars:
    """Join blocks into one, ordered by their keys; where these are equal, in the order of `parts`.

    Parameters
    ----------
    parts
        At least one, each with its keys: shape (n,), ascending.
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
