"""Judging under any records, cut into any blocks."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrwatch.config import Config, DetectConfig, DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.detect.judge import Item, Judge
from lrwatch.detect.judges import Announced, Judges
from lrwatch.detect.online import repetition
from lrwatch.model import Scalars, Verdict
from lrwatch.roles import Meaning
from tests.curves import Values, judged, noise

KEEN = DetectConfig(
    PlateauConfig(min_records=32, gain=0.1),
    DivergenceConfig(min_records=16, sigmas=2.0),
    OscillationConfig(threshold=0.3),
)
NAMES = ("train/loss", "val/acc", "lr", "grad_norm", "epoch", "lr/second")


@st.composite
def losses(draw: st.DrawFn, *, finite: bool = False) -> Values:
    """Return a loss in which falls, floors, jumps, swings and runs of NaN follow one another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level, parts = draw(st.sampled_from([4.0, -4.0, 0.0])), []
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 150))
        steps = np.arange(count)
        what = draw(st.sampled_from(["fall", "floor", "jump", "swing", "nan"]))
        part = np.full(count, level)
        if what == "fall":
            part = level - 2.0 + 2.0 * np.exp(-steps / 20)
        elif what == "jump":
            part = part + 3.0
        elif what == "swing":
            part = part + 0.5 * np.cos(2 * np.pi * steps / draw(st.integers(2, 20)))
        level = float(part[-1])
        part = part + draw(st.sampled_from([0.0, 0.01, 0.3])) * noise("gauss", count, rng)
        if what == "nan" and not finite:
            part[: draw(st.integers(1, 6))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        parts.append(part)
    return np.concatenate(parts)


@st.composite
def runs(draw: st.DrawFn) -> Scalars:
    """Return the log of a training with several signals, which may go back to an earlier step now and then."""
    values = draw(losses())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    back = np.where(rng.random(len(values)) < draw(st.sampled_from([0.0, 0.003])), rng.integers(0, 200), 0)
    steps = np.maximum(np.arange(len(values)) - np.cumsum(back), 0)
    which = rng.choice(len(NAMES), len(values), p=[0.6, 0.2, 0.14, 0.02, 0.02, 0.02])
    rates = np.where(np.arange(len(values)) < draw(st.integers(0, 800)), 0.1, 0.05)
    values = np.where((which == 2) | (which == 5), rates, values)
    return Scalars(
        NAMES,
        which.astype(np.int32),
        steps.astype(np.int64),
        values,
        np.full(len(values), np.nan),
    )


def part(block: Scalars, start: int, end: int) -> Scalars:
    """Return some records of a block, under names in the order of their first record."""
    which = block.which[start:end].tolist()
    names = list(dict.fromkeys(which))
    return Scalars(
        tuple(block.names[index] for index in names),
        np.array([names.index(index) for index in which], np.int32),
        block.steps[start:end],
        block.values[start:end],
        block.walls[start:end],
    )


def fed(block: Scalars, cuts: list[int]) -> list[Item | Announced]:
    """Return all that comes out of a run when it is cut at some places."""
    judges = Judges(Config(detect=KEEN))
    judges.rates.acknowledged(300, 0.5)
    places = sorted({0, len(block), *(cut % (len(block) + 1) for cut in cuts)})
    out: list[Item | Announced] = []
    for start, end in pairwise(places):
        out += judges.feed(part(block, start, end))
    return out


@given(runs(), st.lists(st.integers(0, 2000), max_size=30))
def test_the_blocks_do_not_matter(block: Scalars, cuts: list[int]) -> None:
    """Records give the same items in the same order, in whatever blocks they come."""
    assert fed(block, cuts) == fed(block, [])


@given(runs(), st.integers(0, 2000))
def test_the_future_does_not_matter(block: Scalars, end: int) -> None:
    """What is said up to a record does not change when the records after it are cut off."""
    end %= len(block) + 1
    start = fed(part(block, 0, end), []) if end else []

    assert start == fed(block, [])[: len(start)]


floats = st.floats() | st.sampled_from([0.0, 1.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")])


@given(
    st.lists(floats, min_size=1, max_size=40),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 50), min_size=1, max_size=40),
    st.lists(st.floats(0.0, 1e150), min_size=1, max_size=5),
    st.booleans(),
)
def test_no_records_raise(values: list[float], steps: list[int], rates: list[float], sort: bool) -> None:
    """Any values, any steps and any learning rates, over and over, are judged without an error or a warning."""
    count = 400
    given_steps = np.resize(np.array(steps, dtype=np.int64), count)
    judged(
        np.resize(values, count),
        steps=np.sort(given_steps) if sort else given_steps,
        rates=np.resize(rates, count),
        config=KEEN,
    )


def without_text(verdicts: list[Verdict]) -> list[tuple[Any, ...]]:
    """Return what of verdicts does not speak of values."""
    return [(verdict.state, verdict.kind, verdict.step, verdict.since, verdict.severity) for verdict in verdicts]


@given(losses())
def test_losses_and_scores_are_judged_alike(values: Values) -> None:
    """To maximize -x is to minimize x."""
    assert judged(-values, goal="maximize", config=KEEN) == judged(values, config=KEEN)


@given(losses(), st.integers(-100, 100))
def test_the_unit_of_the_loss_does_not_matter(values: Values, exponent: int) -> None:
    """A loss in another unit gives the same verdicts: all thresholds are relative to the signal."""
    scaled = judged(values * 2.0**exponent, config=KEEN)

    assert without_text(scaled) == without_text(judged(values, config=KEEN))


@given(losses(), st.integers(0, 20), st.sampled_from([1, 2, 64]))
def test_the_unit_of_the_steps_does_not_matter(values: Values, first: int, every: int) -> None:
    """A log that starts later and holds every so many steps only gives the same verdicts at its own steps."""
    steps = 1024 * first + every * np.arange(len(values), dtype=np.int64)
    moved = judged(values, steps=steps, config=KEEN)
    plain = judged(values, config=KEEN)

    assert [(v.state, v.kind, v.severity) for v in moved] == [(v.state, v.kind, v.severity) for v in plain]
    assert [v.step for v in moved] == [1024 * first + every * v.step for v in plain]


@given(losses(finite=True), st.floats(-1e3, 1e3))
def test_swings_do_not_depend_on_the_level(values: Values, shift: float) -> None:
    """A constant, a slope or a parabola added to a window changes its strength by rounding only."""
    window = np.resize(values, 64) + 0.1 * noise("gauss", 64, np.random.default_rng(0))
    x = np.linspace(-1.0, 1.0, 64)

    strength, period = repetition(window)
    moved = repetition(window + shift * (1.0 + x + x * x))

    assert abs(moved[0] - strength) < 1e-6 or moved[1] != period


@given(losses())
def test_episodes_alternate(values: Values) -> None:
    """Of each kind a verdict is raised before it is cleared, and cleared before it is raised again."""
    judge = Judge("loss", Meaning("train"), KEEN)
    places = np.arange(len(values))
    active: dict[str, Verdict] = {}
    for _, item in judge.feed(places, places.astype(np.int64), values, np.ones(len(values))):
        if not isinstance(item, Verdict):
            continue
        if item.state == "raised":
            assert item.kind not in active
            assert item.since <= item.step
            active[item.kind] = item
        else:
            begun = active.pop(item.kind)
            assert (item.since, item.severity) == (begun.since, begun.severity)
            assert item.step >= begun.step
    assert active == judge.active
