"""Divergence: the loss is no number any more, or has left the best level it had and stays away from it."""

import math

from lrwatch.config import DivergenceConfig
from lrwatch.detect.base import Finding, after
from lrwatch.detect.online import median, noise, robust_spread, without_line
from lrwatch.model import Kind
from lrwatch.series import Blocks, Series

_RECENT = 8
_FEWEST_BEFORE = 8
_SPAN = 1 / 32
_RECOVERING = 0.2
_COLLAPSE = 0.5
_MEDIAN_ERROR = math.sqrt(math.pi / 2 / _RECENT)  # of the median of so many blocks, in standard deviations of one


class Divergence:
    """Non-finite records in a row, a collapse, or a jump or creep to a worse level.

    Finite values: the recent level is the median of the newest 8 blocks, which together hold a 64th to a 32nd of
    the records (at least 8). Its standard error comes from the up to 56 blocks before them
    (`lrwatch.detect.online.noise`), as they were when all was well. The best level is the one that was lowest
    with two of its standard errors added, so that a lucky window of a few records does not count as an
    achievement. The run has diverged where the recent level lies above the best one by more than `sigmas`
    standard errors of both, 3 % of the level and a tenth of the progress made, at two looks in a row, and is not
    on its way back already. It is a collapse (critical) where half of the progress is lost.
    """

    kind: Kind = "divergence"

    def __init__(self, config: DivergenceConfig) -> None:
        self._config = config
        self.rewound(0)

    def rewound(self, count: int) -> None:
        """Start again where the series stands."""
        self.next_look = max(count + 1, self._config.min_records)
        self._best = math.inf
        self._best_error = 0.0
        self._best_step = 0
        self._best_rate = 0.0
        self._error = math.inf
        self._calm_step = 0
        self._above = 0
        self._current: Finding | None = None

    def look(self, series: Series) -> Finding | None:
        """Judge the series as `Detector` says; called too when non-finite records make or end a streak."""
        if series.streak >= self._config.nonfinite_records:
            return Finding(
                series.streak_step,
                "critical",
                f"is not finite: {series.streak} records in a row since step {series.streak_step}",
                {"nonfinite": series.streak, "threshold": self._config.nonfinite_records},
            )
        if series.count < self.next_look:
            return self._current
        self.next_look = after(series.count, _SPAN, max(256, series.count // 64), 4)
        k = max(int(series.count * _SPAN / _RECENT).bit_length() - 1, 0)
        blocks = series.level(k)
        recent, before = blocks.last(_RECENT), blocks.without_last(_RECENT)
        if len(before) < _FEWEST_BEFORE:
            return self._current
        level, error = median(recent.values), noise(before, (series.count >> k) - len(blocks)) * _MEDIAN_ERROR
        excess, progress = level - self._best, max(series.first - self._best, 0.0)
        spread = robust_spread(without_line(recent.values)) * _MEDIAN_ERROR
        both = math.hypot(max(self._error, spread), self._best_error)
        threshold = max(self._config.sigmas * both, 0.03 * abs(self._best), 0.1 * progress)
        if self._current is not None:
            threshold /= 2.0
        if threshold <= 0.0 or not excess > threshold:  # a signal of nothing but zeros begins where it first moves
            self._above, self._error = 0, error
            self._calm_step = int(recent.steps[-1])
            if threshold <= 0.0 or level + 2.0 * error < self._best + 2.0 * self._best_error:
                self._best, self._best_error = level, error
                self._best_step, self._best_rate = int(recent.steps[-1]), series.rate
        elif self._is_excused(series, recent, excess):
            self._above = 0
        else:
            self._above += 1
        if self._above < (2 if self._current is None else 1):
            self._current = None
        else:
            step, collapsed = int(recent.steps[-1]), excess > max(_COLLAPSE * progress, 0.2 * abs(self._best))
            self._current = Finding(
                self._calm_step,
                "critical" if collapsed else "warning",
                f"has {'collapsed' if collapsed else 'risen'} from {self._best:.4g} at step {self._best_step} "
                f"to {level:.4g} at step {step}, since step {self._calm_step}",
                {
                    "level": level,
                    "best": self._best,
                    "best_step": self._best_step,
                    "excess": excess,
                    "threshold": threshold,
                    "standard_error": both,
                    "nonfinite": 0,
                },
            )
        return self._current

    def _is_excused(self, series: Series, recent: Blocks, excess: float) -> bool:
        """Say whether the loss is on its way back, or the learning rate was raised and not all is lost."""
        was_raised = series.rate > 1.2 * self._best_rate and self._best + excess < series.first
        fall = max(_RECOVERING * excess, 3.0 * robust_spread(recent.values))
        return was_raised or (self._current is None and _fall(recent) > fall)


def _fall(blocks: Blocks) -> float:
    """Return by how much the values fall within the window, from the means of its halves."""
    half = len(blocks) // 2
    return 2.0 * float(blocks.values[:half].mean() - blocks.values[half:].mean())
