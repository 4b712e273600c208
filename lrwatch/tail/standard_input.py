"""Standard input as a stream of chunks."""

import os
import select
from collections.abc import Iterator

from lrwatch.model import Chunk, Gap

CHUNK = 1 << 16
MOST = 64 << 20
"""Longest read without a limit: a pipe can be filled faster than it is read."""


class StandardInput:
    """Reads what has been written to a pipe, a terminal or a redirected file, without ever waiting for it.

    The descriptor is left blocking, since other processes share it; it is asked whether there is anything.

    Parameters
    ----------
    descriptor
        The file descriptor to read.

    Attributes
    ----------
    error
        Why reading failed, for people; None where it did not.
    ended
        Whether the other side has closed: nothing more will come.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self.error: str | None = None
        self.ended = False
        self._descriptor = descriptor

    @property
    def lag(self) -> int:
        """Whether bytes wait to be read: 1 if so, 0 if not; how many a pipe does not tell."""
        return int(not self.ended and self._is_ready())

    def read(self, limit: int | None = None) -> Iterator[Chunk | Gap]:
        """Yield what is there, at most `limit` bytes of it."""
        left = MOST if limit is None else limit
        while left > 0 and not self.ended and self._is_ready():
            try:
                data = os.read(self._descriptor, min(CHUNK, left))
            except BlockingIOError:  # somebody else was quicker
                return
            except OSError as error:
                self.error = error.strerror
                self.ended = True
                return
            if not data:
                self.ended = True
                return
            left -= len(data)
            yield Chunk(data)

    def close(self) -> None:
        """Do nothing: standard input belongs to the process."""

    def _is_ready(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))
