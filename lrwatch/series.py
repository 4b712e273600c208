"""The bounded memory of one signal: fine where it is young, coarse where it is old.

A dyadic pyramid of block means. Level k holds the newest 64 means of 2^k records each, so that any recent
window, from the last 64 records to the whole training, can be looked at through 32 to 64 blocks. Ten million
records need 18 levels, 28 KiB.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 64

_STEADY = 1.05
_LARGEST = 1e150  # sums of squares of what lies beyond are no numbers any more

Columns = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A window of a signal as m means of `per` records each, oldest first.

    Parameters
    ----------
    steps, values, rates
        Shape (m,): mean training step, mean value and mean learning rate of each block.
    per
        Records in a block.
    """

    steps: Columns
    values: Columns
    rates: Columns
    per: int

    def __len__(self) -> int:
        return len(self.values)

    def last(self, count: int) -> "Blocks":
        """Return the newest `count` blocks."""
        return Blocks(self.steps[-count:], self.values[-count:], self.rates[-count:], self.per)


class Series:
    """The finite records of one signal, in the order in which the training wrote them.

    Attributes
    ----------
    count
        Finite records so far, less those that a restart took back.
    nonfinite
        NaN and infinite records so far.
    streak, streak_step
        Non-finite records in a row at the end, and the step of the first of them.
    first, last
        The first and the newest finite value; NaN before there is one.
    first_step, last_step
        Their steps.
    steady, steady_step
        Finite records since the learning rate last moved by more than 5 %, and the step of the first of them.
    rate
        The learning rate at the first of them; NaN before the first record.
    peak_rate
        The highest learning rate so far.
    """

    def __init__(self) -> None:
        self.nonfinite = 0
        self._forget()

    def _forget(self) -> None:
        self._levels: list[Columns] = []
        self._odd: list[Columns | None] = []
        self.count = 0
        self.streak = 0
        self.streak_step = 0
        self.first = self.last = math.nan
        self.first_step = self.last_step = 0
        self.steady = 0
        self.steady_step = 0
        self.rate = math.nan
        self.peak_rate = 0.0

    def append(self, steps: NDArray[np.int64], values: Columns, rates: Columns) -> None:
        """Take finite records, all arrays of one length."""
        if not len(values):
            return
        self._follow_rate(steps, rates)
        if not self.count:
            self.first, self.first_step = float(values[0]), int(steps[0])
        self.count += len(values)
        self.last, self.last_step = float(values[-1]), int(steps[-1])
        self.streak = 0
        self._push(np.stack([steps.astype(np.float64), np.clip(values, -_LARGEST, _LARGEST), rates]))

    def append_nonfinite(self, step: int) -> None:
        """Count a NaN or infinite record; it never enters a mean."""
        self.nonfinite += 1
        if not self.streak:
            self.streak_step = step
        self.streak += 1

    def rewind(self, step: int) -> None:
        """Forget what was logged at `step` and after it: the training went back and will log it again."""
        self.streak = 0
        if self.count == 0 or step > self.last_step:
            return
        for k, level in enumerate(self._levels):
            kept = int(np.searchsorted(level[0], step))
            if kept:
                count = ((self.count >> k) - level.shape[1] + kept) << k
                break
        else:
            self._forget()
            return
        self.last, self.last_step = float(level[1, kept - 1]), int(level[0, kept - 1])
        for k, level in enumerate(self._levels):
            index = (self.count >> k) - level.shape[1]
            self._levels[k] = level = level[:, : max((count >> k) - index, 0)]
            self._odd[k] = level[:, -1:].copy() if (count >> k) % 2 else None
        self.count = count
        self.steady = min(self.steady, count)
        self.steady_step = min(self.steady_step, self.last_step)

    def window(self, records: int, most: int = BLOCKS) -> Blocks:
        """Return the newest `records` records as `most` / 2 to `most` blocks, fewer if there are not so many.

        The newest records that do not fill a block at that resolution yet are left out: at most one part in
        `most` / 2 of the window.
        """
        records = min(records, self.count)
        level = max(0, math.ceil(math.log2(max(records, 1) / most)))
        level = min(level, max(len(self._levels) - 1, 0))
        if not self._levels:
            empty = np.empty(0)
            return Blocks(empty, empty, empty, 1)
        blocks = self._levels[level][:, -max(1, records >> level) :]
        return Blocks(blocks[0], blocks[1], blocks[2], 1 << level)

    def level(self, k: int) -> Blocks:
        """Return up to 64 blocks of 2^k records."""
        blocks = self._levels[k]
        return Blocks(blocks[0], blocks[1], blocks[2], 1 << k)

    @property
    def depth(self) -> int:
        """How many levels hold blocks."""
        return len(self._levels)

    def _push(self, columns: Columns) -> None:
        k = 0
        while columns.shape[1]:
            if k == len(self._levels):
                self._levels.append(np.empty((3, 0)))
                self._odd.append(None)
            self._levels[k] = np.concatenate([self._levels[k], columns], axis=1)[:, -BLOCKS:]
            odd = self._odd[k]
            if odd is not None:
                columns = np.concatenate([odd, columns], axis=1)
            pairs = columns.shape[1] // 2
            self._odd[k] = columns[:, 2 * pairs :].copy() if columns.shape[1] % 2 else None
            columns = (columns[:, 0 : 2 * pairs : 2] + columns[:, 1 : 2 * pairs : 2]) / 2
            k += 1

    def _follow_rate(self, steps: NDArray[np.int64], rates: Columns) -> None:
        """Move the anchor of the learning rate to the newest record that lies more than 5 % from it."""
        since, start = None, 0
        if self.count == 0:
            self.rate, since = float(rates[0]), 0
        while True:
            rest = rates[start:]
            moved = np.flatnonzero((rest > self.rate * _STEADY) | (rest < self.rate / _STEADY))
            if not len(moved):
                break
            since = start + int(moved[0])
            self.rate, start = float(rates[since]), since + 1
        if since is None:
            self.steady += len(rates)
        else:
            self.steady, self.steady_step = len(rates) - since, int(steps[since])
        self.peak_rate = max(self.peak_rate, float(rates.max()))
