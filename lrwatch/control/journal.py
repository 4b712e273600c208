"""The journal of a run: append-only, on the disk before the control file that follows from it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from lrwatch.control.events import Event
from lrwatch.protocol import document

FILE_NAME = "journal.jsonl"


class Journal:
    """`journal.jsonl` of one run.

    Parameters
    ----------
    directory
        The run's `lrwatch` directory; it must exist when something is appended.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._descriptor: int | None = None
        self._end = 0

    def read(self) -> list[Event]:
        """Return every whole event; a torn last line and lines that are no events are left out.

        Raises
        ------
        OSError
            The journal exists and cannot be read.
        """
        return read_journal(self._path)

    def append(self, events: Iterable[Event]) -> None:
        """Write events and bring them to the disk; a torn line left by a crash is cut off first.

        Raises
        ------
        OSError
            None of them is in the journal; what was half written is cut off again, now or at the next append.
        """
        data = b"".join(json.dumps(event, allow_nan=False).encode() + b"\n" for event in events)
        if not data:
            return
        descriptor = self._open()
        os.ftruncate(descriptor, self._end)
        view = memoryview(data)
        while view:
            view = view[os.pwrite(descriptor, view, self._end + len(data) - len(view)) :]
        os.fsync(descriptor)
        self._end += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            existed = self._path.exists()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o644)
            try:
                self._end = _whole(descriptor)
                if not existed:
                    document.sync_directory(str(self._path.parent))
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor


def read_journal(path: Path) -> list[Event]:
    """Return every whole event of a journal; an absent one is empty. Raises `OSError` if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    events = []
    for line in data.split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return events


def current_segment(events: list[Event]) -> list[Event]:
    """Return the events of the newest training: those after the last `training` event."""
    for at in range(len(events) - 1, -1, -1):
        if events[at]["event"] == "training":
            return events[at:]
    return events


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
