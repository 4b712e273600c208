"""Which learning rate a record was trained with."""

import numpy as np
from numpy.typing import NDArray

from lrwatch.detect.rates import Rates

NONE = np.empty(0, np.intp)


def scales(rates: Rates, *steps: int) -> list[float]:
    """Return the acknowledged scales at some steps."""
    return [float(scale) for scale in rates.scale_at(np.array(steps, dtype=np.int64))]


def in_use(rates: Rates, places: list[int], rate_places: NDArray[np.intp], values: list[float]) -> list[float]:
    """Return the learning rates of records at step 0 that stand at `places`."""
    steps = np.zeros(len(places), np.int64)
    return [float(rate) for rate in rates.in_use(steps, np.array(places), rate_places, np.array(values))]


def test_before_any_word_the_scale_is_one() -> None:
    """A training that nobody adjusts runs at its own learning rate."""
    assert scales(Rates(), 0, 10**15) == [1.0, 1.0]


def test_a_scale_holds_from_its_step_on() -> None:
    """An acknowledged scale counts from the step it was acknowledged for until the next one."""
    rates = Rates()
    rates.acknowledged(100, 0.5)
    rates.acknowledged(200, 0.25)

    assert scales(rates, 0, 99, 100, 199, 200, 10**9) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_later_word_replaces_what_it_overtakes() -> None:
    """A plan that was cut short, or begun anew after a restore, leaves nothing behind its new start."""
    rates = Rates()
    for step, scale in ((100, 0.9), (150, 0.7), (200, 0.5)):
        rates.acknowledged(step, scale)
    rates.acknowledged(150, 0.1)

    assert scales(rates, 120, 150, 500) == [0.9, 0.1, 0.1]


def test_another_training_begins_at_one() -> None:
    """What one training acknowledged says nothing about the next."""
    rates = Rates()
    rates.acknowledged(0, 0.5)
    rates.forget()

    assert scales(rates, 0) == [1.0]


def test_the_memory_is_bounded() -> None:
    """Of very many changes the oldest are forgotten, never the newest."""
    rates = Rates()
    for step in range(20_000):
        rates.acknowledged(step, 0.5 if step % 2 else 0.25)

    assert scales(rates, 19_998, 19_999) == [0.25, 0.5]
    assert len(rates._steps) <= 4096


def test_a_record_has_the_newest_rate_logged_before_it() -> None:
    """Within a block, by place; before the first of a block, the last of the blocks before."""
    rates = Rates()
    assert not rates.known
    rates.logged(np.array([0.3, 0.2]))
    assert rates.known

    assert in_use(rates, [0, 2, 4], np.array([1, 3]), [0.1, 0.05]) == [0.2, 0.1, 0.05]


def test_a_block_without_rates_changes_nothing() -> None:
    """Where no learning rate stands in a block, the newest known one goes on; unknown counts as 1."""
    rates = Rates()
    rates.logged(np.empty(0))
    assert not rates.known
    assert in_use(rates, [0], NONE, []) == [1.0]


def test_the_rate_in_use_is_the_scripts_times_the_scale() -> None:
    """The hook takes the scale back before any logger looks, so both factors are needed."""
    rates = Rates()
    rates.logged(np.array([0.1]))
    rates.acknowledged(10, 0.5)

    steps = np.array([9, 10], np.int64)
    assert rates.in_use(steps, np.array([0, 1]), NONE, np.empty(0)).tolist() == [0.1, 0.05]
