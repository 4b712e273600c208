"""The framing of TensorBoard's event files: records with a length and two checksums.

A record is, in little endian,

    u64 length, u32 masked crc32c(length), byte data[length], u32 masked crc32c(data)

with mask(c) = ((c >> 15) | (c << 17)) + 0xa282ead8 modulo 2^32 (TensorFlow, core/lib/io/record_writer.h).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lrwatch.formats import checksums
from lrwatch.model import Gap

HEADER = 12
OVERHEAD = 16
MAX_RECORD = 256 << 20
"""A longer record is not believed, whatever its checksum says."""
MAX_HELD = 16 << 20
"""A longer record is passed over without holding it: graphs and embeddings, never scalars."""

_USUAL = 0xFFFF
_WINDOW = 1 << 20
_WORTH_ROWS = 32


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes of the stream that gave no record.

    Parameters
    ----------
    before
        Index of the record (of the same `Records`) that follows the hole.
    reason
        ``corrupt``, or ``oversize`` for a record longer than `MAX_HELD`.
    bytes
        How many.
    """

    before: int
    reason: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Records:
    """Whole records whose checksums are right.

    Parameters
    ----------
    data
        The bytes in which they lie.
    starts, lengths
        Shape (n,), int64: record i is `data[starts[i] : starts[i] + lengths[i]]`.
    holes
        What lies between them, in the order of the stream.
    """

    data: bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    holes: list[Hole] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> bytes:
        start = int(self.starts[index])
        return self.data[start : start + int(self.lengths[index])]


class Framing:
    """Cuts a stream into records.

    The end of the stream may lie anywhere in a record: the rest of it is waited for. A record whose data is
    damaged is passed over, its length being good. Where the length is damaged nothing tells where the next
    record begins, so the framing looks for the next twelve bytes that are a length and its checksum; in
    random bytes it finds some once in 10^20.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._held = bytearray()
        self._needed = HEADER
        self._passing = 0
        self._lost = 0

    def feed(self, data: bytes) -> Records:
        """Take the next bytes and return the records that they complete."""
        passed = min(self._passing, len(data))
        self._passing -= passed
        if len(self._held) + len(data) - passed < self._needed:
            self._held += data[passed:]
            return Records(b"", _NONE, _NONE)
        data = bytes(self._held) + data[passed:]
        records, end = self._cut(data)
        self._held = bytearray(data[end:])
        return records

    def finish(self) -> Iterator[Gap]:
        """Give a Gap for what is left, the stream having ended."""
        if self._lost:
            yield Gap("corrupt", self._lost + len(self._held))
        elif self._held:
            yield Gap("torn", len(self._held))
        self.reset()

    def _cut(self, data: bytes) -> tuple[Records, int]:
        """Return the records in `data`, and where the bytes begin that wait for more."""
        heads = _Heads(data, MAX_RECORD if self._lost else _USUAL)
        starts: list[NDArray[np.int64]] = [_NONE]
        lengths: list[NDArray[np.int64]] = [_NONE]
        holes: list[tuple[int, str, int]] = []
        at = 0
        self._needed = HEADER
        while True:
            first = heads.first_from(at)
            if first == len(heads) or heads.positions[first] != at:
                if not self._lost and len(data) - at < HEADER:
                    break
                if heads.longest < MAX_RECORD:
                    heads = _Heads(data, MAX_RECORD)
                    continue
                ahead = max(at, len(data) - HEADER + 1)
                if first < len(heads):
                    ahead = int(heads.positions[first])
                self._lost += ahead - at
                at = ahead
                if first == len(heads):
                    break
            if self._lost:
                holes.append((at, "corrupt", self._lost))
                self._lost = 0
            last = heads.last_of_chain(first)
            end = int(heads.ends[last])
            oversize = bool(heads.lengths[last] > MAX_HELD)
            whole = end <= len(data) and not oversize
            starts.append(heads.positions[first : last + whole] + HEADER)
            lengths.append(heads.lengths[first : last + whole])
            if oversize:
                holes.append((int(heads.positions[last]), "oversize", int(heads.lengths[last]) + OVERHEAD))
                self._passing = max(0, end - len(data))
            elif not whole:
                at = int(heads.positions[last])
                self._needed = end - at
                break
            at = min(end, len(data))
        return _checked(data, np.concatenate(starts), np.concatenate(lengths), holes), at


class _Heads:
    """The headers in a piece of the stream whose length is at most `longest`, and the chains they form."""

    def __init__(self, data: bytes, longest: int) -> None:
        self.longest = longest
        self.positions, self.lengths = headers(data, longest)
        self.ends = self.positions + self.lengths + OVERHEAD
        self._stops = np.flatnonzero((self.positions[1:] != self.ends[:-1]) | (self.lengths[:-1] > MAX_HELD))

    def __len__(self) -> int:
        return len(self.positions)

    def first_from(self, at: int) -> int:
        """Return the index of the first header at `at` or later."""
        return int(np.searchsorted(self.positions, at))

    def last_of_chain(self, first: int) -> int:
        """Return the index of the last record in a row, each beginning where the one before ends."""
        stop = int(np.searchsorted(self._stops, first))
        return int(self._stops[stop]) if stop < len(self._stops) else len(self) - 1


def headers(data: bytes, longest: int = MAX_RECORD) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find every place in `data` where a length of at most `longest` and its checksum stand.

    Returns
    -------
    positions, lengths
        Shape (n,) each.
    """
    found: list[NDArray[np.int64]] = [_NONE]
    low = _words(data, 0)
    stored = _words(data, 8)
    zero = np.frombuffer(data, np.uint8) == 0
    # The upper bytes of a believable length are zero, and few other places look so.
    zeros = 8 - (longest.bit_length() + 7) // 8
    for start in range(0, len(data) - HEADER + 1, _WINDOW):
        end = min(start + _WINDOW, len(data) - HEADER + 1)
        if zero[start : end + HEADER - 1].all():  # a hole in a sparse file: length 0 has another checksum
            continue
        likely = zero[start + 7 : end + 7].copy()
        for place in range(8 - zeros, 7):
            likely &= zero[start + place : end + place]
        at = np.flatnonzero(likely) + start
        at = at[low[at] <= longest]
        found.append(at[checksums.of_lengths(low[at]) == stored[at]])
    positions = np.concatenate(found)
    return positions, low[positions].astype(np.int64)


def gather(data: bytes, starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return the `width` bytes from each of `starts` on: shape (k, width), a copy."""
    places = np.ndarray((max(0, len(data) - width + 1),), np.dtype((np.void, width)), data, strides=(1,))
    return places[starts].view(np.uint8).reshape(len(starts), width)


def by_length(lengths: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Give each length that occurs and the ascending indices where it does; all from 0xFFFF on count as one."""
    short = np.minimum(lengths, 0xFFFF).astype(np.uint16)
    order = np.argsort(short, kind="stable")
    bounds = np.flatnonzero(np.diff(short[order].astype(np.int64), prepend=-1, append=-1)).tolist()
    for begin, end in itertools.pairwise(bounds):
        yield int(short[order[begin]]), order[begin:end]


_NONE = np.zeros(0, np.int64)


def _words(data: bytes, offset: int) -> NDArray[np.uint32]:
    """View `data` as the u32 that begins at each of its bytes from `offset` on."""
    count = max(0, len(data) - offset - 3)
    return np.ndarray((count,), np.dtype("<u4"), data, offset if count else 0, strides=(1,))


def _checked(
    data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64], holes: list[tuple[int, str, int]]
) -> Records:
    """Make `Records` of what has the right checksum, and holes of the rest."""
    actual = np.empty(len(starts), np.uint32)
    few = [(0, np.arange(len(starts)))]  # sorting them would take longer
    for length, group in by_length(lengths) if len(starts) >= _WORTH_ROWS else few:
        if len(group) >= _WORTH_ROWS and 0 < length <= checksums.MAX_ROW:
            actual[group] = checksums.of_rows(gather(data, starts[group], length))
        else:
            for index in group.tolist():
                actual[index] = checksums.of(data[starts[index] : starts[index] + lengths[index]])
    good = checksums.masked(actual) == _words(data, 0)[starts + lengths]
    if not good.all():
        damaged = zip(starts[~good].tolist(), (lengths[~good] + OVERHEAD).tolist(), strict=True)
        holes = sorted([*holes, *((start, "corrupt", size) for start, size in damaged)])
        starts, lengths = starts[good], lengths[good]
    return Records(
        data,
        starts,
        lengths,
        [Hole(int(np.searchsorted(starts, at)), reason, size) for at, reason, size in holes],
    )
