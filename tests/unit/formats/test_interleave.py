"""Records of several files in one order."""

import math

import numpy as np
import pytest

from lrwatch.formats.base import Block, choose
from lrwatch.formats.interleave import Lane, interleave, merge
from lrwatch.model import Gap, Scalars


def block(name: str, *walls: float, steps: list[int] | None = None) -> Scalars:
    """Return records of one tag, valued by their wall times."""
    made = Block()
    for index, wall in enumerate(walls):
        made.add(name, steps[index] if steps else index, wall, wall)
    return next(made.take())


def names(scalars: Scalars) -> list[str]:
    """Return the tag of each record."""
    return [scalars.names[index] for index in scalars.which.tolist()]


def test_blocks_are_merged_by_time() -> None:
    """Each record finds its place among those of the other file."""
    left, right = Lane(), Lane()
    left.put(block("a", 1, 3, 5))
    right.put(block("b", 2, 4))

    merged = merge([*left.take("wall", 9), *right.take("wall", 9)])

    assert merged.values.tolist() == [1, 2, 3, 4, 5]
    assert names(merged) == ["a", "b", "a", "b", "a"]


def test_equal_times_go_in_the_order_of_the_files() -> None:
    """The result depends on nothing else."""
    left, right = Lane(), Lane()
    left.put(block("a", 1, 1))
    right.put(block("b", 1))

    assert names(merge([*left.take("wall", 1), *right.take("wall", 1)])) == ["a", "a", "b"]


def test_a_file_s_own_order_stands() -> None:
    """A clock that went back does not reorder a file: its record counts as late as the latest before it."""
    left, right = Lane(), Lane()
    left.put(block("a", 10, 3, 11))
    right.put(block("b", 5, 10))

    assert names(merge([*left.take("wall", 99), *right.take("wall", 99)])) == ["b", "a", "a", "b", "a"]


def test_a_wall_time_that_is_no_number_counts_as_the_one_before() -> None:
    """NaN has no place in an order."""
    lane = Lane()
    lane.put(block("a", 1, math.nan, 3))

    assert [keys.tolist() for keys, _ in lane.take("wall", 9)] == [[1, 1, 3]]


def test_records_later_than_asked_for_stay() -> None:
    """A block is cut where it must be, with the names that are left."""
    lane = Lane()
    lane.put(block("a", 1, 2, 3))

    ((_, first),) = lane.take("wall", 2)

    assert first.values.tolist() == [1, 2]
    assert len(lane) == 1
    assert [part.values.tolist() for _, part in lane.take("wall", 3)] == [[3]]


def test_by_step() -> None:
    """Files without wall times are ordered by step."""
    left, right = Lane(), Lane()
    left.put(block("a", math.nan, math.nan, steps=[10, 30]))
    right.put(block("b", math.nan, steps=[20]))

    assert left.has_walls is False
    assert names(merge([*left.take("step", 99), *right.take("step", 99)])) == ["a", "b", "a"]


def test_a_gap_is_a_wall() -> None:
    """What comes after a gap is not taken before the gap is."""
    lane = Lane()
    lane.put(block("a", 1))
    lane.put(Gap("restart", 0, 1))
    lane.put(block("a", 2))

    assert [len(part) for _, part in lane.take("wall", 9)] == [1]
    assert lane.take("wall", 9) == []
    assert lane.take_gaps("wall", 0.5) == []
    assert lane.take_gaps("wall", 9) == [Gap("restart", 0, 1)]
    assert [len(part) for _, part in lane.take("wall", 9)] == [1]
    assert len(lane) == 0


def test_how_far_a_file_has_come() -> None:
    """The latest time so far stays, also when its record is taken; without any record it is unknown."""
    lane = Lane()
    assert lane.reached("wall") == -math.inf

    lane.put(block("a", 1, 7, 3))
    lane.take("wall", 9)

    assert lane.reached("wall") == 7
    assert lane.reached("step") == 2


def test_gaps_and_records_of_several_files() -> None:
    """A gap comes after the records of its time, and before the later ones of any file."""
    left, right = Lane(), Lane()
    for item in (block("a", 1), Gap("restart", 0, 1), block("a", 4)):
        left.put(item)
    right.put(block("b", 1, 2, 5, 9))

    found = list(interleave([left, right, Lane()], "wall", 5, lambda _, part: part))

    assert [item if isinstance(item, Gap) else names(item) for item in found] == [
        ["a", "b"],
        Gap("restart", 0, 1),
        ["b", "a", "b"],
    ]
    assert (len(left), len(right)) == (0, 1)


@pytest.mark.parametrize("chosen", [slice(1, None), np.array([False, True, True])])
def test_chosen_records_have_only_their_own_names(chosen: slice) -> None:
    """A name whose records are gone goes with them."""
    whole = merge([(np.array([1.0]), block("a", 1)), (np.array([2.0, 3.0]), block("b", 2, 3))])

    part = choose(whole, chosen)

    assert part.names == ("b",)
    assert names(part) == ["b", "b"]
