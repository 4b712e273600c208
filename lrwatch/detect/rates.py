"""The learning rate in use at each record: what the script logged, times what its client acknowledged."""

import bisect

import numpy as np
from numpy.typing import NDArray

_MOST_CHANGES = 4096


class Rates:
    """Answers which learning rate a record was trained with.

    A logged learning rate is the script's own (the hook takes the scale back before any logger looks). Without
    a learning-rate signal it counts as constant, 1.

    Attributes
    ----------
    known
        Whether a learning rate was ever logged.
    """

    def __init__(self) -> None:
        self.known = False
        self._logged = 1.0
        self._steps: list[int] = []
        self._scales: list[float] = []

    def acknowledged(self, step: int, scale: float) -> None:
        """The client uses `scale` from `step` on; a later word about the same or a later step replaces it."""
        at = bisect.bisect_left(self._steps, step)
        del self._steps[at:], self._scales[at:]
        if (self._scales[-1] if self._scales else 1.0) != scale:
            self._steps.append(step)
            self._scales.append(scale)
        if len(self._steps) > _MOST_CHANGES:
            del self._steps[: _MOST_CHANGES // 2], self._scales[: _MOST_CHANGES // 2]

    def forget(self) -> None:
        """Another training has begun: no scale was ever acknowledged by it."""
        self._steps.clear()
        self._scales.clear()

    def scale_at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the acknowledged scale at each of `steps`, shape (n,)."""
        scales = np.asarray([1.0, *self._scales])
        found: NDArray[np.float64] = scales[np.searchsorted(self._steps, steps, side="right")]
        return found

    def in_use(
        self,
        steps: NDArray[np.int64],
        places: NDArray[np.intp],
        rate_places: NDArray[np.intp],
        rates: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the learning rate in use at each judged record of a block, as known when it was logged.

        Parameters
        ----------
        steps, places
            Steps of the judged records, and where in the block they stand, ascending.
        rate_places, rates
            Where the learning-rate records stand, ascending, and their values.
        """
        known = np.concatenate([[self._logged], rates])
        at = np.searchsorted(rate_places, places, side="right")
        return known[at] * self.scale_at(steps)

    def logged(self, rates: NDArray[np.float64]) -> None:
        """Take the learning rates of a block as the newest."""
        if len(rates):
            self.known, self._logged = True, float(rates[-1])
