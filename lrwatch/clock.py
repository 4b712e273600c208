"""Time as an argument: durations are monotonic, wall time is only shown."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the watcher needs to know of time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary instant; never goes back. Every duration is measured with it."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; shown to people and never subtracted."""
        ...


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def wall(self) -> float:
        """Return `time.time()`."""
        return time.time()
