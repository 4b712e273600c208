"""Knowing a file again by its content."""

import os
from pathlib import Path

import pytest

from lrwatch.tail.identity import REMEMBERED, Fingerprint


def holds(fingerprint: Fingerprint, path: Path) -> bool:
    """Say whether what was read stands in the file at `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return fingerprint.holds(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(*pieces: bytes) -> Fingerprint:
    """Return the fingerprint of what was read in `pieces`."""
    made = Fingerprint()
    for piece in pieces:
        made.extend(piece)
    return made


@pytest.mark.parametrize("size", [0, 1, 100, REMEMBERED, 5 * REMEMBERED])
def test_a_file_that_has_grown_is_the_same(tmp_path: Path, size: int) -> None:
    """What was read is still there, however it was read."""
    data = os.urandom(size)
    path = tmp_path / "log"
    path.write_bytes(data + b"more")

    assert holds(fingerprint(data), path)
    assert holds(fingerprint(data[:7], data[7:]), path)
    assert fingerprint(data[:7], data[7:]).offset == size


@pytest.mark.parametrize("place", [0, REMEMBERED - 1, -REMEMBERED, -1])
def test_a_file_whose_first_or_last_kilobyte_differs_is_another(tmp_path: Path, place: int) -> None:
    """One byte at either end of what was read is enough."""
    data = bytearray(os.urandom(5 * REMEMBERED))
    read = fingerprint(bytes(data))
    data[place] ^= 1
    path = tmp_path / "log"
    path.write_bytes(data + b"more")

    assert not holds(read, path)


def test_a_file_that_is_shorter_is_another(tmp_path: Path) -> None:
    """What was read last is not there any more."""
    path = tmp_path / "log"
    path.write_bytes(b"abc")

    assert not holds(fingerprint(b"abcd"), path)


def test_a_fingerprint_does_not_grow() -> None:
    """However much is read, two kilobytes are kept."""
    read = fingerprint(*[os.urandom(300) for _ in range(100)])

    assert len(read._first) == len(read._last) == REMEMBERED
    assert read.offset == 30_000
