"""What a series remembers: how much, how exactly, and how it forgets."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lrwatch.series import BLOCKS, Series

Values = NDArray[np.float64]


def series_of(
    values: Values | list[float], steps: NDArray[np.int64] | None = None, rates: Values | None = None
) -> Series:
    """Return a series that took `values` in one piece."""
    series = Series()
    extend(series, values, steps, rates)
    return series


def extend(
    series: Series,
    values: Values | list[float],
    steps: NDArray[np.int64] | None = None,
    rates: Values | None = None,
) -> None:
    """Append records, by default at the next steps and at a learning rate of 1."""
    values = np.asarray(values, dtype=np.float64)
    if steps is None:
        steps = series.count + np.arange(len(values), dtype=np.int64)
    series.append(steps, values, np.ones(len(values)) if rates is None else rates)


def state(series: Series) -> dict[str, object]:
    """Return all that can be seen of a series, as bytes where floats could hide a difference."""
    names = ["count", "nonfinite", "streak", "first_step", "last_step", "steady", "steady_step"]
    seen: dict[str, object] = {name: getattr(series, name) for name in names}
    for name in ("first", "last", "rate", "peak_rate"):
        seen[name] = np.float64(getattr(series, name)).tobytes()
    for k in range(series.depth):
        blocks = series.level(k)
        seen[f"level {k}"] = tuple(column.tobytes() for column in (blocks.steps, blocks.values, blocks.rates))
    return seen


@pytest.mark.parametrize("sizes", [[1], [2], [3], [7, 1], [64], [100, 3], [1000], [4096]])
def test_chunks_leave_no_trace(sizes: list[int]) -> None:
    """Whatever the pieces in which records come, the series is the same, bit for bit."""
    rng = np.random.default_rng(1)
    values, rates = rng.standard_normal(5000), np.repeat(rng.uniform(0.1, 1.0, 50), 100)
    steps = np.cumsum(rng.integers(0, 9, 5000))
    whole, cut = series_of(values, steps, rates), Series()

    start, turn = 0, 0
    while start < len(values):
        end = start + sizes[turn % len(sizes)]
        cut.append(steps[start:end], values[start:end], rates[start:end])
        start, turn = end, turn + 1

    assert state(cut) == state(whole)


def test_blocks_are_the_means_of_their_records() -> None:
    """A block of 2^k records holds the mean of their steps, values and learning rates."""
    rng = np.random.default_rng(2)
    values, rates, steps = rng.standard_normal(1024), rng.uniform(0.5, 1.0, 1024), np.cumsum(rng.integers(0, 5, 1024))
    series = series_of(values, steps, rates)

    blocks = series.level(4)

    assert (blocks.per, len(blocks)) == (16, 64)
    for column, records in ((blocks.steps, steps), (blocks.values, values), (blocks.rates, rates)):
        np.testing.assert_allclose(column, records.reshape(64, 16).mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 12345])
@pytest.mark.parametrize("most", [8, 16, 48, 64])
def test_a_window_has_half_to_all_of_the_blocks_asked_for(count: int, most: int) -> None:
    """A window of w records is given as most/2 to most blocks, and misses at most one block of the newest records."""
    series = series_of(np.arange(float(count)))
    for records in {1, most // 2, most, count // 3 + 1, count}:
        wanted = min(records, count)
        blocks = series.window(records, most)
        assert len(blocks) <= most
        assert len(blocks) >= min(most // 2, wanted)
        assert len(blocks) * blocks.per <= wanted
        assert wanted - len(blocks) * blocks.per < blocks.per
        assert series.last - blocks.values[-1] <= 1.5 * blocks.per


def test_the_window_of_an_empty_series_is_empty() -> None:
    """Before the first record there is nothing to look at, and asking is no error."""
    assert len(Series().window(100)) == 0
    assert len(Series().level(3)) == 0
    assert math.isnan(Series().last)


def test_parts_of_a_window() -> None:
    """The newest blocks of a window and the rest of it make up the whole."""
    blocks = series_of(np.arange(40.0)).window(40)

    assert blocks.last(8).values.tolist() == list(range(32, 40))
    assert blocks.without_last(8).values.tolist() == list(range(32))


@pytest.mark.parametrize("count", [200, 201, 4096, 4097, 5001])
@pytest.mark.parametrize("back", [1, 2, 3, 17, 62, 63])
def test_rewind_within_the_newest_records_is_exact(count: int, back: int) -> None:
    """Going back over fewer than 64 records leaves the series as if they had never come, whatever comes next."""
    rng = np.random.default_rng(3)
    values, more = rng.standard_normal(count), rng.standard_normal(300)
    series, never = series_of(values), series_of(values[: count - back])

    series.rewind(count - back)

    finest = series.level(0)
    assert finest.values.tolist() == values[count - len(finest) - back : count - back].tolist()
    assert (series.count, series.last, series.last_step) == (never.count, never.last, never.last_step)
    for one in (series, never):
        extend(one, more)
    again, fresh = state(series), state(never)
    assert [key for key in fresh if again[key] != fresh[key]] == []


@pytest.mark.parametrize("count", [1000, 1001, 4096, 5003])
@pytest.mark.parametrize("step", [1, 30, 64, 65, 500, 501, 900, 935])
def test_rewind_below_the_finest_level_keeps_nothing_from_the_step_on(count: int, step: int) -> None:
    """Going back far forgets every record from the step on, and less than a block of those before it."""
    series = series_of(np.arange(float(count)))

    series.rewind(step)

    assert series.count <= step
    removed = count - step
    assert series.count > step - max(2 * removed / BLOCKS, 1)
    for k in range(series.depth):
        blocks = series.level(k)
        newest = blocks.values + (blocks.per - 1) / 2
        assert (newest < step).all()
        assert len(blocks) <= series.count >> k
    assert series.last_step < step


def test_rewind_to_the_first_step_forgets_everything() -> None:
    """A training that starts again from its first step is a new one."""
    series = series_of(np.arange(100.0))
    series.rewind(0)

    assert state(series) == state(Series())


def test_rewind_beyond_the_end_forgets_nothing() -> None:
    """A step that was not logged yet takes nothing back but a streak of non-finite records."""
    series = series_of(np.arange(100.0))
    before = state(series)
    series.append_nonfinite(100)
    series.append_nonfinite(101)

    series.rewind(100)

    assert state(series) == {**before, "nonfinite": 2}


def test_uneven_steps_do_not_hide_a_record_that_is_logged_again() -> None:
    """A block goes as soon as one of its records is taken back, even if its mean step lies before."""
    steps = np.array([*range(64), 64, 10_000, *range(10_001, 10_065)])
    series = series_of(np.arange(len(steps), dtype=np.float64), steps)

    series.rewind(9_000)

    assert series.last_step <= 64
    assert all(level.steps.max(initial=0.0) <= 64 for level in map(series.level, range(series.depth)))


def test_records_after_a_rewind_join_the_ones_before() -> None:
    """Pairs that were open when the training went back are closed by what it logs again."""
    series = series_of(np.arange(101.0))
    series.rewind(97)
    extend(series, [-1.0] * 7, np.arange(97, 104, dtype=np.int64))

    assert series.level(1).values[-4:].tolist() == [(96 - 1) / 2, -1.0, -1.0, -1.0]


def test_a_constant_rate_is_steady_from_the_first_record() -> None:
    """The learning rate stands still as long as it stays within 5 % of where it stood."""
    rng = np.random.default_rng(4)
    series = series_of(np.zeros(1000), np.arange(1000), 0.1 * rng.uniform(0.98, 1.02, 1000))

    assert (series.steady, series.steady_step) == (1000, 0)


def test_a_step_of_the_rate_starts_a_steady_stretch() -> None:
    """A cut of the learning rate begins a new stretch at the record it shows in."""
    rates = np.where(np.arange(1000) < 600, 0.1, 0.03)
    series = series_of(np.zeros(1000), 10 * np.arange(1000), rates)

    assert (series.steady, series.steady_step) == (400, 6000)
    assert (series.rate, series.peak_rate) == (0.03, 0.1)


def test_a_sliding_rate_is_never_steady_for_long() -> None:
    """Along a schedule the anchor moves on with every 5 %, in whatever pieces the records come."""
    rates = np.exp(-np.arange(1000) / 100)
    whole, single = series_of(np.zeros(1000), np.arange(1000), rates), Series()
    for step in range(1000):
        single.append(np.array([step]), np.zeros(1), rates[step : step + 1])

    assert whole.steady <= 5
    assert (single.steady, single.steady_step, single.rate) == (whole.steady, whole.steady_step, whole.rate)


def test_a_rate_of_zero_is_left_at_the_first_positive_one() -> None:
    """A warm-up that begins at 0 counts as a change, not as a division by zero."""
    series = series_of(np.zeros(3), np.arange(3), np.array([0.0, 0.0, 1e-9]))

    assert (series.steady, series.rate) == (1, 1e-9)


def test_a_rewind_shortens_the_steady_stretch() -> None:
    """What is taken back no longer counts as time at this learning rate."""
    rates = np.where(np.arange(1000) < 600, 0.1, 0.03)
    series = series_of(np.zeros(1000), np.arange(1000), rates)

    series.rewind(960)

    assert (series.steady, series.steady_step, series.rate) == (360, 600, 0.03)


def test_a_rewind_before_the_last_cut_begins_a_new_stretch() -> None:
    """A training that went back to before a cut, at whatever learning rate, is steady from there on only."""
    for rate in (0.1, 0.03):
        series = series_of(np.zeros(100), np.arange(100), np.where(np.arange(100) < 60, 0.1, 0.03))
        series.rewind(50)
        extend(series, [0.0] * 5, rates=np.full(5, rate))

        assert (series.count, series.steady, series.steady_step, series.rate) == (55, 5, 50, rate)


def test_rates_can_be_measured_in_another_unit() -> None:
    """When the script's learning rate becomes known after the fact, all rates so far are multiplied by it."""
    rng = np.random.default_rng(5)
    values, rates = rng.standard_normal(777), np.where(np.arange(777) < 500, 1.0, 0.5)
    series, known = series_of(values, rates=rates), series_of(values, rates=0.25 * rates)

    series.multiply_rates(0.25)
    for one in (series, known):
        extend(one, values, rates=np.full(777, 0.125))

    assert state(series) == state(known)


def test_ten_million_records_fit_into_64_kib() -> None:
    """The memory of a signal is bounded: nothing of what was appended is kept alive behind the blocks."""
    series = Series()
    piece = np.random.default_rng(6).standard_normal(1_000_000)
    for _ in range(10):
        extend(series, piece)

    arrays = [*series._levels, *(odd for odd in series._odd if odd is not None)]
    assert sum((array if array.base is None else array.base).nbytes for array in arrays) < 64 * 1024
    assert series.count == 10_000_000
    assert series.depth == 24


def test_nonfinite_records_are_counted_and_enter_no_mean() -> None:
    """A NaN is remembered as a streak and leaves every block as it was."""
    series = series_of(np.ones(100))
    before = state(series)

    series.append_nonfinite(100)
    series.append_nonfinite(101)

    assert state(series) == {**before, "nonfinite": 2, "streak": 2}
    assert series.streak_step == 100


def test_a_finite_record_ends_a_streak() -> None:
    """Only non-finite records in a row make a streak; the count goes on for ever."""
    series = series_of([1.0])
    for step in (1, 2):
        series.append_nonfinite(step)
    extend(series, [1.0], np.array([3]))
    series.append_nonfinite(4)

    assert (series.nonfinite, series.streak, series.streak_step) == (3, 1, 4)


@pytest.mark.parametrize(
    "pattern",
    [[1e308, -1e308], [1e308], [-1e308], [5e-324, -5e-324], [5e-324, 1e308], [7.0], [0.0], [-0.0]],
)
def test_extreme_values_raise_no_warning(pattern: list[float]) -> None:
    """The largest, the smallest and the same values over and over stay numbers at every resolution."""
    series = series_of(np.resize(pattern, 1000))

    for k in range(series.depth):
        assert np.isfinite(series.level(k).values).all()
    assert all(math.isfinite(value) for value in (series.first, series.last))
    assert abs(series.last) <= 1e150
