"""One signal on trial: what is said of it, where, and in which order."""

import math

import numpy as np
import pytest

from lrwatch.config import DetectConfig, DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.detect.judge import Item, Judge, Looked
from lrwatch.model import Gap, Verdict
from lrwatch.roles import Meaning
from tests.curves import Values, judged, noise, told

TRAIN = Meaning("train")


def feed(judge: Judge, values: Values, first: int = 0, rates: Values | None = None) -> list[tuple[int, Item]]:
    """Give a judge values at consecutive steps from `first` on; places are the steps."""
    places = first + np.arange(len(values))
    rates = np.ones(len(values)) if rates is None else rates
    return list(judge.feed(places, places.astype(np.int64), values, rates))


def judge_of(config: DetectConfig | None = None) -> Judge:
    """Return a judge of a training loss."""
    return Judge("loss", TRAIN, config or DetectConfig())


def test_every_item_has_the_place_of_the_record_that_caused_it() -> None:
    """Verdicts and looks come in the order of the records, and a verdict's step is its record's."""
    values = np.ones(300)
    values[100:103] = np.nan
    items = feed(judge_of(), values)

    places = [place for place, _ in items]
    assert places == sorted(places)
    assert [(place, item.state) for place, item in items if isinstance(item, Verdict)] == [
        (102, "raised"),
        (103, "cleared"),
    ]
    assert all(place == item.step for place, item in items if isinstance(item, Verdict | Looked))


def test_steps_that_go_back_are_a_restart() -> None:
    """A gap stands before what is logged again, and the verdicts that held are cleared with it."""
    judge = judge_of()
    values = np.ones(200)
    values[150:] = np.nan
    assert told([item for _, item in feed(judge, values) if isinstance(item, Verdict)]) == [("raised", "divergence")]

    items = feed(judge, np.ones(100), first=120)

    gap, cleared = items[0][1], items[1][1]
    assert gap == Gap("restart", 0, 120)
    assert isinstance(cleared, Verdict)
    assert (cleared.state, cleared.kind, cleared.step) == ("cleared", "divergence", 120)
    assert judge.active == {}
    assert judge.series.count == 220


def test_a_step_that_is_logged_again_is_no_restart() -> None:
    """Several records of one step are an average that the script did not make; steps may also leap."""
    steps = np.repeat(np.arange(0, 5000, 10), 3)
    judge = judge_of()
    items = list(judge.feed(np.arange(1500), steps, np.ones(1500), np.ones(1500)))

    assert not [item for _, item in items if isinstance(item, Gap)]
    assert judge.series.count == 1500


def test_every_restart_is_told() -> None:
    """A training that goes back twice within a block has restarted twice."""
    steps = np.concatenate([np.arange(100), np.arange(50, 80), np.arange(10, 40)])
    items = list(judge_of().feed(np.arange(160), steps, np.ones(160), np.ones(160)))

    assert [(place, item.step) for place, item in items if isinstance(item, Gap)] == [(100, 50), (130, 10)]


def test_a_restart_in_the_middle_of_non_finite_records() -> None:
    """A streak does not go on over a restart."""
    values = np.ones(104)
    values[98:102] = np.nan
    steps = np.concatenate([np.arange(100), np.arange(90, 94)])

    assert judged(values, steps=steps) == []


@pytest.mark.parametrize("steps", [[2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1], [-5, -3], [0, 0]])
def test_any_steps_will_do(steps: list[int]) -> None:
    """A step far below or above another is compared, not subtracted."""
    items = list(judge_of().feed(np.arange(2), np.array(steps, dtype=np.int64), np.ones(2), np.ones(2)))

    assert [type(item) for _, item in items if isinstance(item, Gap)] == [Gap] * (steps[1] < steps[0])


def test_what_is_to_be_maximized_is_turned_round() -> None:
    """The judges see a score with its sign turned; the newest value is told as it was logged."""
    judge = Judge("acc", Meaning("train", "maximize"), DetectConfig())
    feed(judge, np.array([0.1, 0.2]))

    assert judge.series.last == -0.2
    assert judge.level() == 0.2


def test_the_level_of_a_signal_without_a_number() -> None:
    """Before the first finite value there is none to tell."""
    judge = judge_of()
    feed(judge, np.full(2, np.nan))
    assert math.isnan(judge.level())


def test_an_episode_is_raised_once() -> None:
    """However long a condition holds, it is one verdict, with the evidence that raised it."""
    rng = np.random.default_rng(1)
    values = np.where(np.arange(5000) < 2000, 1.0, 3.0) + 0.01 * noise("gauss", 5000, rng)
    verdicts = judged(values)

    assert told(verdicts) == [("raised", "divergence")]


@pytest.mark.parametrize("kind", ["plateau", "divergence", "oscillation"])
def test_a_judge_can_be_switched_off(kind: str) -> None:
    """`enabled = false` silences one kind and no other."""
    rng = np.random.default_rng(2)
    steps = np.arange(9000)
    values = 2.0 + 4.0 * np.exp(-steps / 200) + 0.01 * noise("gauss", 9000, rng)
    values[5000:] += np.where(steps[5000:] % 4 < 2, 1.0, 0.0)
    values[8000:] = np.nan
    kinds = {
        "plateau": DetectConfig(plateau=PlateauConfig(enabled=False)),
        "divergence": DetectConfig(divergence=DivergenceConfig(enabled=False)),
        "oscillation": DetectConfig(oscillation=OscillationConfig(enabled=False)),
    }
    heard = {verdict.kind for verdict in judged(values)}
    assert heard == set(kinds)
    assert {verdict.kind for verdict in judged(values, config=kinds[kind])} == heard - {kind}


def test_without_any_judge_nothing_is_said() -> None:
    """With all switched off, records are still counted, the numbers and the others."""
    config = DetectConfig(
        PlateauConfig(enabled=False), DivergenceConfig(enabled=False), OscillationConfig(enabled=False)
    )
    values = np.ones(1000)
    values[500:] = np.nan
    judge = judge_of(config)

    assert not [item for _, item in feed(judge, values) if isinstance(item, Verdict)]
    assert (judge.series.count, judge.series.nonfinite) == (500, 500)


def warming(rates: Values) -> bool:
    """Return whether the newest look at a signal under these learning rates says warm-up."""
    looks = [item for _, item in feed(judge_of(), np.ones(len(rates)), rates=rates) if isinstance(item, Looked)]
    return looks[-1].warming_up


def test_warm_up_is_a_learning_rate_that_only_climbed() -> None:
    """From its start on, and until it has stood still for a fifth of the records."""
    climb = np.linspace(0.0, 1.0, 500)
    assert warming(climb)
    assert warming(np.concatenate([climb, np.ones(60)]))
    assert not warming(np.concatenate([climb, np.ones(300)]))
    assert not warming(np.concatenate([climb, climb[::-1]]))
    assert not warming(np.concatenate([[1.0], climb]))
    assert not warming(np.ones(500))
