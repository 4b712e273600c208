"""Oscillation: the loss swings with a lasting rhythm that the learning rate does not explain."""

from lrwatch.config import OscillationConfig
from lrwatch.detect.base import Finding, after
from lrwatch.detect.online import repetition, trend
from lrwatch.model import Kind
from lrwatch.series import BLOCKS, Series

_SAME_PERIOD = 0.2
_FRESH = 0.5


class Oscillation:
    """Regular swings of any period from 2 records to an eighth of the training.

    At every resolution the newest 64 blocks are searched for a period (`lrwatch.detect.online.repetition`). Two
    looks with at least half of their blocks new must agree on the period within 20 %. Windows in which the learning
    rate itself moved are left out, and a change of it ends an episode.
    """

    kind: Kind = "oscillation"

    def __init__(self, config: OscillationConfig) -> None:
        self._config = config
        self.rewound(0)

    def rewound(self, count: int) -> None:
        """Start again where the series stands."""
        self.next_look = max(count + 1, BLOCKS)
        self._looked: dict[int, tuple[int, float, float]] = {}
        self._holds: tuple[int, Finding] | None = None
        self._rate = 0.0

    def look(self, series: Series) -> Finding | None:
        """Judge the series as `Detector` says."""
        self.next_look = after(series.count, 1 / 32, max(256, series.count // 64))
        if series.rate != self._rate:
            self._rate, self._holds = series.rate, None
            self._looked.clear()
        for k in range(series.depth):
            blocks = series.level(k)
            if len(blocks) < BLOCKS:
                break
            before = self._looked.get(k)
            if before is not None and series.count - before[0] < _FRESH * BLOCKS * blocks.per:
                continue
            if float(blocks.rates.max()) > 1.05 * float(blocks.rates.min()):
                strength, period = 0.0, 0.0
            else:
                strength, period = repetition(blocks.values)
            self._looked[k] = (series.count, strength, period)
            agrees = (
                before is not None
                and min(strength, before[1]) > self._config.threshold
                and abs(period - before[2]) <= _SAME_PERIOD * period
            )
            if self._holds is None and agrees:
                line = trend(series.window(max(series.steady // 4, BLOCKS * blocks.per)))
                swing = float(blocks.values.std())
                since = int(blocks.steps[0])
                records = period * blocks.per
                finding = Finding(
                    since,
                    "warning",
                    f"swings with a period of about {records:.0f} records since step {since}",
                    {
                        "strength": strength,
                        "threshold": self._config.threshold,
                        "period_records": records,
                        "swing": swing,
                        "slope": line.slope,
                        "slope_error": line.error,
                        "improving": -line.slope > 3.0 * line.error,
                        "window_records": len(blocks) * blocks.per,
                    },
                )
                self._holds = (k, finding)
            elif self._holds is not None and self._holds[0] == k and strength <= self._config.threshold:
                self._holds = None
        return None if self._holds is None else self._holds[1]
