"""All signals of a run: which is judged, at which learning rate, and what is told once for all."""

import numpy as np
import pytest

from lrwatch.config import Config, parse_config
from lrwatch.detect.judge import Item
from lrwatch.detect.judges import Announced, Judges, decides_before
from lrwatch.model import Gap, Verdict
from lrwatch.roles import Meaning, meaning
from tests.curves import records

Row = tuple[str, int, float]


def judges_of(rows: list[Row], config: Config | None = None) -> Judges:
    """Return the judges of a run after these records."""
    judges = Judges(config or Config())
    judges.feed(records(rows))
    return judges


def fed(rows: list[Row], size: int | None = None, config: Config | None = None) -> list[Item | Announced]:
    """Return what comes out of these records, fed in pieces of `size`, but for the looks."""
    judges, out = Judges(config or Config()), list[Item | Announced]()
    size = size or len(rows)
    for start in range(0, len(rows), size):
        out += judges.feed(records(rows[start : start + size]))
    return [item for item in out if isinstance(item, Verdict | Gap | Announced)]


def losses(*names: str, steps: range) -> list[Row]:
    """Return a value of 1 for each name at each step."""
    return [(name, step, 1.0) for step in steps for name in names]


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7])
def test_a_restart_is_told_once_for_all_signals(size: int | None) -> None:
    """Whichever signal goes back first tells of the restart; the others, whenever they follow, do not."""
    rows = losses("train/loss", "val/loss", "aux/loss", steps=range(50))
    rows += losses("val/loss", steps=range(30, 31))
    rows += losses("train/loss", "val/loss", steps=range(31, 40))
    rows += losses("aux/loss", steps=range(35, 50))

    gaps = [item for item in fed(rows, size) if isinstance(item, Gap)]

    assert gaps == [Gap("restart", 0, 30)]


@pytest.mark.parametrize("size", [None, 1, 2, 5])
def test_each_restart_is_told(size: int | None) -> None:
    """A second restart is told too, whoever shows it first, also by a signal that came after the first."""
    rows = losses("train/loss", steps=range(50))
    rows += losses("train/loss", "new/loss", steps=range(20, 40))
    rows += losses("new/loss", "train/loss", steps=range(10, 30))

    gaps = [item.step for item in fed(rows, size) if isinstance(item, Gap)]

    assert gaps == [20, 10]


@pytest.mark.parametrize("size", [None, 1, 3])
def test_an_evaluation_logged_late_hides_no_restart(size: int | None) -> None:
    """A signal that steps back on its own tells of it, and the training's restart afterwards is news still."""
    rows = losses("train/loss", "val/loss", steps=range(30))
    rows += losses("val/loss", steps=range(20, 21))
    rows += losses("train/loss", steps=range(30, 60))
    rows += losses("train/loss", steps=range(40, 50))

    gaps = [item.step for item in fed(rows, size) if isinstance(item, Gap)]

    assert gaps == [20, 40]


@pytest.mark.parametrize("size", [None, 1, 4, 9])
def test_verdicts_come_in_the_order_of_the_records(size: int | None) -> None:
    """Signals are judged apart, and what is said of them is sorted by the record that caused it."""
    rows = [
        (name, step, np.nan if step >= onset else 1.0)
        for step in range(60)
        for name, onset in (("b/loss", 40), ("a/loss", 30), ("c/loss", 50))
    ]
    verdicts = [item for item in fed(rows, size) if isinstance(item, Verdict)]

    assert [(verdict.signal, verdict.step) for verdict in verdicts] == [("a/loss", 32), ("b/loss", 42), ("c/loss", 52)]


def test_signals_are_announced_at_their_first_record() -> None:
    """Each judged signal is announced once, with its meaning and its step, before anything is said of it."""
    rows = [("val/acc", 3, 0.1), ("loss", 4, 1.0), ("val/acc", 6, 0.2), ("gpu", 6, 1.0), ("lr", 7, 0.1)]

    assert fed(rows) == [
        Announced("val/acc", Meaning("eval", "maximize"), 3),
        Announced("loss", Meaning("train"), 4),
    ]


def test_ignored_signals_leave_no_trace() -> None:
    """A signal that is neither judged nor informs moves nothing, not even the newest step."""
    judges = judges_of([("loss", 5, 1.0), ("epoch", 900, 1.0), ("my/loss", 901, np.nan)], config=ignoring("my/*"))

    assert judges.step == 5
    assert judges.newest == {"train": 1.0}


def ignoring(pattern: str) -> Config:
    """Return a configuration that ignores a pattern."""
    return parse_config({"signals": {"ignore": [pattern]}})


def test_the_newest_step_is_that_of_the_newest_record() -> None:
    """Whatever the order in which a block names its signals."""
    judges = judges_of([("a/loss", 1, 1.0), ("b/loss", 1, 1.0), ("b/loss", 2, 1.0), ("a/loss", 3, 1.0)])
    assert judges.step == 3


def test_the_newest_values_by_role() -> None:
    """One signal stands for each role: the one that would decide."""
    rows = [
        ("train/box_loss", 1, 9.0),
        ("train/loss", 1, 3.0),
        ("val/acc", 1, 0.5),
        ("lr", 1, 0.1),
        ("grad_norm", 1, 7.0),
        ("grad_norm", 2, np.inf),
    ]
    assert judges_of(rows).newest == {"train": 3.0, "eval": 0.5, "lr": 0.1, "grad_norm": np.inf}


def test_a_grad_norm_is_not_judged() -> None:
    """Gradient norms inform and never raise a verdict."""
    assert fed([("grad_norm", step, np.nan) for step in range(100)]) == []


@pytest.mark.parametrize("size", [None, 1, 2, 3, 10])
@pytest.mark.parametrize("order", [["lr", "loss"], ["loss", "lr"]])
def test_the_learning_rate_may_be_logged_before_or_after_the_loss(order: list[str], size: int | None) -> None:
    """Either way the series knows the rates of its records, the very first included, one record late at most."""
    rates = [3e-4] * 300 + [1e-4] * 200
    rows = [(name, step, rates[step] if name == "lr" else 1.0) for step in range(500) for name in order]
    judges = Judges(Config())
    for start in range(0, len(rows), size or len(rows)):
        judges.feed(records(rows[start : start + (size or len(rows))]))
    series = judges["loss"].series

    assert (series.rate, series.peak_rate) == (1e-4, 3e-4)
    assert series.steady_step == 300 + (order[0] == "loss")
    assert float(series.window(500).rates.max()) == 3e-4


def test_a_plateau_is_found_where_the_loss_is_logged_before_a_small_learning_rate() -> None:
    """The first record's learning rate is unknown for a moment only, and never taken for a peak of 1."""
    rng = np.random.default_rng(1)
    values = 2.0 + 4.0 * np.exp(-np.arange(3000) / 100) + 0.01 * rng.standard_normal(3000)
    rows = [row for step in range(3000) for row in (("loss", step, float(values[step])), ("lr", step, 3e-4))]

    assert [verdict.kind for verdict in fed(rows) if isinstance(verdict, Verdict)] == ["plateau"]


def test_without_a_learning_rate_it_counts_as_constant() -> None:
    """A run that logs no learning rate is judged as if it stood still."""
    series = judges_of(losses("loss", steps=range(200)))["loss"].series

    assert (series.steady, series.rate) == (200, 1.0)


def test_an_acknowledged_scale_counts_without_a_logged_learning_rate_too() -> None:
    """What the client acknowledged moves the learning rate in use, logged or not."""
    for rows in (losses("loss", steps=range(200)), losses("lr", "loss", steps=range(200))):
        judges = Judges(Config())
        judges.rates.acknowledged(150, 0.5)
        judges.feed(records(rows))
        assert (judges["loss"].series.steady, judges["loss"].series.rate) == (50, 0.5)


@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_of_several_learning_rates_the_first_one_counts(size: int | None) -> None:
    """The tag whose record came first is the learning rate for good, in whatever pieces the records come."""
    rows = [
        row
        for step in range(100)
        for row in (("lr/pg1", step, 0.1), ("loss", step, 1.0), ("lr/pg0", step, 0.1 if step < 50 else 0.01))
    ]
    judges = Judges(Config())
    for start in range(0, len(rows), size or len(rows)):
        judges.feed(records(rows[start : start + (size or len(rows))]))

    assert judges["loss"].series.steady == 100
    assert judges.newest["lr"] == 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_learning_rate_that_is_none_is_passed_over(bad: float) -> None:
    """NaN, infinite and negative learning rates leave the last good one in place."""
    rows = [row for step in range(50) for row in (("lr", step, bad if step % 2 else 0.1), ("loss", step, 1.0))]
    judges = judges_of(rows)

    assert (judges["loss"].series.rate, judges["loss"].series.steady) == (0.1, 50)
    assert judges.newest["lr"] == 0.1


def test_an_absurd_learning_rate_raises_no_warning() -> None:
    """Not even the largest float times the largest scale overflows."""
    judges = Judges(Config())
    judges.rates.acknowledged(0, 1e6)
    judges.feed(records([row for step in range(99) for row in (("lr", step, 1.7e308), ("loss", step, 1.0))]))

    assert np.isfinite(judges["loss"].series.rate)


def test_a_block_may_name_signals_it_does_not_hold() -> None:
    """Names without records announce nothing and choose no learning rate."""
    block = records([("lr/b", 0, 0.1), ("a/loss", 0, 1.0), ("b/loss", 0, 1.0)])
    part = type(block)(block.names, block.which[1:2], block.steps[1:2], block.values[1:2], block.walls[1:2])
    judges = Judges(Config())

    assert [item.signal for item in judges.feed(part) if isinstance(item, Announced)] == ["a/loss"]
    assert judges.newest == {"train": 1.0}


def test_an_empty_block_is_nothing() -> None:
    """No records, no items."""
    block = records([("loss", 0, 1.0)])
    empty = type(block)(block.names, block.which[:0], block.steps[:0], block.values[:0], block.walls[:0])
    assert Judges(Config()).feed(empty) == []


def test_the_order_in_which_signals_decide() -> None:
    """Training before evaluation, losses before scores, the shortest name first."""
    names = ["val/loss", "train/accuracy", "train/box_loss", "aux_loss", "loss", "train/loss", "val/acc", "trl"]
    ordered = sorted(names, key=lambda name: decides_before(name, meaning(name, Config().signals)))

    assert ordered == [
        "trl",
        "loss",
        "train/loss",
        "aux_loss",
        "train/box_loss",
        "train/accuracy",
        "val/loss",
        "val/acc",
    ]
