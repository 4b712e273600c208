"""All files of one run as one stream of records."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from lrwatch.formats import HEAD, PRECEDENCE, recognise
from lrwatch.formats.base import Format, Rewritten, choose
from lrwatch.formats.interleave import Lane, Part, interleave
from lrwatch.model import Chunk, Gap, Rejected, Scalars
from lrwatch.tail.discover import STANDARD_INPUT, LogFile, RunFiles
from lrwatch.tail.follower import Follower
from lrwatch.tail.standard_input import StandardInput

OWN_TAGS = "lrwatch/"
"""Tags that the watcher writes: never the training's."""

NOT_UNDERSTOOD = "no TensorBoard events, JSON Lines, CSV or console output that lrwatch knows"

_CHUNK = 4 << 20
_MOST_NAMES = 65536


class RunSource:
    """Reads the logs of a run, each in its own format, as they grow.

    Records come in the order of wall time, those of files without by their steps, as far as they are read at
    one time, so that ``train/`` and ``validation/`` advance together; each file's own order always stands.
    What is found is never held back to wait for a file that has nothing more to give at the moment.

    Where files of different formats have a signal of one name, only the copy in the format that comes first
    in `lrwatch.formats.PRECEDENCE` is given. The tags of a sub-directory ``train/`` have that before them.

    Parameters
    ----------
    files
        The logs, as `lrwatch.tail.discover.discover` finds them.
    whole
        Whether the logs are finished: at their end, last lines without newline and torn records are given
        too, without waiting for more.

    Attributes
    ----------
    files
        The logs, those found later included.
    """

    def __init__(self, files: RunFiles, *, whole: bool = False) -> None:
        self._whole = whole
        self._readers: dict[Path, _Reader] = {}
        self._by_lane: dict[Lane, _Reader] = {}
        self._origins: dict[str, _Reader] = {}
        self._timed = Lane()  # what the files with wall times have given, where others have none
        self.update(files)

    def update(self, files: RunFiles) -> None:
        """Add the logs that have come; those that are known keep their place, also if they have gone."""
        self.files = files
        for log in files.files:
            if log.path not in self._readers:
                reader = self._readers[log.path] = _Reader(log)
                self._by_lane[reader.lane] = reader

    @property
    def lag(self) -> int:
        """Bytes on disk that are not read yet, and records read that are not given yet; 0 at the end.

        A file that cannot be read or understood does not count.
        """
        return sum(reader.lag + len(reader.lane) for reader in self._readers.values()) + len(self._timed)

    @property
    def errors(self) -> Mapping[str, str]:
        """What keeps a file from being read or understood, by its path, for people."""
        errors = {str(path): reader.error for path, reader in self._readers.items()}
        return {path: error for path, error in errors.items() if error is not None}

    @property
    def origins(self) -> Mapping[str, tuple[Path, str]]:
        """Path and format of the file in which each signal was met first."""
        return {name: (reader.log.path, reader.format_name) for name, reader in self._origins.items()}

    @property
    def rejected(self) -> Mapping[Path, int]:
        """How many pieces of each file were read and are no record."""
        return {path: reader.rejected for path, reader in self._readers.items()}

    @property
    def step_units(self) -> Mapping[str, str]:
        """What the steps of a signal count where that is not ``step``: ``epoch`` or ``record``."""
        return {name: unit for name, reader in self._origins.items() if (unit := reader.step_unit(name)) != "step"}

    def read(self, limit: int | None = None) -> Iterator[Scalars | Gap | Rejected]:
        """Yield what was appended since the last read, at most `limit` bytes of it."""
        readers = self._readers.values()
        waiting = [reader for reader in readers if len(reader.lane)]
        unseen = [reader for reader in readers if not len(reader.lane)]
        unseen.reverse()
        while (waiting or unseen) and (limit is None or limit > 0):
            reader = unseen.pop() if unseen else self._earliest(waiting)
            size, rejected = reader.fetch(_CHUNK if limit is None else min(limit, _CHUNK))
            reader.rejected += sum(item.count for item in rejected)
            self._claim(reader)
            if limit is not None:
                limit -= size
            if size and reader.lag:
                waiting.append(reader)
            yield from rejected
            if not unseen:  # before every file has been looked into nobody knows what comes first
                yield from self._give(waiting)
        if not any(reader.lag for reader in (*waiting, *unseen)):
            yield from self.finish() if self._whole else self._give([])

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Yield what is left, nothing more being written: last lines without newline, and all that is held."""
        for reader in self._readers.values():
            rejected = reader.finish()
            reader.rejected += sum(item.count for item in rejected)
            yield from rejected
            self._claim(reader)
        yield from self._give([])

    def close(self) -> None:
        """Let go of the files."""
        for reader in self._readers.values():
            reader.stream.close()

    def _earliest(self, waiting: list["_Reader"]) -> "_Reader":
        """Take from `waiting` the file whose records reach least far: reading on in it settles most."""
        earliest = min(waiting, key=lambda reader: reader.lane.reached("step"))
        timed = [reader for reader in waiting if reader.lane.has_walls]
        if earliest in timed:
            earliest = min(timed, key=lambda reader: reader.lane.reached("wall"))
        waiting.remove(earliest)
        return earliest

    def _give(self, waiting: list["_Reader"]) -> Iterator[Scalars | Gap]:
        """Yield the records that nothing still to be read from the files in `waiting` can precede.

        Files with wall times are ordered by them, so that a training that was resumed goes back in its steps
        as it did. To files without, what comes of that is like one more file; these are ordered by step.
        """
        readers = self._readers.values()
        untimed = [reader.lane for reader in readers if reader.lane.has_walls is False]
        timed = [reader.lane for reader in readers if reader.lane.has_walls is not False]
        still = [reader.lane for reader in waiting]
        settled = min((lane.reached("wall") for lane in still if lane not in untimed), default=math.inf)
        in_time = interleave(timed, "wall", settled, self._first_hand)
        if not untimed and not len(self._timed):
            yield from in_time
            return
        for item in in_time:
            self._timed.put(item)
        settled = min((lane.reached("step") for lane in still if lane in untimed), default=math.inf)
        if any(lane not in untimed for lane in still):
            settled = min(settled, self._timed.reached("step"))
        yield from interleave([self._timed, *untimed], "step", settled, self._first_hand)

    def _claim(self, reader: "_Reader") -> None:
        """Note whose copy of the signals that `reader` has met for the first time counts."""
        for name in reader.names_met:
            is_new = name not in self._origins and len(self._origins) < _MOST_NAMES
            if is_new or reader.precedence < self._origins.get(name, reader).precedence:
                self._origins[name] = reader
        reader.names_met.clear()

    def _first_hand(self, lane: Lane, part: Part) -> Part:
        """Leave out the signals that another file has in a format that comes first."""
        reader = self._by_lane.get(lane)
        if reader is None:
            return part
        keys, block = part
        copies = [
            index
            for index, name in enumerate(block.names)
            if self._origins.get(name, reader).precedence < reader.precedence
        ]
        if not copies:
            return part
        kept = ~np.isin(block.which, copies)
        return keys[kept], choose(block, kept)


class _Reader:
    """One file: its bytes, its format, and the records that wait to be given.

    Attributes
    ----------
    format_name, precedence
        The format last recognised, and its place in `PRECEDENCE`; they stay when another file takes the place.
    names_met
        Signals met since somebody last looked here.
    """

    def __init__(self, log: LogFile) -> None:
        self.log = log
        self.stream: Follower | StandardInput = (
            StandardInput() if log.path == STANDARD_INPUT else Follower(log.path, chunk_bytes=_CHUNK)
        )
        self.lane = Lane()
        self._name = ""
        self.precedence = len(PRECEDENCE)
        self.names_met: dict[str, None] = {}
        self._format: Format | None = None
        self._before: Rewritten | None = None
        self._gap = Gap("replaced")
        self._head = b""
        self._problem: str | None = None
        self.rejected = 0
        self._has_ended = False

    @property
    def error(self) -> str | None:
        return self.stream.error or self._problem

    @property
    def lag(self) -> int:
        return 0 if self.error or self._has_ended else self.stream.lag

    @property
    def format_name(self) -> str:
        if self._format is not None:
            self._name = self._format.name  # console output tells its framework only after some lines
        return self._name

    def step_unit(self, name: str) -> str:
        units: Mapping[str, str] = getattr(self._format, "step_units", {})
        return units.get(name.removeprefix(self.log.prefix), "step")

    def fetch(self, limit: int) -> tuple[int, list[Rejected]]:
        """Read up to `limit` bytes into the lane, and return their number and what was rejected."""
        if self._has_ended:
            return 0, []
        if self._problem and isinstance(self.stream, Follower):
            self._take(0)  # only to see whether another file has taken its place
        return self._take(limit) if not self._problem or isinstance(self.stream, StandardInput) else (0, [])

    def _take(self, limit: int) -> tuple[int, list[Rejected]]:
        size = 0
        rejected: list[Rejected] = []
        for piece in self.stream.read(limit):
            if isinstance(piece, Chunk):
                size += len(piece.data)
                rejected.extend(self._put(self._feed(piece.data)))
                if self._problem:
                    break
            else:
                self._replaced(piece)
        if self._problem:
            self.stream.close()
        if isinstance(self.stream, StandardInput) and self.stream.ended:
            rejected.extend(self.finish())
        return size, rejected

    def _replaced(self, gap: Gap) -> None:
        """Begin anew; a format that can compare the new content with the old one keeps the gap until it has."""
        before = self._format if self._format is not None else self._before
        self._format, self._head, self._problem = None, b"", None
        self._before = before if isinstance(before, Rewritten) else None
        if self._before is None:
            self.lane.put(gap)
        else:
            self._gap = gap

    def _same_again(self, fresh: Format | None) -> Format | None:
        """Return the format of the content before where the new content is in it too."""
        before = self._before
        if before is None or fresh is None:
            return fresh
        self._before = None
        if before.name != fresh.name:
            self.lane.put(self._gap)
            return fresh
        before.rewind(self._gap)
        return before

    def finish(self) -> list[Rejected]:
        """Take what the format makes of the end of the stream."""
        if self._has_ended:
            return []
        self._has_ended = True
        self.stream.close()
        if self._head:
            self._problem = NOT_UNDERSTOOD
        return self._put(self._format.finish()) if self._format else []

    def _feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        if self._format is None and self._problem is None:
            data = self._head + data
            self._format = self._same_again(recognise(self.log.path, data))
            self._head = b"" if self._format or len(data) >= HEAD else data
            if self._format:
                self.precedence = [*PRECEDENCE, self.format_name].index(self.format_name)
            elif len(data) >= HEAD:
                self._problem = NOT_UNDERSTOOD
        return self._format.feed(data) if self._format else iter(())

    def _put(self, found: Iterator[Scalars | Gap | Rejected]) -> list[Rejected]:
        """Put records and gaps into the lane, and return the rest."""
        rejected: list[Rejected] = []
        for item in found:
            if isinstance(item, Rejected):
                rejected.append(item)
            elif isinstance(item, Gap):
                self.lane.put(item)
            elif len(block := self._renamed(item)):
                self.lane.put(block)
        return rejected

    def _renamed(self, block: Scalars) -> Scalars:
        """Put the prefix before the names, and leave out what the watcher itself has logged."""
        own = [index for index, name in enumerate(block.names) if name.startswith(OWN_TAGS)]
        if own:
            block = choose(block, ~np.isin(block.which, own))
        if self.log.prefix:
            block = replace(block, names=tuple(self.log.prefix + name for name in block.names))
        self.names_met.update(dict.fromkeys(block.names))
        return block
