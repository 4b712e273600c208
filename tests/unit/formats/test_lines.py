"""Lines of bounded length."""

import tracemalloc

import pytest

from lrwatch.formats.lines import MAX_LINE, Lines
from lrwatch.model import Gap


def test_a_line_is_given_when_its_newline_has_come() -> None:
    """Half a line is held back, whatever the cutting."""
    lines = Lines()

    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o") == []
    assert lines.feed(b"\nthree") == [b"two"]


def test_windows_line_ends_are_tolerated() -> None:
    """A carriage return before the newline is no part of the line, even when they come apart."""
    lines = Lines()

    assert lines.feed(b"one\r\ntwo\r") == [b"one"]
    assert lines.feed(b"\n\r\n") == [b"two", b""]


def test_the_end_of_the_stream_ends_the_last_line() -> None:
    """Only finish gives a line without newline, and only once."""
    lines = Lines()
    lines.feed(b"one\ntwo")

    assert lines.finish() == [b"two"]
    assert lines.finish() == []


def test_nothing_is_left_after_a_newline() -> None:
    """A stream that ends with a newline has no empty line after it."""
    lines = Lines()

    assert lines.feed(b"one\n") == [b"one"]
    assert lines.finish() == []


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_too_long_is_dropped_and_measured(size: int) -> None:
    """One byte more than the limit makes a gap of the whole line, and the next line is read."""
    lines = Lines(limit=8)
    stream = b"12345678\n123456789\nnext\n"

    found = [line for start in range(0, len(stream), size) for line in lines.feed(stream[start : start + size])]

    assert found == [b"12345678", Gap("oversize", 9), b"next"]


def test_a_line_too_long_at_the_end_of_the_stream_is_measured() -> None:
    """A dropped line whose newline never comes is a gap at finish."""
    lines = Lines(limit=8)

    assert lines.feed(b"x" * 20) == []
    assert lines.finish() == [Gap("oversize", 20)]


def test_a_hundred_megabytes_without_newline_cost_no_memory() -> None:
    """What is dropped is counted and never held."""
    lines = Lines()
    piece = b"x" * (1 << 20)
    tracemalloc.start()
    for _ in range(100):
        assert lines.feed(piece) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert lines.feed(b"\nnext\n") == [Gap("oversize", 100 << 20), b"next"]
    assert peak < 4 * MAX_LINE


def test_reset_forgets_the_line_that_has_begun() -> None:
    """After a truncation no half of the old line is put before the new one."""
    lines = Lines()
    lines.feed(b"old")
    lines.reset()

    assert lines.feed(b"new\n") == [b"new"]
