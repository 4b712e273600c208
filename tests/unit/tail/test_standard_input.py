"""Standard input, read without waiting."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrwatch.model import Chunk
from lrwatch.tail.standard_input import StandardInput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def read(stream: StandardInput, limit: int | None = None) -> bytes:
    """Read what is there."""
    return b"".join(piece.data for piece in stream.read(limit) if isinstance(piece, Chunk))


def test_what_is_written_is_read(pipe: tuple[int, int]) -> None:
    """An empty pipe is not waited for."""
    stream = StandardInput(pipe[0])

    assert read(stream) == b""
    os.write(pipe[1], b"one")
    assert stream.lag == 1
    assert read(stream) == b"one"
    assert stream.lag == 0
    assert not stream.ended


def test_the_limit_holds(pipe: tuple[int, int]) -> None:
    """The rest stays in the pipe."""
    stream = StandardInput(pipe[0])
    os.write(pipe[1], b"abcde")

    assert read(stream, limit=2) == b"ab"
    assert read(stream) == b"cde"


def test_the_end_is_noticed(pipe: tuple[int, int]) -> None:
    """What was written before the writer closed is still read."""
    stream = StandardInput(pipe[0])
    os.write(pipe[1], b"last")
    os.close(pipe[1])

    assert read(stream) == b"last"
    assert stream.ended
    assert stream.lag == 0
    assert read(stream) == b""


def test_a_redirected_file_ends(tmp_path: Path) -> None:
    """`lrwatch watch - < file` comes to an end."""
    path = tmp_path / "log"
    path.write_bytes(b"one")
    with path.open("rb") as file:
        stream = StandardInput(file.fileno())

        assert read(stream) == b"one"
        assert stream.ended


def test_the_descriptor_stays_as_it_is(pipe: tuple[int, int]) -> None:
    """Other processes share it: it is neither made non-blocking nor closed."""
    stream = StandardInput(pipe[0])
    read(stream)
    stream.close()

    assert os.get_blocking(pipe[0])


def test_a_closed_descriptor_is_an_error_and_the_end(pipe: tuple[int, int]) -> None:
    """A daemon started with `<&-` goes on without standard input."""
    os.close(pipe[0])
    stream = StandardInput(pipe[0])

    assert read(stream) == b""
    assert stream.ended
    assert stream.error
