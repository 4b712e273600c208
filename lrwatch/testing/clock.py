"""A clock for tests: it stands still until it is told to go on."""


class FakeClock:
    """Time as the test wants it.

    Parameters
    ----------
    monotonic, wall
        Seconds at the beginning.
    """

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_790_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        """Return the seconds that durations are measured with."""
        return self._monotonic

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Raises
        ------
        ValueError
            It would go back.
        """
        if seconds < 0:
            raise ValueError(f"a duration of {seconds} s cannot pass")
        self._monotonic += seconds
        self._wall += seconds

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock, as an administrator does; durations do not notice."""
        self._wall = seconds
