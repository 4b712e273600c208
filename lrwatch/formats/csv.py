"""Tables of text: a line of column names, then a row for each step.

Written by Lightning's CSVLogger (``metrics.csv``), Keras' CSVLogger, Ultralytics (``results.csv``), timm
(``summary.csv``), Stable-Baselines and OpenAI's baselines (``progress.csv``), exports of TensorBoard and W&B,
and by many a loop of one's own.
"""

import csv
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from lrwatch.formats.base import signal_name
from lrwatch.formats.jsonl import WALL_KEYS, number_in, step_in
from lrwatch.formats.lines import Lines
from lrwatch.model import Gap, Rejected, Scalars

MOST_COLUMNS = 4096
MOST_ROWS = 1 << 20
"""Rows of which is remembered what was in them."""

STEP_COLUMNS = (
    "step",
    "global_step",
    "iteration",
    "iter",
    "_step",
    "trainer/global_step",
    "train/global_step",
    "time/total_timesteps",
    "total_timesteps",
    "misc/total_timesteps",
    "timesteps",
    "num_updates",
)
"""Columns that are the step, the first that is there; compared in lower case."""

EPOCH = "epoch"

_DELIMITERS = ",;\t"
_WALL_COLUMNS = (*WALL_KEYS, "wall time")
_DATE = 1e8
_LONGEST_NAME_GUESSED = 128


class CommaSeparated:
    r"""A header, and rows with as many cells; the numbers of a row are the records of its step.

    The delimiter is the comma, semicolon or tab that the header has most of. Cells may be padded and quoted, but
    hold no line break. Numbers are in ASCII with a point, or ``nan`` and ``inf``; an empty cell or one that is no
    number is no record. A later line of names is a new header and not a row: a training was started again and
    appended to the file.

    The step is the first column of `STEP_COLUMNS`, else ``epoch`` as long as it is integral, else the number of
    the row, from 1. Where its cell is empty, the row belongs to the step of the row before it, or to 0. The other
    columns of `STEP_COLUMNS` are no records; ``epoch`` is one where it is not the step. The wall time is
    ``timestamp``, ``wall_time``, ``Wall time``, or a ``time`` that can only be a date.

    Some writers write the file anew: Lightning with its columns in another order whenever one is added, Stable
    Baselines with more columns, anybody who copies it. `rewind` says that this has happened. Rows are then
    compared with those given before, cell by cell but whatever the order of the columns, and as long as they
    agree nothing is given. The first row that differs is the start of something else, such as a training that
    was started again: the gap that `rewind` was told of is given, then that row and all that follow. Not compared
    are rows with another number of cells than the header, which a file that is being written in place may show for
    a moment, and rows beyond `MOST_ROWS`; both count as agreeing.

    Rejected are rows with another number of cells than the header, and rows without a header (``row``), rows
    with an impossible step (``step``), lines longer than 1 MiB (``oversize``, also a Gap), headers of more
    columns than `MOST_COLUMNS` (``columns``), and columns whose name is too long or stands twice (``name``).
    """

    name = "csv"

    def __init__(self) -> None:
        self._lines = Lines()
        self._given = Given()
        self.reset()

    @property
    def step_units(self) -> Mapping[str, str]:
        """What the steps of each signal count: ``step``, ``epoch``, or ``record`` where nothing says it."""
        return self._units

    def reset(self) -> None:
        """Forget the stream."""
        self._given.reset()
        self._units: dict[str, str] = {}
        self._restart()

    def rewind(self, gap: Gap) -> None:
        """Take the same file again from its start; what was given before is not given twice.

        Parameters
        ----------
        gap
            Given in its turn if what was given before is not what the file begins with now.
        """
        self._given.rewind(gap)
        self._restart()

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        return iter(self._decode(self._lines.feed(data)))

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Read the last line, newline or not."""
        return iter(self._decode(self._lines.finish()))

    def _restart(self) -> None:
        self._lines.reset()
        self._header: _Header | None = None
        self._fits = False  # whether a row has fitted the header
        self._rows = 0
        self._step = 0
        self._epochs_are_steps = True

    def _decode(self, lines: list[bytes | Gap]) -> list[Scalars | Gap | Rejected]:
        found: list[Scalars | Gap | Rejected] = []
        rejected: Counter[str] = Counter()
        rows, given = _Rows(), self._given
        for line in lines:
            if isinstance(line, Gap):
                is_known = given.knows(hash(line.bytes))
                found.extend(self._gap_due(rows))
                if not is_known:
                    rejected[line.reason] += 1
                    found.extend(rows.take(self._header))
                    found.append(Gap(line.reason, line.bytes, self._step))
                continue
            text = line.decode("utf-8", "replace").removeprefix("\ufeff")
            header = self._header
            cells = _cells(text, header.delimiter) if header else []
            if header is None or not cells or not cells[0].isdigit():
                if not text or text.isspace():
                    continue
                new = _header(text, header if self._fits else None)
                if new is not None:
                    found.extend(rows.take(header))
                    self._use(new, rejected)
                    continue
            if header is None or len(cells) != header.width:
                # Of a file that is being written in place one may see rows without the new columns.
                is_known = given.knows(None if given.is_comparing else hash(text))
                rejected["row"] += not is_known
                continue
            is_known = given.knows(hash(tuple(filter(None, header.ordered(cells)))))
            if given.gap is not None:
                found.extend(self._gap_due(rows))
            self._fits = True
            self._rows += 1
            try:
                if header.step is not None:
                    cell = cells[header.step]
                    if cell:
                        self._step = (
                            int(cell) if len(cell) < 16 and cell.isdigit() and cell.isascii() else step_in(cell)
                        )
                else:
                    found.extend(self._step_without_column(cells, header, rows))
            except ValueError:
                rejected["step"] += not is_known
                continue
            if not is_known:
                rows.add(text, cells, self._step)
        found.extend(rows.take(self._header))
        found.extend(Rejected(reason, count) for reason, count in rejected.items() if count)
        return found

    def _gap_due(self, rows: "_Rows") -> Iterator[Scalars | Gap]:
        """Give the gap before what is not what was given before, after what is in `rows`."""
        gap, self._given.gap = self._given.gap, None
        if gap is not None:
            yield from rows.take(self._header)
            yield gap

    def _use(self, header: "_Header", rejected: Counter[str]) -> None:
        """Go on with another header."""
        if not self._given.is_comparing:
            rejected.update(header.rejected)
        if self._epochs_are_steps:
            header = header.with_epoch_as_step(is_step=True)
        self._header = header if header.width else None
        self._fits = False
        self._note_units()

    def _note_units(self) -> None:
        header = self._header
        if header is None:
            return
        unit = "record"
        if header.step is not None:
            unit = "step"
        elif header.epoch is not None and self._epochs_are_steps:
            unit = EPOCH
        for _, name in header.values:
            if name in self._units or len(self._units) < MOST_COLUMNS:
                self._units[name] = unit

    def _step_without_column(self, cells: list[str], header: "_Header", rows: "_Rows") -> Iterator[Scalars]:
        """Take the epoch for the step if it can be that, else the number of the row.

        Once it cannot, it is a column like others; what was read until then is given.
        """
        epoch = number_in(cells[header.epoch]) if header.epoch is not None else None
        if epoch is not None and not epoch.is_integer() and self._epochs_are_steps:
            yield from rows.take(header)
            self._epochs_are_steps = False
            self._header = header.with_epoch_as_step(is_step=False)
            self._note_units()
        if header.epoch is None or not self._epochs_are_steps:
            self._step = self._rows
        elif epoch is not None:
            self._step = step_in(epoch)


class _Rows:
    """Rows under one header in, columns out."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._cells: list[list[str]] = []
        self._steps: list[int] = []
        self._is_plain = True

    def add(self, text: str, cells: list[str], step: int) -> None:
        """Append a row; `text` is its line."""
        self._cells.append(cells)
        self._steps.append(step)
        if self._is_plain:
            self._is_plain = text.isascii() and "_" not in text

    def take(self, header: "_Header | None") -> Iterator[Scalars]:
        """Give the records of the rows added so far, if there are any, and start anew."""
        if header is None or not self._cells:
            return
        walls = np.full(len(self._cells), math.nan)
        for index, key in reversed(header.walls):
            time = self._column(index)
            walls = np.where(np.isnan(time) | ((key == "time") & (time <= _DATE)), walls, time)
        columns: list[NDArray[np.float64]] = []
        present: list[NDArray[np.bool_]] = []
        names: list[str] = []
        for index, name in header.values:
            values = self._column(index)
            is_there = self._is_number(index, values)
            if index == header.time:
                is_there &= ~(values > _DATE)
            if is_there.any():
                names.append(name)
                columns.append(values)
                present.append(is_there)
        if names:
            kept = np.stack(present, axis=1).ravel()
            count = len(self._cells)
            yield Scalars(
                tuple(names),
                np.tile(np.arange(len(names), dtype=np.int32), count)[kept],
                np.repeat(np.array(self._steps, np.int64), len(names))[kept],
                np.stack(columns, axis=1).ravel()[kept],
                np.repeat(walls, len(names))[kept],
            )
        self._start()

    def _column(self, index: int) -> NDArray[np.float64]:
        """Return the numbers of a column, NaN where there is none."""
        cells = [row[index] for row in self._cells]
        if self._is_plain:
            try:
                return np.array([float(cell) if cell else math.nan for cell in cells])
            except ValueError:
                pass
        numbers = map(number_in, cells)
        return np.array([math.nan if number is None else number for number in numbers])

    def _is_number(self, index: int, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say for each cell of a column whether it holds a number, which may be NaN."""
        there = ~np.isnan(values)
        for place in np.flatnonzero(~there).tolist():
            cell = self._cells[place][index]
            there[place] = bool(cell) and number_in(cell) is not None
        return there


class Given:
    """Which rows of a file have been given, for when the file is written anew.

    Remembers 8 bytes for each of the first `MOST_ROWS` rows, and how many there were.

    Attributes
    ----------
    gap
        What is to be given before the row just looked at, which is the first that differs; whoever gives it
        sets it to None.
    """

    def __init__(self) -> None:
        self.gap: Gap | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.gap = None
        self._due: Gap | None = None
        self._prints = array("q")
        self._count = 0
        self._at = 0

    def rewind(self, gap: Gap | None) -> None:
        """Compare what comes with what was given, from the start."""
        self._at = 0
        self._due = gap

    @property
    def is_comparing(self) -> bool:
        """Whether what comes may have been given before."""
        return self._at < self._count

    def knows(self, fingerprint: int | None) -> bool:
        """Say whether the next row was given before; if not, it counts as given from now on.

        Parameters
        ----------
        fingerprint
            Of the row; None for one that agrees with any, as long as there are some to compare with.
        """
        if self._at < self._count:
            if fingerprint is None or self._at >= len(self._prints) or self._prints[self._at] == fingerprint:
                self._at += 1
                return True
            del self._prints[self._at :]
            self._count = self._at
            self.gap, self._due = self._due, None
        if self._at < MOST_ROWS:
            self._prints.append(fingerprint or 0)
        self._at += 1
        self._count = self._at
        return False


def looks_like_csv(head: str) -> bool:
    """Say whether a text begins as a table with a header.

    The first line must be names, and the first row below it must have as many cells and a number in it. A
    header alone is enough where it names the step.
    """
    lines = [line for line in head.removeprefix("\ufeff").splitlines(keepends=True)[:16] if line.strip()]
    if not lines or not lines[0].endswith(("\n", "\r")):
        return False
    header = _header(lines[0].rstrip("\r\n"), None)
    if header is None or not header.width or any(len(name) > _LONGEST_NAME_GUESSED for name in header.names):
        return False
    whole = [line for line in lines[1:] if line.endswith(("\n", "\r"))]
    if not whole:
        return header.step is not None or header.epoch is not None
    cells = _cells(whole[0].rstrip("\r\n"), header.delimiter)
    return len(cells) == header.width and any(number_in(cell) is not None for cell in cells)


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns by what they are: each its place in a row.

    Parameters
    ----------
    width
        How many there are; 0 where there are too many.
    ordered
        Puts the cells of a row in the order of the names, for rows to be compared whatever their order.
    """

    delimiter: str
    width: int
    step: int | None = None
    epoch: int | None = None
    epoch_name: str = EPOCH
    time: int | None = None
    walls: tuple[tuple[int, str], ...] = ()
    values: tuple[tuple[int, str], ...] = ()
    names: frozenset[str] = frozenset()
    ordered: Callable[[list[str]], tuple[str, ...]] = tuple
    rejected: tuple[str, ...] = ()

    def with_epoch_as_step(self, *, is_step: bool) -> "_Header":
        """Return the header whose epoch is a value, or is not."""
        if self.epoch is None or self.step is not None:
            return self
        if is_step:
            return replace(self, values=tuple(column for column in self.values if column[0] != self.epoch))
        return replace(self, values=(*self.values, (self.epoch, self.epoch_name)))


def _header(text: str, before: _Header | None) -> _Header | None:
    """Read a line of names; None where it is none.

    Parameters
    ----------
    before
        The header so far. A later one must name a step, or a column that this one has.
    """
    delimiter = max(_DELIMITERS, key=text.count)
    if not text.count(delimiter):
        return None
    if text.count(delimiter) >= MOST_COLUMNS:
        return _Header(delimiter, 0, rejected=("columns",)) if before is None else None
    cells = _cells(text, delimiter)
    if len(cells) < 2 or not _may_be_header(cells):
        return None
    places: dict[str, int] = {}
    rejected: list[str] = []
    for index, cell in enumerate(cells):
        name = signal_name(cell)
        if name is None or name in places:
            rejected.append("name")
        elif name:  # the index column of pandas has none
            places[name] = index
    lower = {name.lower(): index for name, index in reversed(places.items())}
    step = next((lower[name] for name in STEP_COLUMNS if name in lower), None)
    epoch = lower.get(EPOCH)
    if before is not None and step is None and epoch is None and before.names.isdisjoint(places):
        return None
    walls = tuple((lower[name], name) for name in _WALL_COLUMNS if name in lower)
    axes = {step, *(index for index, name in walls if name != "time")}
    axes.update(index for name, index in lower.items() if name in STEP_COLUMNS)
    return _Header(
        delimiter,
        len(cells),
        step,
        epoch,
        EPOCH if epoch is None else cells[epoch],
        lower.get("time"),
        walls,
        tuple((index, name) for name, index in places.items() if index not in axes),
        frozenset(places),
        itemgetter(*sorted(range(len(cells)), key=cells.__getitem__)),
        tuple(rejected),
    )


def _may_be_header(cells: list[str]) -> bool:
    """Say whether these cells could be names: none is a number, and at most one is empty."""
    empty = 0
    for cell in cells:
        if not cell:
            empty += 1
        elif number_in(cell) is not None:
            return False
    return empty <= 1 and bool(cells)


def _cells(text: str, delimiter: str) -> list[str]:
    """Cut a line into cells without their padding; none at all where there are too many or a quote is broken."""
    if text.count(delimiter) >= MOST_COLUMNS:
        return []
    if '"' in text:
        try:
            return [
                cell.strip() for row in csv.reader([text], delimiter=delimiter, skipinitialspace=True) for cell in row
            ]
        except csv.Error:
            return []
    cells = text.split(delimiter)
    return [cell.strip() for cell in cells] if " " in text or (delimiter != "\t" and "\t" in text) else cells
