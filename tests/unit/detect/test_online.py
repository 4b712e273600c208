"""The statistics that the judges share: what they measure, and how often they are wrong."""

import math

import numpy as np
import pytest

from lrwatch.detect.online import Trend, median, noise, repetition, robust_spread, trend
from lrwatch.series import Blocks
from tests.curves import Values, autoregressive


def blocks_of(values: Values, steps: Values | None = None) -> Blocks:
    """Return values as blocks of one record each."""
    steps = np.arange(float(len(values))) if steps is None else steps
    return Blocks(steps, values, np.ones(len(values)), 1)


def means(values: Values, per: int) -> Values:
    """Return the means of `per` values each."""
    return np.asarray(values.reshape(-1, per).mean(axis=1))


@pytest.mark.parametrize(
    ("phi", "count", "blocks", "low", "high"),
    [
        (0.0, 48, 48, 0.003, 0.02),
        (0.0, 2048, 32, 0.003, 0.02),
        (0.9, 2048, 32, 0.003, 0.025),
        (0.9, 512, 16, 0.003, 0.03),
    ],
)
def test_the_size_of_the_trend_test(phi: float, count: int, blocks: int, low: float, high: float) -> None:
    """On noise without a trend, white or strongly correlated, a nominal 1 % test finds one in about 1 % of cases."""
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(1500):
        values = rng.standard_normal(count) if phi == 0.0 else autoregressive(phi, count, rng)
        line = trend(blocks_of(means(values, count // blocks)))
        rejected += abs(line.slope) > line.quantile(2.576) * line.error
    assert low <= rejected / 1500 <= high


def test_the_plain_test_would_be_wrong_thirty_times_as_often() -> None:
    """Without the correction for correlation, one flat AR(0.9) series in three would show a trend."""
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(300):
        values = autoregressive(0.9, 512, rng)
        slope, residuals = np.polyfit(np.arange(512.0), values, 1, full=True)[:2]
        error = math.sqrt(float(residuals[0]) / 510 / (512 * (512**2 - 1) / 12))
        rejected += abs(float(slope[0])) > 2.576 * error
    assert rejected / 300 > 0.2


def test_a_trend_is_measured_per_step() -> None:
    """The slope is in units of the value per training step, whatever the distance of the records."""
    rng = np.random.default_rng(3)
    steps = np.arange(0.0, 6400.0, 100.0)
    line = trend(blocks_of(5.0 - 0.01 * steps + 0.1 * rng.standard_normal(64), steps))

    assert abs(line.slope + 0.01) < 3 * line.error
    assert line.spread == pytest.approx(0.1, rel=0.3)


def test_a_perfect_line_has_no_error() -> None:
    """Values exactly on a line leave no doubt about its slope."""
    line = trend(blocks_of(np.arange(16.0)))

    assert (line.slope, line.error) == (1.0, 0.0)


def test_records_of_one_step_have_no_trend() -> None:
    """Where all records are of the same step nothing can be said about a slope."""
    line = trend(blocks_of(np.arange(8.0), np.full(8, 7.0)))

    assert (line.slope, line.error) == (0.0, math.inf)


@pytest.mark.parametrize(("freedom", "exact"), [(5, 2.571), (10, 2.228), (14, 2.145), (30, 2.042), (100, 1.984)])
def test_the_quantile_is_students(freedom: float, exact: float) -> None:
    """The 97.5 % quantile of Student's t is met within 6 % from 5 degrees of freedom on, within 2 % from 10."""
    quantile = Trend(0.0, 1.0, freedom, 1.0, 0.0).quantile(1.96)
    assert quantile == pytest.approx(exact, rel=0.06 if freedom < 10 else 0.02)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 64])
def test_the_median_is_the_median(count: int) -> None:
    """The quick median agrees with numpy's, for odd and even counts."""
    values = np.random.default_rng(count).standard_normal(count)
    assert median(values) == np.median(values)


@pytest.mark.parametrize(("phi", "low", "high"), [(0.0, 0.9, 1.35), (0.5, 1.3, 2.1), (0.8, 2.0, 3.4)])
def test_noise_is_widened_for_correlation(phi: float, low: float, high: float) -> None:
    """The noise of AR(phi) blocks is about sqrt((1 + phi)/(1 - phi)) times that of white ones: 1, 1.7 and 3."""
    rng = np.random.default_rng(5)
    measured = [noise(blocks_of(autoregressive(phi, 56, rng))) for _ in range(300)]
    assert low <= float(np.mean(measured)) <= high


def test_noise_does_not_see_a_slope() -> None:
    """A steady fall is no noise."""
    values = np.random.default_rng(6).standard_normal(56)
    assert noise(blocks_of(values - 10.0 * np.arange(56))) == pytest.approx(noise(blocks_of(values)))


def test_noise_does_not_see_how_a_loss_begins() -> None:
    """Where it is told how early the window lies, a fall that flattens is no noise either."""
    values = 0.02 * np.random.default_rng(6).standard_normal(56)
    begins = blocks_of(values + 4.0 * (1.0 + np.arange(56)) ** -0.5)

    assert noise(begins, 0) < 10 * noise(blocks_of(values)) < noise(begins)


def test_one_spike_hardly_counts_as_noise() -> None:
    """A single value hundred deviations off moves the noise by less than a third."""
    values = np.random.default_rng(7).standard_normal(56)
    spiked = np.where(np.arange(56) == 30, 100.0, values)
    assert noise(blocks_of(spiked)) < 4 / 3 * noise(blocks_of(values))


def test_a_constant_has_no_noise() -> None:
    """Equal values have spread 0, not a division by it."""
    assert noise(blocks_of(np.full(20, 3.0))) == 0.0
    assert robust_spread(np.full(20, 3.0)) == 0.0
    assert robust_spread(np.array([3.0])) == 0.0


def test_the_robust_spread_of_gaussian_noise() -> None:
    """It estimates the standard deviation, blind to a trend and to outliers."""
    values = np.random.default_rng(8).standard_normal(10_001)
    assert robust_spread(values) == pytest.approx(1.0, abs=0.03)
    assert robust_spread(values + 0.1 * np.arange(10_001)) == pytest.approx(1.0, abs=0.03)
    values[::20] = 1e9
    assert robust_spread(values) < 1.3


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 10, 12.5, 16])
@pytest.mark.parametrize("shape", ["sine", "square"])
def test_a_swing_is_found_with_its_period(period: float, shape: str) -> None:
    """A swing of any period from 2 to a quarter of the window shows its strength and its period within a block."""
    phase = 2 * np.pi * (np.arange(64) + 0.25) / period
    swing = np.sin(phase) if shape == "sine" else np.sign(np.sin(phase))
    strength, found = repetition(swing + 0.1 * np.random.default_rng(9).standard_normal(64))

    assert strength > 0.5
    assert abs(found - period) <= 1.0


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_noise_seldom_repeats(phi: float) -> None:
    """Noise of any colour stays below the threshold of the oscillation judge in at least 995 of 1,000 windows."""
    rng = np.random.default_rng(10)
    strengths = [repetition(autoregressive(phi, 64, rng))[0] for _ in range(1000)]
    assert sum(strength > 0.5 for strength in strengths) <= 5


@pytest.mark.parametrize(
    "values",
    [np.zeros(64), np.full(64, 3e7), np.arange(64.0), np.arange(64.0) ** 2, np.full(64, 5e-324), np.full(64, 1e150)],
)
def test_what_does_not_swing_has_no_strength(values: Values) -> None:
    """Constants, slopes and parabolas repeat nothing; rounding is no swing."""
    assert repetition(values) == (0.0, 0.0)


@pytest.mark.parametrize("scale", [5e-324, 1e-308, 1e-3, 1e150])
def test_the_strength_does_not_depend_on_the_unit(scale: float) -> None:
    """Values as large or as small as floats can be are judged like others, without a warning."""
    strength, _ = repetition(scale * np.resize([1.0, -1.0], 64))
    assert strength > 0.5 or scale < 1e-300
