"""What in a JSON object is a record."""

import math
from collections.abc import Iterator

import pytest

from lrwatch.formats.base import MAX_NAME
from lrwatch.formats.jsonl import JsonLines
from lrwatch.model import Gap, Rejected
from lrwatch.testing.formats import read_all


def values(line: str | bytes) -> dict[str, float]:
    """Return tags and values of one line that is rejected in no part."""
    data = line.encode() if isinstance(line, str) else line
    reading = read_all(JsonLines(), [data + b"\n"])
    assert not reading.rejected
    return {name: float(value) for name, _, value, _ in rows(reading.items)}


def rejected(line: str | bytes) -> dict[str, int]:
    """Return what is rejected of one line."""
    return dict(read_all(JsonLines(), [line.encode() if isinstance(line, str) else line]).rejected)


def rows(items: list[tuple[str, int, str, str] | Gap]) -> Iterator[tuple[str, int, str, str]]:
    """Give the records among `items`, which hold nothing else."""
    for item in items:
        assert isinstance(item, tuple)
        yield item


def test_numbers_are_scalars() -> None:
    """Integers and floats are records; the step is none."""
    assert values('{"step": 3, "loss": 0.5, "tokens": 1024}') == {"loss": 0.5, "tokens": 1024.0}


def test_other_values_are_silently_no_records() -> None:
    """Booleans, null, texts and lists belong to a log and are no error."""
    assert values('{"step": 1, "done": true, "note": "nan loss", "eta": "0:12:03", "x": null, "lr": [1, 2]}') == {}


def test_nested_objects_join_their_keys() -> None:
    """The tag of a nested number is its path, in the order of the line."""
    line = '{"step": 1, "train": {"loss": 1, "grad": {"norm": 2}, "acc": 3}, "val": {"loss": 4}}'

    assert list(values(line).items()) == [("train/loss", 1), ("train/grad/norm", 2), ("train/acc", 3), ("val/loss", 4)]


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1e308", 1e308),
        ("1e309", math.inf),
        ("-1e400", -math.inf),
        ("1e-400", 0.0),
        ('"0.7157"', 0.7157),
        ('"nan"', math.nan),
        ('"NaN"', math.nan),
        ('"-inf"', -math.inf),
        ('"Infinity"', math.inf),
        ('"1e-5"', 1e-5),
        ('"+.5"', 0.5),
        ('"3."', 3.0),
    ],
)
def test_what_spells_a_number_is_one(spelling: str, value: float) -> None:
    """Bare non-finite constants and strings of ASCII numbers are data, however large."""
    assert repr(values(f'{{"step": 1, "loss": {spelling}}}')["loss"]) == repr(value)


@pytest.mark.parametrize(
    "spelling", ["", " 1", "1 ", "1_000", "0x10", "\uff11\uff12", "1,5", "12%", "e5", ".", "infinite"]
)
def test_what_only_resembles_a_number_is_none(spelling: str) -> None:
    """Python's own float() takes more than what trainings write."""
    assert values(f'{{"step": 1, "loss": "{spelling}"}}') == {}


@pytest.mark.parametrize("digits", [400, 5000])
def test_an_integer_beyond_all_floats_is_infinite(digits: int) -> None:
    """An integer of any length is read as the double nearest to it."""
    assert values(f'{{"step": 1, "up": {"9" * digits}, "down": -{"9" * digits}}}') == {
        "up": math.inf,
        "down": -math.inf,
    }


@pytest.mark.parametrize(
    "line", ["loss 0.5", "[1, 2]", "3", '"text"', "null", '{"step": 1, "loss": 0.5', "{'loss': 1}"]
)
def test_a_line_that_is_no_object_is_rejected(line: str) -> None:
    """Other text in the stream is counted and harms nothing."""
    assert rejected(line) == {"json": 1}


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, '{"a":' * 70 + "1" + "}" * 70])
def test_deep_nesting_is_rejected(line: str) -> None:
    """Nothing that was ever logged is 65 levels deep, and no depth is a way to crash."""
    assert rejected(line) == {"json": 1}


def test_names_cannot_multiply() -> None:
    """A line of one megabyte cannot ask for gigabytes of joined names."""
    leaves = ",".join(f'"{i}":1' for i in range(50_000))

    assert rejected(f'{{"{"k" * 500_000}": {{{leaves}}}}}') == {"json": 1}


def test_a_tag_too_long_is_rejected() -> None:
    """The other records of its line are kept."""
    reading = read_all(JsonLines(), [f'{{"step": 1, "{"k" * (MAX_NAME + 1)}": 1, "loss": 2}}\n'.encode()])

    assert reading.rejected == {"name": 1}
    assert [row[0] for row in rows(reading.items)] == ["loss"]


def test_blank_lines_are_no_error() -> None:
    """Empty lines and lines of spaces are passed over."""
    assert rejected("\n  \n\r\n") == {}


def test_invalid_utf8_is_replaced_after_framing() -> None:
    """A bad byte spoils the name it stands in and nothing else."""
    assert values(b'{"step": 1, "l\xffss": 2, "acc": 3}') == {"l\ufffdss": 2, "acc": 3}


def test_every_name_can_be_encoded() -> None:
    """A lone surrogate, which JSON can spell and UTF-8 cannot, is replaced."""
    assert values('{"step": 1, "l\\ud800ss": 2}') == {"l?ss": 2}


def test_a_byte_order_mark_is_tolerated() -> None:
    """Windows editors put one before the first line."""
    assert values(b'\xef\xbb\xbf{"step": 1, "loss": 2}') == {"loss": 2}


def test_a_line_too_long_is_counted_with_its_bytes() -> None:
    """What is dropped for its length is rejected and leaves a gap; reading goes on."""
    long = b'{"step": 2, "loss": ' + b"1" * (1 << 20) + b"}"

    reading = read_all(JsonLines(), [b'{"step": 1, "loss": 1}\n' + long + b'\n{"step": 3, "loss": 3}\n'])

    assert reading.rejected == {"oversize": 1}
    assert reading.items == [
        ("loss", 1, "1.0", "nan"),
        Gap("oversize", len(long), 1),
        ("loss", 3, "3.0", "nan"),
    ]


def test_a_last_line_without_newline_is_given_at_the_end() -> None:
    """A line is not read before it is whole; a finished stream makes it whole."""
    format_ = JsonLines()

    assert list(format_.feed(b'{"step": 1, "loss": 0.5}')) == []
    assert len(list(format_.finish())) == 1


def test_rejections_of_one_call_are_counted_together() -> None:
    """A stream full of other text makes one count of each piece, not one object for each line."""
    assert list(JsonLines().feed(b"text\n" * 1000)) == [Rejected("json", 1000)]
