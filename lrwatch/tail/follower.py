"""One path as one endless stream, whatever happens to the file behind it."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lrwatch.model import Chunk, Gap
from lrwatch.tail.identity import Fingerprint

CHUNK = 1 << 20
QUIET = 16
"""After so many looks at which nothing was new, the file is closed."""


class Follower:
    """Reads what is appended to the file at a path.

    The file may be missing, come late, be deleted and come again. Where it was cut short there is
    ``Gap("truncated")``, where its content is another there is ``Gap("replaced")``, and reading starts anew. A
    file that is renamed away is read to its end first, as long as it is held open, which it is while it
    grows. A longer copy put in its place goes on without a gap, its beginning being what was read.

    Reading is by read() and not by mmap, which kills the process when the file is cut short under it. Anything
    but a regular file is refused, without waiting for anybody to write to it.

    Parameters
    ----------
    path
        Symbolic links are followed.
    chunk_bytes
        Longest chunk.

    Attributes
    ----------
    error
        What kept the last look from succeeding, for people; None where nothing did. Whatever it was, the next
        look tries again. A file that is not there is no error.
    """

    def __init__(self, path: Path, *, chunk_bytes: int = CHUNK) -> None:
        self.path = path
        self.error: str | None = None
        self._chunk_bytes = chunk_bytes
        self._descriptor: int | None = None
        self._opened: tuple[int, int] | None = None
        self._read = Fingerprint()
        self._size: int | None = None
        self._seen: tuple[int, ...] | None = None
        self._is_settled = False
        self._was_at_end = False
        self._quiet = 0

    @property
    def lag(self) -> int:
        """Bytes on disk that are not read yet, as of the last look (the first, where there was none)."""
        if self._size is None:
            try:
                status = self.path.stat()
            except OSError:
                return 0
            return status.st_size if stat.S_ISREG(status.st_mode) else 0
        return max(0, self._size - self._read.offset)

    def read(self, limit: int | None = None) -> Iterator[Chunk | Gap]:
        """Yield what is new, at most `limit` bytes of it (None: all there is at this moment).

        Where nothing is new it costs one stat. With a limit of 0 only gaps are looked for.
        """
        try:
            yield from self._look(limit)
        except OSError as error:
            self.close()
            self._seen = None
            self.error = error.strerror or str(error)

    def close(self) -> None:
        """Let go of the file. Reading on opens it again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _look(self, limit: int | None) -> Iterator[Chunk | Gap]:
        status = self._status()
        self.error = None
        if status is None:
            self._seen = None
            if self._descriptor is not None:  # deleted, and perhaps still written to
                before = self._read.offset
                yield from self._rest(self._descriptor, limit)
                self._keep_quiet(is_quiet=self._read.offset == before)
            return
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        seen = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        is_same = seen == self._seen and (self._read.offset >= status.st_size or limit == 0)
        if is_same and self._is_settled:
            self._keep_quiet(is_quiet=True)
            return
        # A rewrite right after the last look may have left the same size and, its clock being coarse, the same time.
        self._is_settled = is_same
        if self._descriptor is not None and self._opened != seen[:2]:
            before = self._read.offset
            yield from self._rest(self._descriptor, limit)
            if self.lag:
                return
            self._size = self._read.offset + status.st_size  # what waits in the new file, as long as it is not opened
            self.close()
            if limit is not None:
                limit -= self._read.offset - before
        yield from self._rest_of_path(limit)
        self._seen = seen

    def _rest_of_path(self, limit: int | None) -> Iterator[Chunk | Gap]:
        """Yield the rest of what now stands at the path, after a gap if it is not what was read."""
        is_open = self._descriptor is not None
        descriptor = self._descriptor = self._open() if self._descriptor is None else self._descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        before, self._opened = self._opened, (status.st_dev, status.st_ino)
        self._size = status.st_size
        if status.st_size < self._read.offset or not self._read.holds(descriptor):
            cut_short = before == self._opened and status.st_size < self._read.offset
            self._read = Fingerprint()
            yield Gap("truncated" if cut_short else "replaced")
        start = self._read.offset
        yield from self._rest(descriptor, limit)
        has_grown = self._was_at_end and self._read.offset > start
        self._was_at_end = self._was_at_end or not self.lag
        if not is_open and not has_grown and not self.lag:  # a finished file is not worth a descriptor
            self.close()
        else:
            self._keep_quiet(is_quiet=self._read.offset == start)

    def _rest(self, descriptor: int, limit: int | None) -> Iterator[Chunk]:
        """Yield the rest of the open file."""
        self._size = os.fstat(descriptor).st_size
        end = self._size if limit is None else min(self._size, self._read.offset + limit)
        while self._read.offset < end:
            data = os.pread(descriptor, min(self._chunk_bytes, end - self._read.offset), self._read.offset)
            if not data:
                break
            self._read.extend(data)
            yield Chunk(data)

    def _status(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)

    def _keep_quiet(self, *, is_quiet: bool) -> None:
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._quiet >= QUIET:
            self.close()
