"""Log lines of the daemon: structured, on standard error, safe to look at, and quiet about repetitions.

Modules log through `logging.getLogger(__name__)`. The message says what happened and stays the same from one
time to the next; what varies goes into `fields`::

    log.warning("cannot read the log", extra=fields(run=run, path=path, error=error))
"""

import json
import logging
import sys
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from lrwatch.clock import Clock, SystemClock
from lrwatch.telemetry.text import bounded, jsonable, printable

REPEAT_SECONDS = 30.0

_MAX_KEYS = 1024
_MAX_TEXT = 2000
_MAX_TRACEBACK = 50


def configure(
    style: Literal["text", "json"] = "text",
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> logging.Logger:
    """Set up the ``lrwatch`` logger, and take back an earlier set-up.

    Parameters
    ----------
    style
        ``text``: one line for people, ``key=value`` at its end. ``json``: one object a line with ``time``,
        ``level``, ``logger``, ``message``, ``fields`` and, where there is one, ``traceback``.
    stream
        Where the lines go; None: standard error. A stream that is closed, full or broken loses lines and
        nothing else.
    clock
        Measures the 30 seconds in which a message that repeats itself is only counted.

    Returns
    -------
    logging.Logger
        The parent of every logger in the package.
    """
    logger = logging.getLogger("lrwatch")
    for handler in list(logger.handlers):
        if isinstance(handler, QuietHandler):
            logger.removeHandler(handler)
            handler.close()
    handler = QuietHandler(sys.stderr if stream is None else stream, clock or SystemClock())
    handler.setFormatter(JsonLine() if style == "json" else TextLine())
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    return logger


def fields(*, key: str | None = None, **values: object) -> dict[str, Any]:
    """Return the `extra` of a log call that carries `values`.

    Parameters
    ----------
    key
        What counts as the same message, in place of its text together with the field ``run``.
    """
    return {"fields": values, "key": key}


class QuietHandler(logging.StreamHandler[TextIO]):
    """Writes a message at most once in 30 seconds, then says how many there were in between.

    Parameters
    ----------
    stream
        Where the lines go.
    clock
        Its monotonic time measures the 30 seconds.

    Attributes
    ----------
    lost
        Lines that could not be written.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        super().__init__(stream)
        self.lost = 0
        self._clock = clock
        self._seen: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as a repetition."""
        try:
            repeated = self._admit(_key(record))
        except Exception:  # noqa: BLE001 - wrong arguments of a log call must not end the daemon
            self.handleError(record)
            return
        if repeated is not None:
            record.__dict__["repeated"] = repeated
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the name is logging's
        """Count the line as lost: there is no place left to complain to."""
        self.lost += 1

    def _admit(self, key: object) -> int | None:
        """Return how many were held back since the last one that was shown, or None to hold this one back."""
        now = self._clock.monotonic()
        since, held = self._seen.get(key, (None, 0))
        if since is not None and now - since < REPEAT_SECONDS:
            self._seen[key] = since, held + 1
            return None
        self._seen[key] = now, 0
        self._seen.move_to_end(key)
        if len(self._seen) > _MAX_KEYS:
            self._seen.popitem(last=False)
        return held


class TextLine(logging.Formatter):
    """One line for people; nothing in it can start another line or move the cursor of a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback indented below it."""
        words = [
            _time(record),
            record.levelname.lower(),
            f"{record.name}:",
            bounded(record.getMessage(), _MAX_TEXT),
            *(f"{printable(key)}={_quoted(value)}" for key, value in _fields(record).items()),
        ]
        return "\n".join([" ".join(words), *(f"    | {line}" for line in _traceback(self, record))])


class JsonLine(logging.Formatter):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MAX_TEXT],
            "fields": {
                key: value[:_MAX_TEXT] if isinstance(value, str) else value
                for key, value in jsonable(_fields(record)).items()
            },
        }
        if traceback := _traceback(self, record):
            line["traceback"] = traceback
        return json.dumps(jsonable(line), allow_nan=False, separators=(",", ":"))


def _key(record: logging.LogRecord) -> object:
    named = getattr(record, "key", None)
    if named is not None:
        return named
    return record.name, record.levelno, record.getMessage(), str(_fields(record).get("run"))


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    values: Mapping[str, object] = getattr(record, "fields", {})
    repeated = getattr(record, "repeated", 0)
    return {**values, "repeated": repeated} if repeated else values


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return bounded(text, _MAX_TEXT)
    text = text[: _MAX_TEXT + 1].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{bounded(text, 2 * _MAX_TEXT)}"'


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    lines = formatter.formatException(record.exc_info).split("\n")
    return [bounded(line, _MAX_TEXT) for line in lines[-_MAX_TRACEBACK:]]
