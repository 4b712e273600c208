"""When a loss is said to have stopped improving, and when not."""

import numpy as np
import pytest

from lrwatch.config import DetectConfig, DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.model import Verdict
from tests.curves import NOISES, Noise, Values, draw, judged, noise, told

COUNT = 10_000
ALONE = DetectConfig(divergence=DivergenceConfig(enabled=False), oscillation=OscillationConfig(enabled=False))
STEPS = np.arange(COUNT)


def noisy(values: Values, share: float = 0.01, seed: int = 1) -> Values:
    """Return values with Gaussian noise of a share of 2, the level at which the curves here end."""
    return values + 2.0 * share * noise("gauss", len(values), np.random.default_rng(seed))


def to_floor(count: int = COUNT, scale: float = 500.0) -> Values:
    """Return an exponential fall from 6 to 2."""
    return 2.0 + 4.0 * np.exp(-np.arange(count) / scale)


def raised(verdicts: list[Verdict]) -> list[int]:
    """Return the steps at which a plateau was raised."""
    return [verdict.step for verdict in verdicts if verdict.state == "raised"]


def test_a_loss_on_its_floor_is_a_plateau() -> None:
    """An exponential fall is over when a doubling of the time promises less than 2 %; it is told once, soon after."""
    (verdict,) = judged(noisy(to_floor()), config=ALONE)

    assert (verdict.state, verdict.kind, verdict.severity) == ("raised", "plateau", "info")
    assert 500 * np.log(4 / 0.04) < verdict.step < 6000
    assert verdict.since < verdict.step
    assert verdict.evidence["gain_upper"] < verdict.evidence["threshold"]
    assert verdict.evidence["level"] == pytest.approx(2.0, rel=0.02)
    assert verdict.text.startswith("loss has not improved since step ")


@pytest.mark.parametrize("exponent", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_a_power_law_is_no_plateau(exponent: float, share: float) -> None:
    """Learning that only slows down is left alone, however flat it looks."""
    values = 2.0 + 4.0 * (1.0 + STEPS / 50) ** -exponent

    assert judged(noisy(values, share), config=ALONE) == []


def test_an_abrupt_stall_is_found_before_the_floor_could_tell() -> None:
    """Where steep progress stops dead, a quarter of what the window before promised is threshold enough."""
    (verdict,) = judged(noisy(6.0 - 0.6e-3 * np.minimum(STEPS, 5000)), config=ALONE)

    assert 5000 < verdict.step < 6500
    assert verdict.evidence["threshold"] > 1.5 * max(0.02 * 3.0, 0.01 * 3.0)


def test_no_plateau_while_the_learning_rate_warms_up() -> None:
    """A flat loss under a rising learning rate means nothing yet."""
    assert judged(noisy(to_floor(scale=50.0)), rates=1e-7 + STEPS / COUNT, config=ALONE) == []


def test_no_plateau_while_the_learning_rate_is_annealed() -> None:
    """A loss that flattens along a cosine to nothing has converged: another cut buys nothing."""
    rates = 0.5e-3 * (1.0 + np.cos(np.pi * STEPS / COUNT))
    assert raised(judged(noisy(to_floor(scale=3000.0)), rates=rates, config=ALONE)) == []


def test_no_plateau_at_a_learning_rate_that_was_annealed_away() -> None:
    """Below a hundredth of the highest learning rate there is nothing left to cut."""
    rates = np.where(STEPS < 200, 0.1, 0.0009)
    assert judged(noisy(to_floor()), rates=rates, config=ALONE) == []
    assert raised(judged(noisy(to_floor()), rates=np.where(STEPS < 200, 0.1, 0.0011), config=ALONE)) != []


@pytest.mark.parametrize("fewest", [256, 1000, 5000])
def test_no_plateau_before_enough_records(fewest: int) -> None:
    """So many records are wanted at one learning rate, and two looks that agree, before the first word."""
    config = DetectConfig(PlateauConfig(min_records=fewest), ALONE.divergence, ALONE.oscillation)
    values = noisy(to_floor(scale=20.0))

    (step,) = raised(judged(values, config=config))
    assert fewest < step < 1.2 * fewest + 100
    (later,) = raised(judged(values, rates=np.where(STEPS < 300, 1.0, 0.5), config=config))
    assert later - 300 > fewest


def test_a_short_log_is_never_a_plateau() -> None:
    """Two hundred records are too few to tell a plateau from a pause."""
    for seed in range(10):
        assert judged(noisy(to_floor(200, 10.0), 0.05, seed), config=ALONE) == []


def test_a_change_of_the_learning_rate_ends_a_plateau() -> None:
    """The verdict is about one learning rate: with another it is cleared, and judged anew."""
    rates = np.where(STEPS < 6000, 0.1, 0.03)
    first, second, *rest = judged(noisy(to_floor()), rates=rates, config=ALONE)

    assert told([first, second]) == [("raised", "plateau"), ("cleared", "plateau")]
    assert 6000 <= second.step < 6300
    assert [verdict.state for verdict in rest] == ["raised"]


def test_progress_ends_a_plateau() -> None:
    """A loss that surely falls again is no plateau any more."""
    values = noisy(to_floor() - np.maximum(STEPS - 6000, 0) / 4000)
    verdicts = judged(values, config=ALONE)

    assert told(verdicts) == [("raised", "plateau"), ("cleared", "plateau")]
    assert 6000 < verdicts[1].step < 8000


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_answered_with_silence(kind: Noise) -> None:
    """Where the noise hides whether there is progress, nothing is said: no trend found is not no trend."""
    rng = np.random.default_rng(5)
    values = 2.0 + 4.0 * (1.0 + np.arange(2000) / 50) ** -0.5 + 1.0 * noise(kind, 2000, rng)

    assert raised(judged(values, config=ALONE)) == []


def test_a_loss_that_never_fell_has_not_stopped() -> None:
    """Flat from the first record on is not a plateau: no cut of the learning rate mends it."""
    for seed in range(5):
        assert judged(noisy(np.full(COUNT, 2.3), 0.02, seed), config=ALONE) == []
    assert judged(np.full(COUNT, 2.3), config=ALONE) == []


@pytest.mark.parametrize("kind", NOISES)
def test_false_plateaus_of_healthy_runs(kind: Noise) -> None:
    """Under 1 % noise none of five power laws is ever called a plateau."""
    assert [raised(judged(draw("power law", kind, 0.01, seed).values, config=ALONE)) for seed in range(5)] == [[]] * 5


@pytest.mark.parametrize("kind", NOISES)
def test_stalls_are_found(kind: Noise) -> None:
    """Under 1 % noise each of three abrupt stalls is found before half the remaining training is gone."""
    for seed in range(3):
        curve = draw("abrupt stall", kind, 0.01, seed)
        (step, *_) = raised(judged(curve.values, config=ALONE))
        assert curve.onset < step < curve.onset + (COUNT - curve.onset) / 2


@pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
def test_the_unit_of_the_loss_does_not_matter(scale: float) -> None:
    """Every threshold is relative to the signal itself."""
    values = noisy(to_floor(5000))
    assert raised(judged(scale * values, config=ALONE)) == raised(judged(values, config=ALONE))


def test_the_unit_of_the_steps_does_not_matter() -> None:
    """A log of every hundredth step is judged as one of every step."""
    values = noisy(to_floor(5000))
    hundredth = judged(values, steps=100 * np.arange(5000, dtype=np.int64), config=ALONE)

    assert [step // 100 for step in raised(hundredth)] == raised(judged(values, config=ALONE))


def test_a_score_that_saturates_is_a_plateau() -> None:
    """An accuracy that is to be maximized is judged with its sign turned, below zero as above."""
    accuracy = 0.9 - 0.6 * np.exp(-STEPS / 500) + 0.005 * noise("gauss", COUNT, np.random.default_rng(6))

    assert told(judged(accuracy, goal="maximize", config=ALONE)) == [("raised", "plateau")]
    assert judged(accuracy, goal="minimize", config=ALONE) == []


def test_a_restart_starts_the_count_anew() -> None:
    """After the training went back, a plateau is cleared and must show itself again."""
    values = noisy(to_floor(6000))
    steps = np.concatenate([np.arange(5000), np.arange(4000, 5000)])
    verdicts = judged(values, steps=steps, config=ALONE)

    assert told(verdicts[:2]) == [("raised", "plateau"), ("cleared", "plateau")]
    assert verdicts[1].step == 4000
