"""Scalars out of many events at once, by columns.

Events of one length are gathered as the rows of a matrix. Rows that differ only where a layout has its wall
time, step and values (`event_layout`) are decoded together, a column at a time; rows that fit no layout are
left to the protobuf library. Which way an event goes never changes what comes out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrwatch.formats.event_layout import WALL_AT, Layout, layout_of
from lrwatch.formats.event_scalars import Tags
from lrwatch.formats.records import Records, by_length, gather

_MISSES = 16
_LAYOUTS = 48
_REMEMBERED = 8192
_MOST_KINDS = 256
_ROWS_PER_KIND = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """Events decoded together.

    Parameters
    ----------
    events
        Shape (k,): their indices among the records.
    tags
        Shape (k, v), indices into `names`: the tag of each of the v values of each event.
    steps, walls
        Shape (k,).
    values
        Shape (k, v).
    labelled
        Index of an event and a tag of it whose tensor says that it is a scalar, for the first event of each.
    """

    events: NDArray[np.int64]
    names: tuple[str, ...]
    tags: NDArray[np.int32]
    steps: NDArray[np.int64]
    walls: NDArray[np.float64]
    values: NDArray[np.float64]
    labelled: list[tuple[int, str]]


class ColumnDecoder:
    """Finds events that can be decoded together, remembering the layouts that it has met.

    Parameters
    ----------
    least
        From how many events of one length on a matrix pays.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._layouts: dict[tuple[object, bytes], Layout] = {}

    def decode(self, records: Records, tags: Tags) -> Iterator[Columns]:
        """Give columns for as many of `records` as are worth it; no event is in two of them."""
        for length, events in by_length(records.lengths):
            if len(events) >= self._least and 0 < length < 0xFFFF:
                yield from self._decode_group(records, events, length, tags)

    def _decode_group(self, records: Records, events: NDArray[np.int64], length: int, tags: Tags) -> Iterator[Columns]:
        """Decode events of one length, in ascending order."""
        words = -(-length // 8)
        events = events[records.starts[events] + 8 * words <= len(records.data)]
        rows = gather(records.data, records.starts[events], 8 * words).view(np.uint64)
        misses = 0
        for _ in range(_LAYOUTS):
            if len(events) < self._least or misses == _MISSES:
                return
            layout = layout_of(rows[0].tobytes()[:length])
            taken = np.zeros(len(events), np.bool_)
            if layout is not None:
                like = np.flatnonzero(_equal(rows, _padded(layout.skeleton(length))))
                columns, decoded = self._decode_like(rows[like], events[like], length, layout, tags)
                taken[like[decoded]] = True
                if columns is not None:
                    yield columns
            if not taken[0]:
                taken[0] = True
                misses += 1
            events, rows = events[~taken], rows[~taken]

    def _decode_like(
        self, rows: NDArray[np.uint64], events: NDArray[np.int64], length: int, layout: Layout, tags: Tags
    ) -> tuple[Columns | None, NDArray[np.bool_]]:
        """Decode events that look like `layout` but for their tags; return which of them could be."""
        fixed = _padded(layout.mask(length))
        kinds, kind = _alike(rows, fixed)
        layouts = [self._known(rows[row], fixed, length, layout) for row in kinds.tolist()]
        fits = [other if other and _settled(other, tags) else None for other in layouts]
        decoded = np.array([other is not None for other in fits])[kind] & (kind >= 0)
        if not decoded.any():
            return None, decoded
        firsts = events[kinds].tolist()
        return _columns(layout, fits, firsts, kind[decoded], events[decoded], rows[decoded]), decoded

    def _known(self, row: NDArray[np.uint64], fixed: NDArray[np.uint64], length: int, like: Layout) -> Layout | None:
        """Return the layout of `row` if its places are those of `like`."""
        key = like.places, (row & fixed).tobytes()
        layout = self._layouts.get(key)
        if layout is None:
            layout = layout_of(row.tobytes()[:length])
            if layout is None or layout.places != like.places:
                return None
            if len(self._layouts) >= _REMEMBERED:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout


def _settled(layout: Layout, tags: Tags) -> bool:
    """Say whether no event of this layout has to wait for what one before it says of its tag."""
    return all(tags.known(tag) is True for tag in layout.unlabelled)


def _padded(mask: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a mask of bytes as one of words."""
    return np.pad(mask, (0, -len(mask) % 8)).view(np.uint64)


def _equal(rows: NDArray[np.uint64], mask: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which rows equal the first one in the bits of `mask`."""
    # Word by word: numpy is ten times slower at reducing rows as short as these.
    differing = np.zeros(len(rows), np.uint64)
    for word in np.flatnonzero(mask).tolist():
        differing |= (rows[:, word] ^ rows[0, word]) & mask[word]
    equal: NDArray[np.bool_] = differing == 0
    return equal


def _alike(rows: NDArray[np.uint64], mask: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group rows that are equal in the bits of `mask`.

    Returns
    -------
    kinds
        The index of the first row of each kind.
    kind
        Shape (k,): which kind each row is of; -1 where there are too many kinds to be worth it.
    """
    columns = [rows[:, word] & mask[word] for word in np.flatnonzero(mask).tolist()]
    differing = [column for column in columns if (column != column[0]).any()]
    code = np.zeros(len(rows), np.uint64)
    for column in differing:
        code = (code ^ column) * np.uint64(0x9E3779B97F4A7C15)
        code ^= code >> np.uint64(29)
    codes = np.unique(code) if differing else code[:1]
    if len(codes) > max(_MOST_KINDS, len(rows) // _ROWS_PER_KIND):
        codes = code[:1]
    kind = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
    kinds = np.zeros(len(codes), np.int64)
    kinds[kind[::-1]] = np.arange(len(rows))[::-1]
    for column in differing:
        kind[column != column[kinds[kind]]] = -1
    return kinds, kind


def _columns(
    layout: Layout,
    fits: list[Layout | None],
    firsts: list[int],
    kind: NDArray[np.int64],
    events: NDArray[np.int64],
    rows: NDArray[np.uint64],
) -> Columns:
    """Decode `rows`, row i being an event of the layout `fits[kind[i]]`; all have the places of `layout`."""
    octets = rows.view(np.uint8)
    ids: dict[str, int] = {}
    table = np.zeros((len(fits), len(layout.values)), np.int32)
    labelled: list[tuple[int, str]] = []
    for index, (other, first) in enumerate(zip(fits, firsts, strict=True)):
        if other is not None:
            table[index] = [ids.setdefault(tag, len(ids)) for tag in other.tags]
            labelled.extend((first, tag) for tag in other.labelled)
    steps = np.zeros(len(rows), np.uint64)
    for place in range(layout.step_width):
        octet = octets[:, layout.step_at + place] & np.uint8(0x7F)
        steps |= octet.astype(np.uint64) << np.uint64(7 * place)
    values = np.empty((len(rows), len(layout.values)), np.float64)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        for index, (at, dtype) in enumerate(layout.values):
            values[:, index] = _column(octets, at, dtype)
    walls = _column(octets, WALL_AT, "<f8").astype(np.float64)
    return Columns(events, tuple(ids), table[kind], steps.view(np.int64), walls, values, labelled)


def _column(octets: NDArray[np.uint8], at: int, dtype: str) -> NDArray[np.floating]:
    """Read a number of each row."""
    width = np.dtype(dtype).itemsize
    numbers: NDArray[np.floating] = np.ascontiguousarray(octets[:, at : at + width]).view(dtype)[:, 0]
    return numbers
