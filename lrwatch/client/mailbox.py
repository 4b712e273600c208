"""The two files of a run as the training sees them: one it reads, one it writes."""

import os
from collections import Counter

from lrwatch.client.steering import Steering
from lrwatch.errors import ProtocolError
from lrwatch.protocol import Acknowledgement, acknowledgement, control, document

Directory = str | os.PathLike[str]


def locate(directory: Directory | None) -> str:
    """Return the real path of the run's directory, by default that of ``LRWATCH_DIR``.

    Raises
    ------
    ValueError, TypeError
        There is none, or it is no path.
    """
    path = os.environ.get("LRWATCH_DIR") if directory is None else os.fspath(directory)
    if not path:
        raise ValueError("no directory: give the run's directory, or set LRWATCH_DIR to it")
    if not isinstance(path, str):
        raise TypeError(f"directory must be text, not {path!r}")
    return os.path.realpath(path)


class Mailbox:
    """Reads the control file into a `Steering` and keeps the acknowledgement; counts its failures.

    Parameters
    ----------
    directory
        The run's directory; the files lie in ``lrwatch/`` below it, which is made when it is first needed.
    rejections
        Where failures are counted by reason.

    Attributes
    ----------
    refused
        Why the control file as it lies there is not followed; None where it is, or where there is none.
    """

    def __init__(self, directory: str, rejections: Counter[str]) -> None:
        self._control = os.path.join(directory, "lrwatch", control.FILE_NAME)
        self._acknowledgement = os.path.join(directory, "lrwatch", acknowledgement.FILE_NAME)
        self._rejections = rejections
        self._data: bytes | None = None
        self.refused: str | None = None

    def poll(self, steering: Steering) -> None:
        """Let `steering` follow the control file, if it has changed."""
        try:
            data = document.read(self._control)
        except FileNotFoundError:
            self._data = self.refused = None
            steering.unasked()
            return
        except (ProtocolError, OSError) as error:
            reason = error.reason if isinstance(error, ProtocolError) else "io"
            if reason != self.refused:
                self._rejections[reason] += 1
            self._data, self.refused = None, reason
            return
        if data == self._data:
            return
        self._data = data
        try:
            steering.follow(control.decode_control(data))
            self.refused = None
        except ProtocolError as error:
            self._rejections[error.reason] += 1
            self.refused = error.reason

    def forget(self) -> None:
        """Look at the control file anew at the next poll, even if it has not changed."""
        self._data = None

    def memory(self) -> Acknowledgement | None:
        """Return the acknowledgement that lies there, if it is one."""
        try:
            return acknowledgement.decode_acknowledgement(document.read(self._acknowledgement))
        except FileNotFoundError:
            return None
        except (ProtocolError, OSError):
            self._rejections["ack"] += 1
            return None

    def write(self, ack: Acknowledgement, *, durable: bool) -> bool:
        """Replace the acknowledgement and say whether that worked."""
        data = ack.encode()
        try:
            try:
                document.replace(self._acknowledgement, data, durable=durable)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self._acknowledgement), exist_ok=True)
                document.replace(self._acknowledgement, data, durable=durable)
        except OSError:
            self._rejections["write"] += 1
            return False
        return True
