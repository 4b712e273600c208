"""The bounded memory of one signal: fine where it is young, coarse where it is old.

A dyadic pyramid of block means. Level k holds the newest 64 means of 2^k records each, so that any recent
window, from the last 64 records to the whole training, can be looked at through 32 to 64 blocks. Ten million
records need 24 levels, 40 KiB.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCKS = 64

_STEADY = 1.05
_LARGEST = 1e150  # sums of squares of what lies beyond are no numbers any more

_STEPS, _VALUES, _RATES, _ENDS = range(4)  # rows: three means, and the step of the newest record in a block
_COLUMNS = 4

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
        return self._part(slice(-count, None))

    def without_last(self, count: int) -> "Blocks":
        """Return all but the newest `count` blocks."""
        return self._part(slice(-count))

    def _part(self, part: slice) -> "Blocks":
        return Blocks(self.steps[part], self.values[part], self.rates[part], self.per)


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
        The first and the newest finite value, kept within 1e150 of 0; NaN before there is one. After `rewind` the
        newest may be the mean of a block.
    first_step, last_step
        Their steps.
    steady, steady_step
        Finite records since the learning rate last moved by more than 5 %, and the step of the first of them.
    rate
        The learning rate at the first of them; NaN before the first record. Meaningless while `steady` is 0.
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
        columns = np.empty((_COLUMNS, len(values)))
        columns[_STEPS] = columns[_ENDS] = steps
        columns[_VALUES] = np.clip(values, -_LARGEST, _LARGEST)
        columns[_RATES] = rates
        if not self.count:
            self.first, self.first_step = float(columns[_VALUES, 0]), int(steps[0])
        self.count += len(values)
        self.last, self.last_step = float(columns[_VALUES, -1]), int(steps[-1])
        self.streak = 0
        self._push(columns)

    def append_nonfinite(self, step: int) -> None:
        """Count a NaN or infinite record; it never enters a mean."""
        self.nonfinite += 1
        if not self.streak:
            self.streak_step = step
        self.streak += 1

    def multiply_rates(self, factor: float) -> None:
        """Measure every learning rate so far in another unit: times `factor`."""
        for columns in [*self._levels, *(odd for odd in self._odd if odd is not None)]:
            columns[_RATES] *= factor
        self.rate *= factor
        self.peak_rate *= factor

    def rewind(self, step: int) -> None:
        """Forget what was logged at `step` and after it: the training went back and will log it again.

        Records beyond the newest 64 are forgotten in blocks: together with those from `step` on may go the
        ones before it that share a block with them.
        """
        self.streak = 0
        if self.count == 0 or step > self.last_step:
            return
        for k, level in enumerate(self._levels):
            kept = int(np.searchsorted(level[_ENDS], step))
            if kept:
                count = ((self.count >> k) - level.shape[1] + kept) << k
                break
        else:
            self._forget()
            return
        self.last, self.last_step = float(level[_VALUES, kept - 1]), int(level[_ENDS, kept - 1])
        for k, level in enumerate(self._levels):
            index = (self.count >> k) - level.shape[1]
            self._levels[k] = level = level[:, : max((count >> k) - index, 0)].copy()
            self._odd[k] = level[:, -1:].copy() if (count >> k) % 2 else None
        self.steady = max(self.steady - (self.count - count), 0)
        self.count = count

    def window(self, records: int, most: int = BLOCKS) -> Blocks:
        """Return the newest `records` records as `most` / 2 to `most` blocks, fewer if there are not so many.

        The newest records that do not fill a block at that resolution yet are left out: at most one part in
        `most` / 2 of the window. Soon after `rewind` there may be fewer blocks, down to none.
        """
        records = min(records, self.count)
        level = max(0, math.ceil(math.log2(max(records, 1) / most)))
        return self.level(level).last(max(1, records >> level))

    def level(self, k: int) -> Blocks:
        """Return up to 64 blocks of 2^k records, none where there are none."""
        blocks = self._levels[k] if k < len(self._levels) else np.empty((_COLUMNS, 0))
        return Blocks(blocks[_STEPS], blocks[_VALUES], blocks[_RATES], 1 << k)

    @property
    def depth(self) -> int:
        """How many levels hold blocks."""
        return len(self._levels)

    def _push(self, columns: Columns) -> None:
        k = 0
        while columns.shape[1]:
            if k == len(self._levels):
                self._levels.append(np.empty((_COLUMNS, 0)))
                self._odd.append(None)
            newest = columns[:, -BLOCKS:]
            kept = self._levels[k][:, max(self._levels[k].shape[1] + newest.shape[1] - BLOCKS, 0) :]
            self._levels[k] = np.concatenate([kept, newest], axis=1)
            odd = self._odd[k]
            if odd is not None:
                columns = np.concatenate([odd, columns], axis=1)
            pairs = columns.shape[1] // 2
            self._odd[k] = columns[:, 2 * pairs :].copy() if columns.shape[1] % 2 else None
            second = columns[:, 1 : 2 * pairs : 2]
            columns = (columns[:, 0 : 2 * pairs : 2] + second) / 2
            columns[_ENDS] = second[_ENDS]
            k += 1

    def _follow_rate(self, steps: NDArray[np.int64], rates: Columns) -> None:
        """Move the anchor of the learning rate to the newest record that lies more than 5 % from it."""
        since, start = None, 0
        if self.steady == 0:
            self.rate, since = float(rates[0]), 0
        while True:
            rest = rates[start:]
            moved = (rest > self.rate * _STEADY) | (rest < self.rate / _STEADY)
            if not moved.any():
                break
            since = start + int(moved.argmax())
            self.rate, start = float(rates[since]), since + 1
        if since is None:
            self.steady += len(rates)
        else:
            self.steady, self.steady_step = len(rates) - since, int(steps[since])
        self.peak_rate = max(self.peak_rate, float(rates.max()))
