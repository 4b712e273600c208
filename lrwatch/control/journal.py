"""The journal of a run: append-only, on the disk before the control file that follows from it."""

import contextlib
import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lrwatch.control.events import Event
from lrwatch.errors import NotPossible
from lrwatch.protocol import document

FILE_NAME = "journal.jsonl"

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Journal:
    """`journal.jsonl` of one run; opened for each append, so that it may be moved away at any time.

    Parameters
    ----------
    directory
        The run's `lrwatch` directory; it must exist when something is appended.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._known: tuple[int, int] | None = None
        self._end = 0

    def read(self) -> list[Event]:
        """Return every whole event as `read_journal` does."""
        return read_journal(self._path)

    def append(self, events: Iterable[Event]) -> None:
        """Write events and bring them to the disk; a torn line left by a crash is cut off first.

        Raises
        ------
        OSError
            None of them is in the journal; what was half written is cut off again, now or at the next append.
        """
        data = b"".join(json.dumps(event, allow_nan=False).encode() + b"\n" for event in events)
        if data:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
            try:
                self._write(descriptor, data)
            finally:
                os.close(descriptor)

    def _write(self, descriptor: int, data: bytes) -> None:
        status = _regular(descriptor, self._path)
        if self._known != (status.st_dev, status.st_ino):
            self._end = _whole(descriptor)
            document.sync_directory(str(self._path.parent))
            self._known = status.st_dev, status.st_ino
        self._end = end = min(self._end, status.st_size)
        os.ftruncate(descriptor, end)
        try:
            view = memoryview(data)
            while view:
                view = view[os.pwrite(descriptor, view, end + len(data) - len(view)) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, end)
            raise
        self._end += len(data)


def read_journal(path: Path) -> list[Event]:
    """Return every whole event of a journal; an absent one is empty.

    A torn last line is left out, and so are lines that are no events or hold numbers that are not finite.

    Raises
    ------
    NotPossible
        It must not be trusted.
    OSError
        It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return []
    with open(descriptor, "rb") as file:
        owner = _regular(descriptor, path).st_uid
        if owner not in document.trusted_uids():
            raise NotPossible(f"{path}: left alone: it belongs to uid {owner}")
        lines = file.read().split(b"\n")[:-1]
    return [event for event in map(_event, lines) if event is not None]


def current_segment(events: Sequence[Event]) -> Sequence[Event]:
    """Return the events of the newest training: those after the last `training` event."""
    for at in range(len(events) - 1, -1, -1):
        if events[at]["event"] == "training":
            return events[at:]
    return events


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _finite(digits: str) -> Any:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is not finite")
    return value


def _regular(descriptor: int, path: Path) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return status


def _whole(descriptor: int) -> int:
    """Return the length up to and including the last newline."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(end - 65536, 0)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
