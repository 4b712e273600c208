"""When a loss swings, and when it only looks like it."""

import numpy as np
import pytest

from lrwatch.config import DetectConfig, DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.model import Verdict
from tests.curves import NOISES, Noise, Values, autoregressive, draw, judged, noise, told

COUNT = 6000
STEPS = np.arange(COUNT)
HEALTHY = 2.0 + 4.0 * (1.0 + STEPS / 30) ** -0.5
ALONE = DetectConfig(PlateauConfig(enabled=False), DivergenceConfig(enabled=False), OscillationConfig())


def noisy(values: Values, share: float = 0.05, seed: int = 1) -> Values:
    """Return values with Gaussian noise of a share of 2, the level at which the curves here end."""
    return values + 2.0 * share * noise("gauss", len(values), np.random.default_rng(seed))


def swinging(period: float, onset: int = 2000, height: float = 0.4) -> Values:
    """Return a healthy curve that swings from `onset` on."""
    swing = height * np.cos(2 * np.pi * STEPS / period)
    return noisy(HEALTHY + np.where(onset > STEPS, 0.0, swing))


def raised(verdicts: list[Verdict]) -> list[Verdict]:
    """Return the verdicts that begin an episode."""
    return [verdict for verdict in verdicts if verdict.state == "raised"]


@pytest.mark.parametrize("period", [2, 3, 5, 17, 40, 200])
def test_a_swing_is_found_with_its_period(period: int) -> None:
    """Swings of 2 to 200 records are found, after they have begun, with their period to a fifth."""
    (verdict, *_) = raised(judged(swinging(period), config=ALONE))

    assert (verdict.kind, verdict.severity) == ("oscillation", "warning")
    assert 2000 < verdict.step < 2000 + 64 * max(period, 6) / 2
    assert verdict.evidence["period_records"] == pytest.approx(period, rel=0.2)
    assert verdict.evidence["strength"] > verdict.evidence["threshold"]
    assert verdict.since <= verdict.step


@pytest.mark.parametrize("kind", NOISES)
def test_noise_does_not_swing(kind: Noise) -> None:
    """Five healthy curves of 6,000 records under noise of 15 % show no rhythm."""
    assert [judged(draw("power law", kind, 0.15, seed, COUNT).values, config=ALONE) for seed in range(5)] == [[]] * 5


def test_slow_noise_seldom_swings() -> None:
    """Noise as slow as AR(0.98) wanders about; at most one run in ten is taken for a rhythm."""
    rng = np.random.default_rng(3)
    assert sum(bool(judged(2.0 + autoregressive(0.98, COUNT, rng), config=ALONE)) for _ in range(10)) <= 1


def test_a_swing_that_stops_is_cleared() -> None:
    """Once the newest blocks no longer repeat, the episode is over."""
    values = np.where(STEPS < 4000, swinging(10), noisy(HEALTHY))
    verdicts = judged(values, config=ALONE)

    assert told(verdicts) == [("raised", "oscillation"), ("cleared", "oscillation")]
    assert 4000 < verdicts[1].step < 5500


def test_the_learning_rates_own_cycle_is_no_oscillation() -> None:
    """A loss that follows a cyclic schedule does what it was told."""
    rates = 0.1 * (1.0 + 0.5 * np.cos(2 * np.pi * STEPS / 200))

    assert judged(swinging(200), rates=rates, config=ALONE) == []
    assert raised(judged(swinging(200), rates=0.1, config=ALONE)) != []


def test_a_change_of_the_learning_rate_ends_it() -> None:
    """The windows in which the learning rate moved say nothing, so the episode ends."""
    verdicts = judged(swinging(10), rates=np.where(STEPS < 4000, 0.1, 0.05), config=ALONE)

    assert [(v.state, v.step >= 4000) for v in verdicts[:2]] == [("raised", False), ("cleared", True)]


def test_a_loss_that_still_improves_is_told_apart() -> None:
    """The evidence says whether the level falls in spite of the swings."""
    swing = np.where(STEPS < 3000, 0.0, 0.4 * np.cos(2 * np.pi * STEPS / 5))
    (verdict, *_) = raised(judged(noisy(6.0 - STEPS / 2000 + swing, 0.01), config=ALONE))
    assert verdict.evidence["improving"]

    (verdict, *_) = raised(judged(noisy(2.0 + swing, 0.01), config=ALONE))
    assert not verdict.evidence["improving"]


def test_a_constant_does_not_swing() -> None:
    """A loss that does not move at all has no rhythm either."""
    assert judged(np.full(COUNT, 2.3), config=ALONE) == []


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_the_threshold_is_configurable(threshold: float) -> None:
    """A swing as high as the noise passes a low threshold and not a high one."""
    config = DetectConfig(ALONE.plateau, ALONE.divergence, OscillationConfig(threshold=threshold))
    values = noisy(2.0 + 0.15 * np.cos(np.pi * STEPS), 0.04)
    assert bool(raised(judged(values, config=config))) is (threshold < 0.5)


def test_fewer_than_sixty_four_records_have_no_rhythm() -> None:
    """The judge waits for two windows of 64 blocks that agree, of which half may be common."""
    values = noisy(2.0 + 0.4 * np.cos(np.pi * STEPS), 0.01)
    assert judged(values[:95], config=ALONE) == []
    assert judged(values[:110], config=ALONE) != []
