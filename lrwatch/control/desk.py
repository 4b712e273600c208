"""The desk of a run: where its journal, its control file and its acknowledgement lie, on disk or in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lrwatch.clock import Clock
from lrwatch.control.acknowledgement import AcknowledgementReader
from lrwatch.control.events import Event
from lrwatch.control.journal import Journal
from lrwatch.control.publisher import Publisher
from lrwatch.protocol import Acknowledgement, Control


class Desk(Protocol):
    """What the watcher of a run needs: the past, the training's word, and a way to say and note things."""

    @property
    def history(self) -> Sequence[Event]:
        """The journal as it was found."""
        ...

    @property
    def found(self) -> Control | None:
        """The control state as it was found."""
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
        The `lrwatch` directory itself.
    beat_seconds
        Seconds between rewrites of an unchanged control file.
    tell
        Told of every event as it is noted.

    Attributes
    ----------
    writes, failures
        Control files written, and attempts (of the journal or the control file) that failed.
    problem
        The newest failure in words; None while all is well.

    Raises
    ------
    NotPossible
        The control file there must be left alone.
    OSError
        The directory cannot be read.
    """

    def __init__(
        self, directory: Path, clock: Clock, beat_seconds: float, tell: Callable[[Event], None] | None = None
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._tell = tell
        self._beat_seconds = beat_seconds
        self._journal = Journal(directory)
        self._publisher = Publisher(directory)
        self._reader = AcknowledgementReader(directory)
        self._events: list[Event] = []
        self._desired: Control | None = None
        self._last_write = clock.monotonic()
        self.writes = 0
        self.failures = 0
        self.problem: str | None = None
        self.history: Sequence[Event] = self._journal.read()
        self.found = self._publisher.found()

    @property
    def rejected(self) -> dict[str, int]:
        """Acknowledgements that were rejected, by reason."""
        return self._reader.rejected

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
        """Write journal, then control file. Raises `TakenOver` where another watcher has the run now."""
        try:
            if self._events:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._journal.append(self._events)
                self._events = []
            self._write_control()
        except OSError as error:
            self.failures += 1
            self.problem = f"{self.directory}: {error.strerror or error}"
        else:
            self.problem = None

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _write_control(self) -> None:
        now = self._clock.monotonic()
        if self._desired is not None:
            self._publisher.write(self._desired)
            self._desired = None
        elif self._publisher.written is not None and now - self._last_write >= self._beat_seconds:
            self._publisher.beat(self._clock.wall())
        else:
            return
        self._last_write = now
        self.writes += 1


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
