"""Hints from the operating system that something has changed, by way of watchdog."""

import logging
import os
from collections.abc import Callable
from pathlib import Path, PurePath

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from lrwatch.tail.discover import OWN

logging.getLogger("watchdog").addHandler(logging.NullHandler())  # its complaints about its own end are not ours

_CHANGES = frozenset({"created", "modified", "moved", "deleted"})
_JOIN_SECONDS = 1.0


class WatchdogHints:
    """Calls `changed`, from a thread of its own, when something changes in a watched directory.

    Parameters
    ----------
    changed
        Must be quick and raise nothing.

    Raises
    ------
    OSError, RuntimeError
        There are no more threads, watches or descriptors to be had.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watches: dict[Path, ObservedWatch] = {}
        self._observer = Observer()
        self._observer.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._observer.is_alive()

    def watch(self, directory: Path) -> None:
        """Watch `directory` and everything below it.

        Raises
        ------
        OSError, RuntimeError
            It is not there, or the system's limits are reached.
        """
        handler = ChangeHandler(directory, self._changed)
        self._watches[directory] = self._observer.schedule(handler, str(directory), recursive=True)

    def forget(self, directory: Path) -> None:
        """Stop watching `directory`."""
        self._observer.unschedule(self._watches.pop(directory))

    def close(self) -> None:
        """End the thread."""
        self._observer.stop()
        self._observer.join(_JOIN_SECONDS)


class ChangeHandler(FileSystemEventHandler):
    """Tells changes made by others from reading, and from what the watcher itself writes."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._changed = changed

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take an event of any kind: kinds that this watchdog knows and we do not are no changes."""
        path = PurePath(os.fsdecode(event.src_path))
        below = path.relative_to(self._directory) if path.is_relative_to(self._directory) else path
        if event.event_type in _CHANGES and OWN not in below.parts:  # what changes there is our own doing
            self._changed()
