"""Which step and which time the records of a line belong to."""

import json
from collections.abc import Mapping

import pytest

from lrwatch.formats.jsonl import MAX_STEP, STEP_KEYS, JsonLines
from lrwatch.testing.formats import Reading, read_all


def read(*lines: Mapping[str, object] | str) -> Reading:
    """Read lines, given as objects or as they stand in the file."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_all(JsonLines(), [text.encode()])


def steps(*lines: Mapping[str, object] | str) -> list[int]:
    """Return the step of each record."""
    return [item[1] for item in read(*lines).items if isinstance(item, tuple)]


@pytest.mark.parametrize("key", STEP_KEYS)
def test_each_name_of_the_step_is_known(key: str) -> None:
    """Whatever a framework calls it, the step is found and is no record itself."""
    assert read({"loss": 1.0, key: 7}).items == [("loss", 7, "1.0", "nan")]


def test_the_first_name_counts() -> None:
    """Where a line has several, the more usual name is the step, and none of them is a record."""
    assert read({"iter": 3, "loss": 1.0, "step": 50, "update": 0.01}).items == [("loss", 50, "1.0", "nan")]


def test_a_null_step_is_none() -> None:
    """A step that is there in name only is passed over."""
    assert steps({"step": None, "iter": 4, "loss": 1}) == [4]


def test_a_nested_global_step_is_known() -> None:
    """train/global_step is a step also as an object within an object."""
    assert read({"train": {"global_step": 9, "loss": 1}}).items == [("train/loss", 9, "1.0", "nan")]


@pytest.mark.parametrize(("spelling", "step"), [("5.0", 5), ('"120"', 120), (str(2**53), 2**53), ("0", 0), ("-0.0", 0)])
def test_integral_numbers_are_steps(spelling: str, step: int) -> None:
    """A float without fraction and a number in a string count like an integer."""
    assert steps(f'{{"step": {spelling}, "loss": 1}}') == [step]


@pytest.mark.parametrize(
    "spelling",
    ["true", "-1", "1.5", "NaN", "Infinity", str(MAX_STEP + 1), "1e300", "9" * 5000, '"ten"', '""', "[1]"],
)
def test_an_impossible_step_rejects_the_line(spelling: str) -> None:
    """No record is put at a step that the training cannot be at, and the lines after it are read."""
    reading = read(f'{{"step": {spelling}, "loss": 1, "acc": 2}}', {"step": 3, "loss": 4})

    assert reading.rejected == {"step": 1}
    assert reading.items == [("loss", 3, "4.0", "nan")]


def test_integral_epochs_are_steps_where_nothing_else_is() -> None:
    """A log per epoch is counted in epochs, and the epoch is no record then."""
    assert read({"epoch": 1, "loss": 5}, {"epoch": 2, "loss": 4}).items == [
        ("loss", 1, "5.0", "nan"),
        ("loss", 2, "4.0", "nan"),
    ]


def test_the_epoch_is_a_record_beside_a_step() -> None:
    """Where the step is known otherwise, the epoch is a signal like any other."""
    assert read({"step": 10, "epoch": 0.5}).items == [("epoch", 10, "0.5", "nan")]


def test_objects_are_counted_where_the_epoch_is_a_fraction() -> None:
    """A log of fractional epochs has no steps: its objects are counted from 1, other lines are not."""
    assert steps({"epoch": 0.98, "loss": 3}, "not json", {"epoch": 0.99, "loss": 2}) == [1, 1, 2, 2]


def test_a_whole_epoch_among_fractions_is_no_step() -> None:
    """At epoch 1.0 of a log in fractional epochs the step does not fall back to 1."""
    assert steps(*({"epoch": epoch, "loss": 1} for epoch in (0.5, 0.75, 1.0, 1.25)))[::2] == [1, 2, 3, 4]


def test_a_line_without_step_belongs_to_the_step_before() -> None:
    """An evaluation that is logged without step is put where the training stands, not on another axis."""
    assert steps({"step": 500, "loss": 1}, {"eval_loss": 2, "epoch": 1}) == [500, 500, 500]


@pytest.mark.parametrize("key", ["timestamp", "_timestamp", "wall_time", "time"])
def test_each_name_of_the_wall_time_is_known(key: str) -> None:
    """The time of a line is found and is no record itself."""
    assert read({"step": 1, "loss": 2, key: 1.7e9}).items == [("loss", 1, "2.0", "1700000000.0")]


def test_a_duration_is_no_wall_time() -> None:
    """`time` below 10^8 is how long a step took, a signal like any other."""
    assert read({"step": 1, "time": 0.48}).items == [("time", 1, "0.48", "nan")]


def test_a_date_in_words_is_no_wall_time() -> None:
    """A timestamp that is a text gives no time, and the line is read all the same."""
    assert read({"step": 1, "loss": 2, "timestamp": "2024-05-01T12:00:00"}).items == [("loss", 1, "2.0", "nan")]


def test_steps_that_go_back_are_kept() -> None:
    """A restart in the same file is for later stages to see."""
    assert steps({"iteration": 159, "loss": 1}, {"iteration": 19, "loss": 2}) == [159, 19]


def test_reset_starts_the_count_anew() -> None:
    """After a truncation objects are counted from 1 again."""
    format_ = JsonLines()
    list(format_.feed(b'{"loss": 1}\n{"loss": 1}\n'))
    format_.reset()

    assert read_all(format_, [b'{"loss": 1}\n']).items == [("loss", 1, "1.0", "nan")]
