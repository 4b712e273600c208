"""When a loss has left the best level it had, and when it is no number any more."""

import numpy as np
import pytest

from lrwatch.config import DetectConfig, DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.model import Verdict
from tests.curves import FAMILIES, NOISES, Noise, Values, draw, judged, noise, told

COUNT = 5000
STEPS = np.arange(COUNT)
HEALTHY = 2.0 + 4.0 * (1.0 + STEPS / 25) ** -0.5
NAN, INF = float("nan"), float("inf")


def alone(**fields: float) -> DetectConfig:
    """Return a configuration with no other judge than this one."""
    divergence = DivergenceConfig(**fields)  # type: ignore[arg-type]
    return DetectConfig(PlateauConfig(enabled=False), divergence, OscillationConfig(enabled=False))


ALONE = alone()


def noisy(values: Values, share: float = 0.01, seed: int = 1) -> Values:
    """Return values with Gaussian noise of a share of 2, the level at which the curves here end."""
    return values + 2.0 * share * noise("gauss", len(values), np.random.default_rng(seed))


def spoilt(*places: int, value: float = NAN, count: int = 100) -> Values:
    """Return a flat signal with non-finite records at `places`."""
    values = np.ones(count)
    values[list(places)] = value
    return values


def severities(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Return state and severity of each verdict."""
    return [(verdict.state, verdict.severity) for verdict in verdicts]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_three_nonfinite_records_in_a_row(value: float) -> None:
    """The third of three records in a row that are no numbers raises a critical divergence, and none before it."""
    (verdict,) = judged(spoilt(50, 51, 52, 53, 54, value=value)[:55], config=ALONE)

    assert (verdict.state, verdict.kind, verdict.severity) == ("raised", "divergence", "critical")
    assert (verdict.step, verdict.since) == (52, 50)
    assert verdict.evidence == {"nonfinite": 3, "threshold": 3}
    assert judged(spoilt(50, 51, value=value), config=ALONE) == []


def test_nan_and_infinity_make_one_streak() -> None:
    """It does not matter in which way the records are no numbers."""
    values = spoilt(50)
    values[51:53] = INF, -INF
    assert judged(values[:53], config=ALONE)[0].step == 52


def test_isolated_nonfinite_records_are_counted_only() -> None:
    """One or two at a time, however often, are the loss scaler at work."""
    values = np.ones(900)
    values[::3] = values[1::3] = NAN
    assert judged(values, config=ALONE) == []


def test_nonfinite_from_the_first_record_on() -> None:
    """A training that never logged a number has diverged too."""
    (verdict,) = judged(np.full(10, NAN), config=ALONE)
    assert (verdict.step, verdict.since) == (2, 0)


@pytest.mark.parametrize("records", [1, 2, 5])
def test_the_length_of_the_streak_is_configurable(records: int) -> None:
    """`nonfinite_records` in a row are needed."""
    (verdict,) = judged(spoilt(*range(50, 60))[:60], config=alone(nonfinite_records=records))
    assert verdict.step == 50 + records - 1


def test_recovery_clears_a_streak() -> None:
    """The first number after it ends the episode; the next streak is another one."""
    verdicts = judged(spoilt(50, 51, 52, 60, 61, 62), config=ALONE)

    assert [(verdict.state, verdict.step) for verdict in verdicts] == [
        ("raised", 52),
        ("cleared", 53),
        ("raised", 62),
        ("cleared", 63),
    ]


def test_a_warning_becomes_critical_as_cleared_and_raised() -> None:
    """An episode that gets worse ends, and a worse one begins, at the same record."""
    values = noisy(HEALTHY)
    values[2500:] += 0.8
    values[4000:] = NAN
    first, over, second = judged(values, config=ALONE)

    assert severities([first, over, second]) == [("raised", "warning"), ("cleared", "warning"), ("raised", "critical")]
    assert (over.step, second.step, second.evidence["nonfinite"]) == (4002, 4002, 3)


def test_a_collapse_is_critical() -> None:
    """Where half of the progress is lost, or a fifth of the level, the run has collapsed."""
    values = noisy(HEALTHY)
    values[3000:] += 2.5
    (verdict,) = judged(values, config=ALONE)

    assert (verdict.severity, verdict.evidence["nonfinite"]) == ("critical", 0)
    assert 3000 < verdict.step < 3300
    assert 2900 < verdict.since <= 3000
    assert verdict.evidence["excess"] > verdict.evidence["threshold"]
    assert verdict.text.startswith("loss has collapsed from ")


def test_a_level_shift_is_a_warning() -> None:
    """A tenth of the progress lost for good is worth a warning, and no more."""
    values = noisy(HEALTHY)
    values[3000:] += 0.6
    (verdict,) = judged(values, config=ALONE)

    assert (verdict.state, verdict.severity) == ("raised", "warning")
    assert 3000 < verdict.step < 3300
    assert verdict.text.startswith("loss has risen from ")


def test_a_creep_is_found() -> None:
    """A slow rise is found by its distance from the best level, once, as a warning."""
    values = noisy(np.where(STEPS < 2000, HEALTHY, HEALTHY[2000] + (STEPS - 2000) / 4000))
    verdicts = judged(values, config=ALONE)

    assert severities(verdicts[:1]) == [("raised", "warning")]
    assert 2000 < verdicts[0].step < 5000


def test_an_explosion_is_found_at_once() -> None:
    """A loss that doubles every hundred steps is found within 250."""
    values = noisy(HEALTHY * np.exp2(np.clip((STEPS - 3000) / 100, 0, 10)))
    (verdict, *rest) = judged(values, config=ALONE)

    assert 3000 < verdict.step < 3250
    assert severities([verdict, *rest])[-1] == ("raised", "critical")


def test_a_level_that_comes_back_clears() -> None:
    """Back near the best level, the episode is over."""
    values = noisy(HEALTHY)
    values[3000:3600] += 2.5
    verdicts = judged(values, config=ALONE)

    assert [verdict.state for verdict in verdicts] == ["raised", "cleared"]
    assert 3600 < verdicts[1].step < 3900


@pytest.mark.parametrize("kind", NOISES)
def test_a_spike_that_recovers_is_no_divergence(kind: Noise) -> None:
    """A loss that triples and falls back within 3 % of the training is on its way already when it could be told."""
    for seed in range(4):
        values = draw("recovering spike", kind, 0.01, seed).values
        assert judged(values, config=ALONE) == []


def test_single_outliers_are_no_divergence() -> None:
    """One record in fifty, a thousand times too high, moves no median."""
    values = noisy(HEALTHY)
    values[::50] *= 1000
    assert judged(values, config=ALONE) == []


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(
    "family", [name for name in FAMILIES if name in ("power law", "late bloom", "flat from the start")]
)
def test_noise_is_no_divergence(family: str, kind: Noise) -> None:
    """Not even under noise of 15 % does a healthy or a dead run diverge, early or late."""
    for seed in range(3):
        assert judged(draw(family, kind, 0.15, seed, 3000).values, config=ALONE) == []


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("count", [30, 60, 200])
def test_short_logs_are_judged_with_care(count: int, kind: Noise) -> None:
    """In logs of a few records, at most one healthy run in thirty is called a divergence."""
    false = sum(bool(judged(draw("power law", kind, 0.05, seed, count).values, config=ALONE)) for seed in range(30))
    assert false <= 1


def test_a_signal_that_was_nothing_may_become_something() -> None:
    """An auxiliary loss that is switched on after a while has left no level that it had reached."""
    for begin in (30, 100, 200, 300, 301, 302, 303, 304, 800):
        assert judged(np.where(np.arange(1000) < begin, 0.0, 1.0), config=ALONE) == []


def test_a_short_log_that_diverges() -> None:
    """Sixty records are enough to see the last twenty explode."""
    values = noisy(2.0 + 4.0 * np.exp(-np.arange(60) / 10))
    values[40:] += np.arange(1, 21)
    (verdict,) = judged(values, config=ALONE)

    assert verdict.severity == "critical"
    assert 40 < verdict.step < 56


@pytest.mark.parametrize("kind", NOISES)
def test_a_short_log_that_jumps(kind: Noise) -> None:
    """A hundred records are enough to see half of the progress lost, while the loss still falls steeply."""
    for seed in range(6):
        curve = draw("level jump", kind, 0.05, seed, 100)
        (verdict,) = judged(curve.values, config=ALONE)
        assert curve.onset <= verdict.step < 100


def test_nothing_finite_is_judged_before_enough_records() -> None:
    """Before `min_records` a level means nothing; numbers that are none do."""
    values = np.where(np.arange(500) < 100, 1.0, 50.0)
    assert judged(values, config=alone(min_records=300)) == []
    values[150:153] = NAN
    assert judged(values, config=alone(min_records=300))[0].step == 152


def test_a_raised_learning_rate_may_cost_something() -> None:
    """After the learning rate went up, a loss between the best and the first level is the price of it."""
    values = noisy(HEALTHY)
    values[3000:] += 0.6
    rates = np.where(STEPS < 3000, 0.1, 0.2)

    assert judged(values, rates=rates, config=ALONE) == []
    assert judged(values + np.where(STEPS < 3000, 0.0, 9.0), rates=rates, config=ALONE) != []


def test_negative_losses_are_judged_alike() -> None:
    """A log-likelihood below zero diverges upwards as a loss above zero does."""
    values = noisy(HEALTHY) - 12.0
    assert judged(values, config=ALONE) == []
    values[3000:] += 2.5
    assert told(judged(values, config=ALONE))[0] == ("raised", "divergence")


def test_a_score_diverges_downwards() -> None:
    """What is to be maximized diverges where it falls, and not where it rises."""
    score = 0.9 - 0.6 * np.exp(-STEPS / 500) + 0.005 * noise("gauss", COUNT, np.random.default_rng(7))
    fallen = np.where(STEPS < 3000, score, score - 0.5)

    assert told(judged(fallen, goal="maximize", config=ALONE))[0] == ("raised", "divergence")
    assert judged(score, goal="maximize", config=ALONE) == []
    assert judged(-fallen, goal="minimize", config=ALONE) == judged(fallen, goal="maximize", config=ALONE)


@pytest.mark.parametrize("family", ["explosion", "level jump", "NaN"])
@pytest.mark.parametrize("kind", NOISES)
def test_divergences_are_found(family: str, kind: Noise) -> None:
    """Under 5 % noise every divergence is found, within a twentieth of the training, and none before it began."""
    for seed in range(3):
        curve = draw(family, kind, 0.05, seed, COUNT)
        (verdict, *_) = judged(curve.values, config=ALONE)
        assert curve.onset <= verdict.step < curve.onset + COUNT / 20


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_the_loss_does_not_matter(scale: float) -> None:
    """Every threshold is relative to the signal itself."""
    values = noisy(HEALTHY)
    values[3000:] += 0.6
    assert [v.step for v in judged(scale * values, config=ALONE)] == [v.step for v in judged(values, config=ALONE)]


def test_a_training_that_went_far_back_is_judged_from_there() -> None:
    """Soon after a restart from early on, when little is remembered, looking is still possible."""
    for back in (1, 1024, 1500, 40_000):
        values = np.ones(66_100)
        steps = np.concatenate([np.arange(66_000), back + np.arange(100)])
        assert judged(values, steps=steps) == []
