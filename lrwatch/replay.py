"""The same pipeline over a finished log: what would have been said, and when. Writes nothing."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lrwatch.clock import SystemClock
from lrwatch.config import Config
from lrwatch.control.desk import MemoryDesk
from lrwatch.control.events import Event, summary_event
from lrwatch.errors import NotPossible
from lrwatch.model import RunSnapshot
from lrwatch.source import RunSource
from lrwatch.tail.discover import RunFiles, discover
from lrwatch.watcher import RunWatcher


class Replay:
    """Replays every run found at a path.

    Parameters
    ----------
    path
        A log directory, or one file.

    Attributes
    ----------
    snapshots
        The runs that were read, as they ended.
    problems
        Files that could not be read or understood, and why.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self.snapshots: list[RunSnapshot] = []
        self.problems: dict[str, str] = {}

    def events(self) -> Iterator[Event]:
        """Yield the events of one run after the other, and a summary.

        Raises
        ------
        NotPossible
            There is no such path, or nothing there that can be read.
        """
        if not os.path.lexists(self._path):
            raise NotPossible(f"{self._path}: no such file or directory")
        began = time.monotonic()
        for files in discover(self._path):
            yield from self._run(files)
        records = sum(snapshot.records for snapshot in self.snapshots)
        if not records:
            raise NotPossible(self._nothing())
        rejected = sum(sum(snapshot.rejected.values()) for snapshot in self.snapshots)
        yield summary_event(len(self.snapshots), records, rejected, time.monotonic() - began)

    def _run(self, files: RunFiles) -> Iterator[Event]:
        source = RunSource(files, whole=True)
        desk = MemoryDesk()
        watcher = RunWatcher(
            files.name,
            str(files.directory),
            source,
            desk,
            self._config,
            SystemClock(),
            writer="replay",
            mode="advise",
            live=False,
            catch_up=False,
        )
        told = 0
        while True:
            watcher.poll()
            yield from desk.events[told:]
            told = len(desk.events)
            if source.lag == 0:
                break
        self.problems.update(source.errors)
        self.snapshots.append(watcher.snapshot)
        watcher.close()

    def _nothing(self) -> str:
        if self.problems:
            return "nothing readable: " + "; ".join(f"{path}: {why}" for path, why in self.problems.items())
        if not self.snapshots:
            return f"{self._path}: no logs found; looked for TensorBoard event files, JSON Lines, CSV and text below it"
        rejected = sum((Counter(snapshot.rejected) for snapshot in self.snapshots), Counter[str]())
        why = ", ".join(f"{count} rejected ({reason})" for reason, count in sorted(rejected.items()))
        return f"{self._path}: the logs hold no records{why and ': '}{why}"
