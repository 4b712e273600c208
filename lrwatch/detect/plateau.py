"""Plateau: going on at this learning rate promises less than a cut of it would bring.

An equivalence test, never a failure to find a trend: the *upper* confidence bound of what another stretch as
long as the one so far would gain must lie below what a cut gains. Silence is the answer to noise.
"""

import math

from lrwatch.config import PlateauConfig
from lrwatch.detect.base import Finding, after
from lrwatch.detect.online import Trend, robust_spread, trend
from lrwatch.model import Kind
from lrwatch.series import Blocks, Series

_Z = 2.0
_SHARES = (0.75, 0.5, 0.25, 0.125)
_FEWEST_BLOCKS = 16
_MOST_BLOCKS = 48
_FEWEST_RECORDS = 128
_HORIZON = 1024
_KINK = 0.25
_SURE = 4.0
_STEEPEST_KINK = 3.0
_OF_PROGRESS = 0.05
_AGREEING_LOOKS = 2


class Plateau:
    """The loss has stopped improving at a learning rate that stands still.

    With b the slope of the window (its standard error SE), t the steps of the training so far (the only guess at
    what is still to come; in the first 1,024 records: the steps of 1,024), and g = -b t the gain of another t
    steps, the window shows a plateau where

        g + z SE t < max(floor, min(g_before / 4, 3 floor)),    floor = max(gain |level|, gain / 20 progress)

    at two looks in a row, g_before being the gain that the window before promised, where it surely did. Windows are
    three quarters, a half, a quarter and an eighth of the records at this learning rate.

    A loss that has not yet fallen by `gain` of its level since its first records is not said to have stopped:
    it never began, and a cut of the learning rate is no remedy for that.
    """

    kind: Kind = "plateau"

    def __init__(self, config: PlateauConfig) -> None:
        self._config = config
        self.next_look = config.min_records
        self._began_above: float | None = None
        self._agreeing = 0
        self._holds: Finding | None = None

    def look(self, series: Series) -> Finding | None:
        """Judge the series as `Detector` says."""
        self.next_look = after(series.count, 0.04, 4096)
        if self._began_above is None:
            self._began_above = _least_first_level(series)
        newest = series.window(series.steady, 16).last(4)
        if not len(newest) or not self._can_judge(series):
            self._agreeing, self._holds = 0, None
            return None
        level = float(newest.values.mean())
        progress = max(series.first - series.last, 0.0)
        floor = self._config.gain * max(abs(level), _OF_PROGRESS * progress)
        if self._began_above - level < floor:
            return None
        horizon = float(series.last_step - series.first_step) * max(1.0, _HORIZON / series.count)
        verdicts = [self._window(series, share, horizon, floor) for share in _SHARES]
        found = next((finding for finding in verdicts if isinstance(finding, Finding)), None)
        improving = any(verdict is True for verdict in verdicts)
        if found is not None:
            self._agreeing += 1
            if self._agreeing >= _AGREEING_LOOKS and self._holds is None:
                self._holds = found
        else:
            self._agreeing = 0
            if improving:
                self._holds = None
        return self._holds

    def rewound(self, count: int) -> None:
        """Start again where the series stands."""
        self._agreeing, self._holds = 0, None
        self.next_look = max(count + 1, self._config.min_records)
        if count == 0:
            self._began_above = None

    def _can_judge(self, series: Series) -> bool:
        """Say whether the learning rate has stood still long enough, at a height where a cut means something."""
        return (
            series.steady >= max(self._config.min_records, 0.1 * series.count)
            and series.rate > 0.01 * series.peak_rate
            and series.last_step > series.steady_step
        )

    def _window(self, series: Series, share: float, horizon: float, floor: float) -> Finding | bool:
        """Return a finding, True where the window still improves by more than the floor, False for neither."""
        records = int(series.steady * share)
        blocks = series.window(records, _MOST_BLOCKS)
        if records < _FEWEST_RECORDS or len(blocks) < _FEWEST_BLOCKS:
            return False
        line = trend(blocks)
        if line.correlation >= 0.6:
            return False
        gain, error = -line.slope * horizon, line.error * horizon
        kink = 0.0 if share > 0.25 else _KINK * _least_gain(series.window(2 * records), horizon)
        bound = max(floor, min(kink, _STEEPEST_KINK * floor))
        upper = gain + line.quantile(_Z) * error
        if upper < bound:
            return _finding(blocks, line, horizon, gain, upper, bound)
        return gain - 3.0 * error > bound


def _least_first_level(series: Series) -> float:
    """Return the lower confidence bound of the level at which the training began, from a 16th of the records.

    The spread comes from differences, since the loss may fall steeply at first. Those of correlated noise are too
    small by up to three times: six standard errors stand for at least two.
    """
    values = series.window(series.count).values
    first = values[: max(len(values) // 16, 1)]
    return float(first.mean()) - 6.0 * robust_spread(values) / math.sqrt(len(first))


def _least_gain(both: Blocks, horizon: float) -> float:
    """Return what the older half of a window promised, less one standard error; 0 where it was not sure to gain."""
    older = both.without_last(len(both) // 2)
    if len(older) < _FEWEST_BLOCKS:
        return 0.0
    line = trend(older)
    return (-line.slope - line.error) * horizon if -line.slope > _SURE * line.error else 0.0


def _finding(blocks: Blocks, line: Trend, horizon: float, gain: float, upper: float, bound: float) -> Finding:
    since = int(blocks.steps[0])
    return Finding(
        since,
        "info",
        f"has not improved since step {since}: another {horizon:.0f} steps at this learning rate "
        f"promise at most {max(upper, 0.0):.3g} (a plateau is below {bound:.3g})",
        {
            "gain": gain,
            "gain_upper": upper,
            "threshold": bound,
            "slope": line.slope,
            "slope_error": line.error,
            "window_records": len(blocks) * blocks.per,
            "horizon_steps": horizon,
            "level": float(blocks.values.mean()),
        },
    )
