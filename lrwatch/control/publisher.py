"""Publishes the control file: whole, durable, in order, and only while no other watcher has taken the run over."""

import dataclasses
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrwatch.errors import NotPossible, ProtocolError
from lrwatch.protocol import Control, decode_control, document
from lrwatch.protocol.control import FILE_NAME

LOCK_NAME = "lock"


class TakenOver(Exception):  # noqa: N818 - an event in the life of a watcher, not an error
    """Another watcher writes this run's control file now; this one must step down."""


class Publisher:
    """`control.json` of one run.

    Parameters
    ----------
    directory
        The run's `lrwatch` directory.

    Attributes
    ----------
    written
        The control state on the disk, as far as this watcher wrote it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = str(directory / FILE_NAME)
        self.written: Control | None = None

    def found(self) -> Control | None:
        """Return the control file that lies there; None if there is none, or nothing whole.

        Raises
        ------
        NotPossible
            It was written by a later version of lrwatch, or must not be trusted: it is left alone.
        OSError
            It cannot be read.
        """
        try:
            return decode_control(document.read(self._path))
        except FileNotFoundError:
            return None
        except ProtocolError as error:
            if error.reason in ("schema", "symlink", "owner", "file"):
                raise NotPossible(f"{self._path}: left alone: {error}") from error
            return None

    def write(self, control: Control) -> None:
        """Replace the control file; when this returns, it is on the disk.

        Raises
        ------
        TakenOver
            A foreign writer with this generation or a higher one has written it; nothing was changed.
        OSError
            It was not written, and must be written anew.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            there = self.found()
            if there is not None and there.writer != control.writer and there.generation >= control.generation:
                raise TakenOver(f"{self._path}: taken over by {there.writer} (generation {there.generation})")
            document.replace(self._path, control.encode(), durable=True)
        self.written = control

    def beat(self, wall: float) -> None:
        """Rewrite the control file unchanged but for its beat. Raises as `write` does."""
        if self.written is not None:
            self.write(dataclasses.replace(self.written, beat=self.written.beat + 1, issued_at=wall))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other watcher of this machine come between the look and the write."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._directory / LOCK_NAME, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
