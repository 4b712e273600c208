"""Which format a stream is in, told from its first bytes."""

import json
from pathlib import Path

from lrwatch.formats.base import Format
from lrwatch.formats.csv import CommaSeparated, looks_like_csv
from lrwatch.formats.jsonl import JsonLines
from lrwatch.formats.records import headers
from lrwatch.formats.text import TextLog, looks_like_text_log
from lrwatch.formats.tfevents import EventFile
from lrwatch.formats.trainer_state import TrainerState, looks_like_trainer_state

HEAD = 64 * 1024
"""How many bytes decide at most."""

PRECEDENCE = ("tfevents", "jsonl", "trainer_state", "csv")
"""Whose copy of a signal counts where several files of a run have it; the formats named here come first."""

TEXT_SUFFIXES = (".log", ".txt", ".out", ".err")
"""Files that hold whatever a training printed."""

_LINE_SUFFIXES = (".jsonl", ".ndjson")
_CONTROLS = str.maketrans("", "", "".join(map(chr, set(range(32)) - set(b"\t\n\f\r\b\x1b"))) + "\ufffd")


def recognise(path: Path, head: bytes) -> Format | None:
    """Return a fresh reader of the format that `head`, the first bytes of `path`, is in.

    The content decides; the name helps where the content leaves it open. A ``.jsonl`` file is read as JSON Lines
    as long as it is text; standard input (`path` is ``-``) and ``.log``, ``.txt``, ``.out`` and ``.err`` files
    that are nothing else are read as console output.

    Parameters
    ----------
    head
        At most `HEAD` bytes are looked at.

    Returns
    -------
    Format or None
        None where the format is not known: not yet, while `head` is shorter than `HEAD` and may grow.
    """
    head = head[:HEAD]
    starts = headers(head)[0]
    if len(starts) and (starts[0] == 0 or "tfevents" in path.name):
        return EventFile()
    if not head or not _is_text(head):
        return None
    text = head.decode("utf-8", "replace")
    if looks_like_trainer_state(text):
        return TrainerState()
    if looks_like_csv(text):
        return CommaSeparated()
    if path.suffix in _LINE_SUFFIXES or _begins_with_object(text):
        return JsonLines()
    if (
        path.suffix in TEXT_SUFFIXES
        or looks_like_text_log(head)
        or (path == Path("-") and ("\n" in text or len(head) == HEAD))
    ):
        return TextLog()
    return JsonLines() if _has_objects(head) else None


def _is_text(head: bytes) -> bool:
    """Say whether at most a tenth of `head` is what no text has: a hole of zeros or a bad character passes."""
    text = head.decode("utf-8", "replace")
    return len(text) - len(text.translate(_CONTROLS)) <= len(text) / 10


def _begins_with_object(text: str) -> bool:
    """Say whether the first line that is not blank is a JSON object."""
    first, newline, _ = text.lstrip().partition("\n")
    if not newline:  # a first line that is longer than what may be looked at
        return len(text) >= HEAD and first.startswith("{")
    return _has_objects(f"{first}\n".encode())


def _has_objects(head: bytes) -> bool:
    """Say whether a whole line of `head` is a JSON object."""
    for line in head.split(b"\n")[:-1]:
        if line.startswith(b"{"):
            try:
                return isinstance(json.loads(line.decode("utf-8", "replace")), dict)
            except (ValueError, RecursionError):
                continue
    return False
