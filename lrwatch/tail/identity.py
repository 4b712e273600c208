"""Whether a file is still the one that was read, told by what stands in it."""

import os

REMEMBERED = 1024


class Fingerprint:
    """The first and the last KiB of what has been read of a file.

    An inode number cannot tell: a copy that grew (rsync, an object store's mount) has another one and goes on
    where the old one ended, and a new file may be given the number of the one deleted before it. Nor can the
    size: a file rewritten in place, or one that has grown past the offset since it was replaced, has any.
    """

    def __init__(self) -> None:
        self._first = b""
        self._last = b""
        self._offset = 0

    @property
    def offset(self) -> int:
        """How many bytes have been read."""
        return self._offset

    def extend(self, data: bytes) -> None:
        """Note that `data` was read at the offset."""
        if len(self._first) < REMEMBERED:
            self._first += data[: REMEMBERED - len(self._first)]
        self._last = (self._last + data[-REMEMBERED:])[-REMEMBERED:]
        self._offset += len(data)

    def holds(self, descriptor: int) -> bool:
        """Say whether what has been read still stands in the open file.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        if os.pread(descriptor, len(self._first), 0) != self._first:
            return False
        return os.pread(descriptor, len(self._last), self._offset - len(self._last)) == self._last
