"""Publishes the control file: whole, durable, in order, and only while no other watcher has taken the run over."""

import contextlib
import dataclasses
import errno
import fcntl
import os
from pathlib import Path

from lrwatch.errors import NotPossible, ProtocolError
from lrwatch.protocol import Control, decode_control, document
from lrwatch.protocol.control import FILE_NAME
from lrwatch.protocol.plan import MAX_STEP

LOCK_NAME = "lock"

_FORGED = MAX_STEP // 2  # no watcher has beaten so often; going on from there would end in what no reader accepts
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class TakenOver(Exception):  # noqa: N818 - an event in the life of a watcher, not an error
    """Another watcher writes this run's control file now; this one must step down."""


class Publisher:
    """`control.json` of one run.

    Two watchers of one run meet here. The younger one has the higher generation, and the older one steps down at
    its next write. On one machine the lock lets neither come between the other's look and write; where locks do
    not reach, the generations alone must do.

    Parameters
    ----------
    directory
        The run's `lrwatch` directory; it must exist when something is written.

    Attributes
    ----------
    written
        The control state on the disk, as far as this watcher wrote it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = str(directory / FILE_NAME)
        self._lock: int | None = None
        self._is_swept = False
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

    def lock(self) -> None:
        """Let no other watcher of this machine write until `unlock`.

        Raises
        ------
        OSError
            Another one is writing at this moment, or the lock cannot be had.
        """
        if self._lock is not None:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._directory / LOCK_NAME, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        self._lock = descriptor

    def unlock(self) -> None:
        """Let others write again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def admit(self, control: Control) -> int:
        """Make sure that `control` may be written; return the beat that lies there, 0 if none.

        Raises
        ------
        TakenOver
            A foreign writer with this generation or a higher one has written the file.
        NotPossible
            Another watcher went on writing while this one was taking the run over, and what it wrote must be
            looked at first; or `found` raises it.
        OSError
            The file cannot be read.
        """
        there = self.found()
        if there is None:
            return 0
        if there.writer != control.writer:
            if there.generation >= control.generation:
                raise TakenOver(f"{self._path}: taken over by {there.writer} (generation {there.generation})")
            if there.seq >= control.seq:
                raise NotPossible(f"{self._path}: {there.writer} went on to seq {there.seq} while it was taken over")
        return there.beat

    def write(self, control: Control) -> None:
        """Replace the control file, with the next beat; when this returns, it is on the disk.

        Raises
        ------
        TakenOver, NotPossible
            As `admit` does; nothing was changed.
        OSError
            It was not written, and must be written anew.
        """
        ours = self._lock is not None
        self.lock()
        try:
            beats = self.admit(control), 0 if self.written is None else self.written.beat, control.beat
            beat = max((beat for beat in beats if beat < _FORGED), default=0)
            control = dataclasses.replace(control, beat=beat + 1)
            self._sweep()
            document.replace(self._path, control.encode(), durable=True)
        finally:
            if not ours:
                self.unlock()
        self.written = control

    def beat(self, wall: float) -> None:
        """Rewrite the control file unchanged but for its beat. Raises as `write` does."""
        if self.written is not None:
            self.write(dataclasses.replace(self.written, issued_at=wall))

    def _sweep(self) -> None:
        """Remove, once, what watchers that were killed in the middle of a write have left."""
        if not self._is_swept:
            self._is_swept = True
            for stray in self._directory.glob(f"{FILE_NAME}.*.tmp"):
                with contextlib.suppress(OSError):
                    stray.unlink()
