"""Lines of bounded length out of a stream of bytes."""

from lrwatch.model import Gap

MAX_LINE = 1 << 20


class Lines:
    r"""Cuts a stream at newlines, tolerating ``\r\n``; a line that is too long costs no memory.

    Parameters
    ----------
    limit
        Longest line in bytes, without its newline. What is longer is dropped up to the next newline and
        stands in the result as ``Gap("oversize", bytes)``.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._held = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> list[bytes | Gap]:
        """Return the lines that `data` completes, each without its end."""
        first, *others = data.split(b"\n")
        self._hold(first)
        lines: list[bytes | Gap] = []
        for part in others:
            lines.append(self._end())
            self._hold(part)
        return lines

    def finish(self) -> list[bytes | Gap]:
        """Return the last line, if one without a newline is left."""
        return [self._end()] if self._held or self._dropped else []

    def reset(self) -> None:
        """Forget the line that has begun."""
        self._held.clear()
        self._dropped = 0

    def _hold(self, part: bytes) -> None:
        if self._dropped or len(self._held) + len(part) > self._limit:
            self._dropped += len(self._held) + len(part)
            self._held.clear()
        else:
            self._held += part

    def _end(self) -> bytes | Gap:
        line = Gap("oversize", self._dropped) if self._dropped else bytes(self._held).removesuffix(b"\r")
        self.reset()
        return line
