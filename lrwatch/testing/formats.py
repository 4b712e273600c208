r"""What every log format must hold to, as a test that a format of one's own can call.

::

    from lrwatch.testing.formats import check_format

    def test_my_format():
        '''It keeps the promises of a format.'''
        check_format(MyFormat, b"step 1 loss 0.5\nstep 2 loss 0.4\n")

For tests about event files, `event_record` frames bytes as TensorBoard does, sound or damaged as one likes.
"""

import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import google_crc32c
import numpy as np

from lrwatch.formats.base import Format
from lrwatch.model import Gap, Rejected, Scalars

MOST_BYTES = 32 << 20
"""What a format may allocate at most while it reads a megabyte at a time."""

_MEGABYTE = 1 << 20
_DTYPES = [np.int32, np.int64, np.float64, np.float64]


@dataclass
class Reading:
    """What came out of a stream, in a form that can be compared.

    Parameters
    ----------
    items
        Records as (tag, step, value, wall time), the numbers spelt so that NaN equals itself, and gaps.
    rejected
        How many pieces were rejected, by reason.
    """

    items: list[tuple[str, int, str, str] | Gap] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, found: Iterable[Scalars | Gap | Rejected]) -> "Reading":
        """Append what a call of `feed` or `finish` gave, and return the reading."""
        for item in found:
            if isinstance(item, Rejected):
                self.rejected[item.reason] += item.count
            elif isinstance(item, Gap):
                self.items.append(item)
            else:
                self.items.extend(_rows(item))
        return self


def read_all(reader: Format, pieces: Iterable[bytes]) -> Reading:
    """Feed `pieces`, finish, and return everything that came out."""
    reading = Reading()
    for piece in pieces:
        reading.add(reader.feed(piece))
    return reading.add(reader.finish())


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """Cut `data` into pieces of `size` bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def event_record(data: bytes) -> bytes:
    """Return `data` as a record of an event file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked(length), data, _masked(data)))


def check_format(factory: Callable[[], Format], corpus: bytes, *, most_bytes: int = MOST_BYTES) -> None:
    """Put the promises of `lrwatch.formats.base.Format` to the test.

    Parameters
    ----------
    factory
        Returns a fresh reader of the format.
    corpus
        A small sound stream with at least one record, and better with all that the format knows.
    most_bytes
        What the format may allocate at most.

    Raises
    ------
    AssertionError
        A promise is broken; the text says which.
    """
    whole = read_all(factory(), [corpus])
    _require(any(isinstance(item, tuple) for item in whole.items), "the corpus holds no record")
    _check_cutting(factory, corpus, whole)
    _check_that_feed_is_done(factory, corpus)
    _check_causality(factory, corpus)
    _check_damage(factory, corpus, whole)
    _check_memory(factory, corpus, most_bytes)


def _check_cutting(factory: Callable[[], Format], corpus: bytes, whole: Reading) -> None:
    for size in (1, 2, 3, 5, 8, 13, 64, 1000, 4096):
        _require(read_all(factory(), cut(corpus, size)) == whole, f"pieces of {size} bytes give something else")
    chance = np.random.default_rng(0)
    for count in range(20):
        places = sorted(chance.integers(len(corpus) + 1, size=count).tolist())
        pieces = [corpus[start:end] for start, end in zip([0, *places], [*places, len(corpus)], strict=True)]
        _require(read_all(factory(), pieces) == whole, f"cutting at {places} gives something else")


def _check_that_feed_is_done(factory: Callable[[], Format], corpus: bytes) -> None:
    """A caller that drops the result of a call loses these records and no others."""
    half = len(corpus) // 2
    ignored, heeded = factory(), factory()
    ignored.feed(corpus[:half])
    list(heeded.feed(corpus[:half]))
    _require(read_all(ignored, [corpus[half:]]) == read_all(heeded, [corpus[half:]]), "feed waits for its iterator")


def _check_causality(factory: Callable[[], Format], corpus: bytes) -> None:
    """What comes later changes nothing of what was given before."""
    fed = Reading().add(factory().feed(corpus)).items
    for end in _some(len(corpus), 128):
        reader = factory()
        start = Reading().add(reader.feed(corpus[:end])).items
        _require(start == fed[: len(start)], f"the first {end} bytes alone give something else")
        list(reader.finish())


def _check_damage(factory: Callable[[], Format], corpus: bytes, whole: Reading) -> None:
    chance = np.random.default_rng(1)
    for place in _some(len(corpus), 128):
        damaged = bytearray(corpus)
        damaged[place] ^= 1 << int(chance.integers(8))
        read_all(factory(), [bytes(damaged)])
    reader = factory()
    list(reader.feed(corpus))
    for garbage in (b"", b"\0", b"\n" * 100, bytes(4096), b"\xff" * 4096, b"{" * 4096, chance.bytes(65536)):
        read_all(factory(), [garbage])
        read_all(factory(), [corpus, garbage, corpus])
        list(reader.feed(garbage))
    reader.reset()
    _require(read_all(reader, [corpus]) == whole, "reset leaves something behind")


def _check_memory(factory: Callable[[], Format], corpus: bytes, most_bytes: int) -> None:
    """Streams that never complete anything, and one that goes on for long."""
    repeated = corpus * (_MEGABYTE // 8 // len(corpus) + 1)
    for name, piece, megabytes in (
        ("zeros", bytes(_MEGABYTE), 48),
        ("letters", b"a" * _MEGABYTE, 48),
        ("brackets", b"[" * _MEGABYTE, 48),
        ("the corpus", repeated, 4),
    ):
        reader = factory()
        tracemalloc.start()
        try:
            for _ in range(megabytes):
                for _ in reader.feed(piece):
                    pass
            list(reader.finish())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        _require(peak <= most_bytes, f"{peak >> 20} MiB are allocated at a stream of {name}")


def _some(count: int, most: int) -> Iterable[int]:
    """Return all of range(count), or about `most` of them."""
    return range(0, count, max(1, count // most))


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(promise)


def _rows(block: Scalars) -> Iterator[tuple[str, int, str, str]]:
    """Give the records of a block that is as it should be."""
    columns = (block.which, block.steps, block.values, block.walls)
    _require([column.dtype for column in columns] == _DTYPES, "the columns are not of the types of Scalars")
    _require({column.shape for column in columns} == {(len(block),)}, "the columns are not of one length")
    _require(len(block) > 0, "a block is empty")
    _require(set(block.which.tolist()) == set(range(len(block.names))), "a name has no record, or a record no name")
    _require(len(set(block.names)) == len(block.names), "a name stands twice in a block")
    for which, step, value, wall in zip(*(column.tolist() for column in columns), strict=True):
        block.names[which].encode("utf-8")
        yield block.names[which], step, repr(value), repr(wall)


def _masked(data: bytes) -> bytes:
    checksum: int = google_crc32c.value(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)
