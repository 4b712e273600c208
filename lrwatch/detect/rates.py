"""The learning rate in use at each record: what the script logged, times what its client acknowledged."""

import bisect

import numpy as np
from numpy.typing import NDArray

_MOST_CHANGES = 4096


class Rates:
    """Answers which learning rate a record was trained with.

    A logged learning rate is the script's own (the hook takes the scale back before any logger looks). Without
    a learning-rate signal it counts as constant, 1.
    """

    def __init__(self) -> None:
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

    def logged_at(
        self, places: NDArray[np.intp], rate_places: NDArray[np.intp], rates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the script's learning rate as known at each place of a block.

        Parameters
        ----------
        places
            Where in the block the judged records stand, ascending.
        rate_places, rates
            Where the learning-rate records stand, ascending, and their values.
        """
        known = np.concatenate([[self._logged], rates])
        at: NDArray[np.float64] = known[np.searchsorted(rate_places, places, side="right")]
        return at

    def logged(self, rates: NDArray[np.float64]) -> None:
        """Take the learning rates of a block as the newest."""
        if len(rates):
            self._logged = float(rates[-1])
