"""The desk of a run: where its journal, its control file and its acknowledgement lie, on disk or in memory."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lrwatch.clock import Clock
from lrwatch.control.acknowledgement import AcknowledgementReader
from lrwatch.control.events import Event
from lrwatch.control.journal import Journal
from lrwatch.control.publisher import Publisher
from lrwatch.protocol import Acknowledgement, Control, document


class Desk(Protocol):
    """What the watcher of a run needs: the past, the training's word, and a way to say and note things."""

    @property
    def history(self) -> Sequence[Event]:
        """The journal as it was found at the last look."""
        ...

    @property
    def found(self) -> Control | None:
        """The control state as it was found at the last look."""
        ...

    def take(self) -> None:
        """Look again at what lies there, and let nobody change it before the next `flush`."""
        ...

    def hear(self) -> tuple[Acknowledgement | None, bool]:
        """Return the newest acknowledgement, and whether it is news."""
        ...

    def note(self, event: Event) -> None:
        """Put an event into the journal with the next `flush`."""
        ...

    def publish(self, control: Control) -> None:
        """Make `control` the desired state with the next `flush`, after the events noted so far."""
        ...

    def flush(self) -> None:
        """Bring what was noted and published to where others see it; what fails is counted and tried again."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class FileDesk:
    """The desk in a run's `lrwatch` directory.

    Parameters
    ----------
    directory
        The `lrwatch` directory itself; made when it is first written to.
    beat_seconds
        Seconds between rewrites of an unchanged control file.
    tell
        Told of every event as it is noted.
    parents
        Whether the directories above are made too. Beside the logs they are not: a run that was deleted stays so.

    Attributes
    ----------
    writes, failures
        Control files written, and attempts (of the journal or the control file) that failed.
    problem
        The newest failure in words; None while all is well.

    Raises
    ------
    NotPossible
        The control file or the journal there must be left alone.
    OSError
        The directory cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        beat_seconds: float,
        tell: Callable[[Event], None] | None = None,
        *,
        parents: bool = False,
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._tell = tell
        self._beat_seconds = beat_seconds
        self._parents = parents
        self._journal = Journal(directory)
        self._publisher = Publisher(directory)
        self._reader = AcknowledgementReader(directory)
        self._events: list[Event] = []
        self._desired: Control | None = None
        self._last_write = clock.monotonic()
        self.writes = 0
        self.failures = 0
        self.problem: str | None = None
        self._look()

    @property
    def rejected(self) -> dict[str, int]:
        """Acknowledgements that were rejected, by reason."""
        return self._reader.rejected

    def take(self) -> None:
        """Lock and look as `Desk` says; what cannot be locked is looked at all the same.

        Raises
        ------
        NotPossible, OSError
            As the construction does.
        """
        with contextlib.suppress(OSError):
            self._open()
        self._look()

    def hear(self) -> tuple[Acknowledgement | None, bool]:
        """Look at the acknowledgement file as `Desk` says."""
        news = self._reader.read()
        return self._reader.newest, news

    def note(self, event: Event) -> None:
        """Queue an event as `Desk` says."""
        self._events.append(event)
        if self._tell is not None:
            self._tell(event)

    def publish(self, control: Control) -> None:
        """Set the desired state as `Desk` says."""
        self._desired = control

    def flush(self) -> None:
        """Write journal, then control file, if there is anything to write or it is time for a beat.

        Raises
        ------
        TakenOver
            Another watcher has the run now; nothing was written.
        NotPossible
            What lies there must be left alone, or looked at again; nothing was written.
        """
        try:
            self._flush()
        except OSError as error:
            self.failures += 1
            self.problem = f"{error.filename or self.directory}: {error.strerror or error}"
        else:
            self.problem = None
        finally:
            self._publisher.unlock()

    def close(self) -> None:
        """Let others write."""
        self._publisher.unlock()

    def _look(self) -> None:
        self.history: Sequence[Event] = self._journal.read()
        self.found = self._publisher.found()

    def _open(self) -> None:
        """Make the directory if it is missing, and lock it."""
        make_directory(self.directory, parents=self._parents)
        self._publisher.lock()

    def _flush(self) -> None:
        now = self._clock.monotonic()
        is_due = self._publisher.written is not None and now - self._last_write >= self._beat_seconds
        if not self._events and self._desired is None and not is_due:
            return
        self._open()
        control = self._desired or self._publisher.written
        if control is not None:
            self._publisher.admit(control)
        self._journal.append(self._events)
        self._events = []
        if self._desired is not None:
            self._publisher.write(self._desired)
            self._desired = None
        elif is_due:
            self._publisher.beat(self._clock.wall())
        else:
            return
        self._last_write = now
        self.writes += 1


def make_directory(path: Path, *, parents: bool) -> None:
    """Make a directory whose name survives a power cut, if it is missing.

    Raises
    ------
    OSError
        It cannot be made; also where directories above it are missing and `parents` is false.
    """
    missing = [path]
    while parents and not os.path.lexists(missing[-1].parent):
        missing.append(missing[-1].parent)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            document.sync_directory(str(directory.parent))


class MemoryDesk:
    """The desk of a run that writes nothing: a replay, or an engine inside the training process.

    Attributes
    ----------
    events
        Everything noted, in order.
    control
        The desired state; None before the first.
    acknowledgement
        What the other side of an embedded engine says; None in a replay.
    """

    def __init__(self) -> None:
        self.history: Sequence[Event] = ()
        self.found: Control | None = None
        self.events: list[Event] = []
        self.control: Control | None = None
        self.acknowledgement: Acknowledgement | None = None
        self._heard: Acknowledgement | None = None

    def take(self) -> None:
        """Do nothing: nobody else is there."""

    def hear(self) -> tuple[Acknowledgement | None, bool]:
        """Return what was set as `acknowledgement`."""
        news = self.acknowledgement != self._heard
        self._heard = self.acknowledgement
        return self._heard, news

    def note(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def publish(self, control: Control) -> None:
        """Keep the desired state."""
        self.control = control

    def flush(self) -> None:
        """Do nothing: memory is where it is seen."""

    def close(self) -> None:
        """Do nothing."""
