"""Checksums of many strings at once."""

import google_crc32c
import numpy as np
import pytest

from lrwatch.formats import checksums
from lrwatch.testing.formats import event_record


@pytest.mark.parametrize("width", [1, 7, 35, checksums.MAX_ROW])
def test_rows(width: int) -> None:
    """Each row has the checksum that it has alone."""
    chance = np.random.default_rng(width)
    rows = [chance.bytes(width) for _ in range(50)]

    found = checksums.of_rows(np.frombuffer(b"".join(rows), np.uint8).reshape(50, width))

    assert found.tolist() == [google_crc32c.value(row) for row in rows]


def test_rows_that_are_equal() -> None:
    """Where nothing differs nothing has to be looked up."""
    assert checksums.of_rows(np.zeros((3, 8), np.uint8)).tolist() == [google_crc32c.value(bytes(8))] * 3


@pytest.mark.parametrize("lengths", [[], [0, 1, 35, 65535], [3, 65536, 2**28, 2**32 - 1]])
def test_lengths(lengths: list[int]) -> None:
    """A length has the masked checksum that stands after it in a file."""
    found = checksums.of_lengths(np.array(lengths, np.uint32))

    assert found.astype("<u4").tobytes() == b"".join(
        event_record(length.to_bytes(8, "little"))[-4:] for length in lengths
    )
