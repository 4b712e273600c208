"""Whether an adjustment helped, against what the loss was heading for."""

import numpy as np
import pytest

from lrwatch.policy.outcome import FollowUp, Outcome
from lrwatch.series import Series
from tests.curves import NOISES, Noise, Values, noise

BEFORE, AFTER = 2000, 400


def follow(values: Values, steps: int = 1) -> Outcome | None:
    """Return the outcome of an adjustment after the first 2,000 values, due when all are there."""
    series = Series()

    def append(start: int, end: int) -> None:
        series.append(steps * np.arange(start, end, dtype=np.int64), values[start:end], np.ones(end - start))

    append(0, BEFORE)
    follow_up = FollowUp(7, series, steps * (len(values) - 1))
    append(BEFORE, len(values) - 1)
    assert follow_up.outcome(series) is None
    append(len(values) - 1, len(values))
    return follow_up.outcome(series)


def curve(kind: Noise, seed: int, change: float, slope: float = 0.0) -> Values:
    """Return a loss around 2 with a slope per 1,000 records, which moves by `change` when it is adjusted."""
    steps = np.arange(BEFORE + AFTER)
    values = 2.0 + slope * steps / 1000 + np.where(steps < BEFORE, 0.0, change)
    return values + 0.1 * noise(kind, len(steps), np.random.default_rng(seed))


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(("change", "verdict"), [(-0.3, "helped"), (0.3, "hurt")])
def test_a_clear_change_is_seen(kind: Noise, change: float, verdict: str) -> None:
    """A drop or a rise of three standard deviations of the noise is told as such every time."""
    for seed in range(10):
        outcome = follow(curve(kind, seed, change))
        assert outcome is not None
        assert (outcome.verdict, outcome.seq, outcome.step) == (verdict, 7, BEFORE + AFTER - 1)
        assert outcome.evidence["gain"] == pytest.approx(-change, abs=0.15)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("slope", [0.0, -0.2])
def test_no_change_is_neutral(kind: Noise, slope: float) -> None:
    """Going on as before, flat or falling, is neutral at least nine times in ten."""
    verdicts = [follow(curve(kind, seed, 0.0, slope)) for seed in range(40)]
    assert sum(outcome is not None and outcome.verdict == "neutral" for outcome in verdicts) >= 36


def test_what_it_was_heading_for_counts() -> None:
    """A loss that merely goes on falling has not been helped; one that stops falling has been hurt."""
    falling = curve("gauss", 1, 0.0, -2.0)
    stopped = np.where(np.arange(len(falling)) < BEFORE, falling, falling[BEFORE - 100 : BEFORE].mean())

    assert [outcome.verdict for outcome in (follow(falling), follow(stopped)) if outcome] == ["neutral", "hurt"]


def test_a_rise_is_not_expected_to_go_on() -> None:
    """A loss that was rising and stays where it is has not been helped by that alone."""
    rising = curve("gauss", 2, 0.0, 0.5)
    level = float(rising[BEFORE - 500 : BEFORE].mean())
    outcome = follow(np.where(np.arange(len(rising)) < BEFORE, rising, level))

    assert outcome is not None
    assert outcome.verdict == "neutral"


def test_the_unit_of_the_steps_does_not_matter() -> None:
    """A log of every hundredth step gives the same outcome."""
    one, hundredth = follow(curve("gauss", 3, -0.3)), follow(curve("gauss", 3, -0.3), 100)
    assert one is not None
    assert hundredth is not None
    assert one.evidence == pytest.approx(dict(hundredth.evidence))


def test_too_little_to_compare_has_no_outcome() -> None:
    """With fewer than eight records before or after, nothing is said."""
    series = Series()
    series.append(np.arange(5), np.ones(5), np.ones(5))
    early = FollowUp(1, series, 0)
    series.append(np.arange(5, 100), np.ones(95), np.ones(95))
    assert early.outcome(series) is None

    late = FollowUp(2, series, 100)
    series.append(np.arange(100, 107), np.ones(7), np.ones(7))
    assert late.outcome(series) is None
    series.append(np.arange(107, 108), np.ones(1), np.ones(1))
    assert late.outcome(series) is not None


def test_a_training_that_went_back_has_no_outcome_yet() -> None:
    """Records that were taken back cannot show what became of an adjustment."""
    series = Series()
    series.append(np.arange(100), np.ones(100), np.ones(100))
    follow_up = FollowUp(1, series, 110)
    series.rewind(60)
    series.append(np.arange(60, 99), np.ones(39), np.ones(39))

    assert follow_up.outcome(series) is None
