"""Divergence: the loss is no number any more, or has left the best level it had and stays away from it."""

import math

import numpy as np

from lrwatch.config import DivergenceConfig
from lrwatch.detect.base import Finding, after
from lrwatch.detect.online import robust_spread
from lrwatch.model import Kind
from lrwatch.series import Series

_RECENT = 8
_COLLAPSE = 0.5


class Divergence:
    """Non-finite records in a row, a collapse, or a jump or creep to a worse level.

    Finite values: the recent window holds a 32nd of the records (at least 8) as 8 blocks. The best level is the
    lowest median of such a window so far, with the spread of its blocks. The run has diverged where the
    recent median lies above the best one by more than `sigmas` standard errors of both windows, 3 % of the level
    and a tenth of the progress made, at two looks in a row. It is a collapse (critical) where half of the
    progress is lost.
    """

    kind: Kind = "divergence"

    def __init__(self, config: DivergenceConfig) -> None:
        self._config = config
        self.rewound(0)

    def rewound(self, count: int) -> None:
        """Start again where the series stands."""
        self.next_look = max(count + 1, self._config.min_records)
        self._best = math.inf
        self._best_spread = 0.0
        self._best_step = 0
        self._best_rate = 0.0
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
        self.next_look = after(series.count, 1 / 32, 256)
        blocks = series.window(max(_RECENT, series.count // 32), _RECENT)
        level = float(np.median(blocks.values))
        spread = robust_spread(blocks.values)
        if level < self._best:
            self._best, self._best_spread = level, spread
            self._best_step, self._best_rate = int(blocks.steps[-1]), series.rate
        finding = self._excess(series, level, spread, int(blocks.steps[-1]))
        self._above = self._above + 1 if finding is not None else 0
        holds = finding is not None and (self._current is not None or self._above >= 2)
        self._current = finding if holds else None
        return self._current

    def _excess(self, series: Series, level: float, spread: float, step: int) -> Finding | None:
        excess = level - self._best
        progress = max(series.first - self._best, 0.0)
        error = math.hypot(spread, self._best_spread) * math.sqrt(math.pi / 2 / _RECENT)
        threshold = max(self._config.sigmas * error, 0.03 * abs(self._best), 0.1 * progress)
        if self._current is not None:
            threshold /= 2
        if series.rate > 1.2 * self._best_rate and level < series.first:
            return None  # a learning rate that was raised since may cost some of what was won
        if not excess > threshold:
            return None
        collapsed = excess > max(_COLLAPSE * progress, 0.2 * abs(self._best))
        return Finding(
            self._best_step,
            "critical" if collapsed else "warning",
            f"has {'collapsed' if collapsed else 'risen'} from {self._best:.4g} at step {self._best_step} "
            f"to {level:.4g} at step {step}",
            {
                "level": level,
                "best": self._best,
                "best_step": self._best_step,
                "excess": excess,
                "threshold": threshold,
                "standard_error": error,
                "nonfinite": 0,
            },
        )
