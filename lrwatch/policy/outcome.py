"""Did it help? What became of the loss after an adjustment, against what it was heading for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lrwatch.detect.online import noise, trend
from lrwatch.series import Series

_WINDOW = 64
_BLOCKS = 32
_SIGMAS = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one adjustment, with the numbers behind it."""

    seq: int
    step: int
    verdict: Literal["helped", "neutral", "hurt"]
    text: str
    evidence: Mapping[str, Any]


class FollowUp:
    """Waits until an adjustment had time to show, then compares.

    The expectation is the line through the records before the adjustment, a quarter of those at that learning
    rate; the outcome is the mean of the newer half of the records since. Two standard errors of both, widened for
    correlated noise, tell helped or hurt from neutral.

    Parameters
    ----------
    series
        The deciding signal, smaller being better, as it stands when the adjustment is published.
    due_step
        The training step from which on the outcome is judged.
    """

    def __init__(self, seq: int, series: Series, due_step: int) -> None:
        self.seq = seq
        self.due_step = due_step
        self._wait = due_step - series.last_step
        self._count = series.count
        blocks = series.window(max(_WINDOW, series.steady // 4), _BLOCKS)
        self._usable = len(blocks) >= 8
        if self._usable:
            line = trend(blocks)
            self._slope = line.slope
            self._middle = float(blocks.steps.mean())
            self._level = float(blocks.values.mean())
            self._error = noise(blocks) / math.sqrt(len(blocks))
            self._slope_error = line.error

    def not_yet_applied(self, series: Series) -> None:
        """Begin to wait anew: the training has gone on without the adjustment so far."""
        self.due_step = series.last_step + self._wait
        self._count = series.count

    def outcome(self, series: Series) -> Outcome | None:
        """Return the outcome once it is due; None before, and where there was too little to compare."""
        if not self._usable or series.last_step < self.due_step or series.count <= self._count:
            return None
        since = series.count - self._count
        blocks = series.window(max(min(_WINDOW, since), since // 2), _BLOCKS)
        if len(blocks) < 8:
            return None
        after = float(blocks.values.mean())
        ahead = float(blocks.steps.mean()) - self._middle
        error = math.hypot(self._error, self._slope_error * ahead, noise(blocks) / math.sqrt(len(blocks)))
        expected = self._level + min(self._slope, 0.0) * ahead
        gain = expected - after
        verdict: Literal["helped", "neutral", "hurt"] = (
            "helped" if gain > _SIGMAS * error else "hurt" if gain < -_SIGMAS * error else "neutral"
        )
        return Outcome(
            self.seq,
            series.last_step,
            verdict,
            f"{after:.4g} where {expected:.4g} was to be expected without it (error {error:.2g})",
            {"expected": expected, "after": after, "gain": gain, "standard_error": error},
        )
