"""Reads what the training acknowledged: untrusted, bounded, and only news when it changed."""

from pathlib import Path

from lrwatch.errors import ProtocolError
from lrwatch.protocol import Acknowledgement, decode_acknowledgement, document
from lrwatch.protocol.acknowledgement import FILE_NAME


class AcknowledgementReader:
    """The newest valid `ack.json` of one run.

    Attributes
    ----------
    newest
        What was last accepted; None before the first.
    rejected
        Counts of files that were no acknowledgement, by reason; one that stays as it is counts once.
    """

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / FILE_NAME)
        self._seen: bytes | str = b""
        self.newest: Acknowledgement | None = None
        self.rejected: dict[str, int] = {}

    def read(self) -> bool:
        """Look at the file; return whether it says something new. Never raises."""
        try:
            data = document.read(self._path)
        except FileNotFoundError:
            return False
        except ProtocolError as error:
            return self._reject(error.reason, error.reason)
        except OSError:
            return self._reject("unreadable", "unreadable")
        if data == self._seen:
            return False
        try:
            ack = decode_acknowledgement(data)
        except ProtocolError as error:
            return self._reject(error.reason, data)
        before, self.newest, self._seen = self.newest, ack, data
        return ack != before

    def _reject(self, reason: str, seen: bytes | str) -> bool:
        if seen != self._seen:
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
            self._seen = seen
        return False
