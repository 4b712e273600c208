"""When to look again: at the next poll, or earlier when something hints at a change.

Polling is the truth and notification a hint: NFS, bind mounts, queues that overflow and limits on watches
lose events. Nothing here may therefore fail for want of them.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

SPACING = 0.05


class Hints(Protocol):
    """Something that notices changes in directories and calls a function, from any thread."""

    @property
    def alive(self) -> bool:
        """Whether it still does."""
        ...

    def watch(self, directory: Path) -> None:
        """Watch `directory` and everything below it; raises OSError or RuntimeError where that cannot be."""
        ...

    def forget(self, directory: Path) -> None:
        """Stop watching `directory`."""
        ...

    def close(self) -> None:
        """Stop altogether."""
        ...


def watchdog_hints(changed: Callable[[], None]) -> Hints:
    """Return hints from the operating system.

    Raises
    ------
    ImportError, OSError, RuntimeError
        Watchdog is not there or cannot start.
    """
    from lrwatch.tail.hints import WatchdogHints

    return WatchdogHints(changed)


class Waker:
    """Waits between two polls.

    Parameters
    ----------
    directories
        Where changes are worth waking for, with everything below. One that is missing is watched once it is
        there, one that is replaced is watched anew, and what is no directory is left to polling.
    spacing
        Seconds for which no hint is listened to after a wait has begun: a training that logs without pause
        must not make the watcher run without pause.
    hints
        Makes what notices changes; None for polling alone.

    Attributes
    ----------
    failures
        How often hints could not be had: they are missing then, and nothing else is.
    """

    def __init__(
        self,
        directories: Iterable[Path] = (),
        *,
        spacing: float = SPACING,
        hints: Callable[[Callable[[], None]], Hints] | None = watchdog_hints,
    ) -> None:
        self.failures = 0
        self._spacing = spacing
        self._lock = threading.RLock()  # a signal handler may call wake() while its own thread is in here
        self._is_open = True
        self._called = _Bell()
        self._hinted = _Bell()
        self._unwatched = list(directories)
        self._watched: dict[Path, tuple[int, int]] = {}
        self._hints: Hints | None = None
        if hints is not None:
            try:
                self._hints = hints(self._hint)
            except (ImportError, OSError, RuntimeError):
                self.failures += 1
        self._watch()

    @property
    def hints(self) -> bool:
        """Whether a change in some directory ends a wait early."""
        return self._hints is not None and bool(self._watched) and self._hints.alive

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or earlier: at a hint, or at `wake`, also one that came before."""
        self._watch()
        if not _rings([self._called], min(seconds, self._spacing)):
            _rings([self._called, self._hinted], max(0.0, seconds - self._spacing))
        self._called.silence()
        self._hinted.silence()

    def wake(self) -> None:
        """End the wait that goes on, or else the next one; from any thread or signal handler."""
        with self._lock:
            if self._is_open:
                self._called.ring()

    def close(self) -> None:
        """Let go of threads and descriptors. Nothing may wait any more."""
        hints, self._hints = self._hints, None
        if hints is not None:
            hints.close()
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._called.close()
                self._hinted.close()

    def _hint(self) -> None:
        with self._lock:
            if self._is_open:
                self._hinted.ring()

    def _watch(self) -> None:
        """Watch what has come, and let go of what is another directory by now."""
        if self._hints is None:
            return
        for directory, identity in list(self._watched.items()):
            if _identity(directory) != identity:
                del self._watched[directory]
                self._unwatched.append(directory)
                with contextlib.suppress(OSError, RuntimeError, KeyError):
                    self._hints.forget(directory)
        for directory in list(self._unwatched):
            present = _identity(directory)
            if present is not None:
                self._unwatched.remove(directory)
                try:
                    self._hints.watch(directory)
                    self._watched[directory] = present
                except (OSError, RuntimeError):  # the limits will hardly be raised meanwhile: not tried again
                    self.failures += 1


class _Bell:
    """A pipe, which unlike a lock may be touched from a signal handler."""

    def __init__(self) -> None:
        self._heard, self._rung = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._heard

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has been ringing for long
            os.write(self._rung, b"\0")

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._heard, 1 << 16)

    def close(self) -> None:
        os.close(self._heard)
        os.close(self._rung)


def _rings(bells: list[_Bell], seconds: float) -> bool:
    poll = select.poll()
    for bell in bells:
        poll.register(bell, select.POLLIN)
    return bool(poll.poll(seconds * 1000.0))


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        status = directory.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if directory.is_dir() else None
