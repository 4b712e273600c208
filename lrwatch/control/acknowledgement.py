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
        Counts of files that were no acknowledgement, by reason.
    """

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / FILE_NAME)
        self._bytes = b""
        self.newest: Acknowledgement | None = None
        self.rejected: dict[str, int] = {}

    def read(self) -> bool:
        """Look at the file; return whether it has changed since the last look. Never raises."""
        try:
            data = document.read(self._path)
            if data == self._bytes:
                return False
            self._bytes = data
            self.newest = decode_acknowledgement(data)
        except FileNotFoundError:
            return False
        except ProtocolError as error:
            self._reject(error.reason)
            return False
        except OSError:
            self._reject("unreadable")
            return False
        return True

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
