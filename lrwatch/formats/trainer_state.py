"""The state that Hugging Face's Trainer saves with each checkpoint: ``trainer_state.json``.

One JSON object, written whole and replaced whole. Its ``log_history`` holds everything logged so far, a row for
each time: ``step``, ``epoch`` and either ``loss``, ``grad_norm``, ``learning_rate`` or ``eval_loss`` and other
``eval_*``. NaN and Infinity stand there bare. Steps are optimizer steps.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lrwatch.formats.base import Block, signal_name
from lrwatch.formats.csv import Given
from lrwatch.formats.jsonl import number_in, step_in
from lrwatch.model import Gap, Rejected, Scalars

MOST_BYTES = 64 << 20
"""Longest document."""

_MARK = re.compile(rb'[{}"]|\\.', re.S)
_BETWEEN = b" \t\r\n\xef\xbb\xbf"


class TrainerState:
    r"""The rows of ``log_history``, each number but the step a record.

    Nothing is given before the document has closed. The next document, be it the file replaced or another one
    behind the first, repeats what the one before had: rows are given from the first that differs, which is
    where the training has gone on. If it does not go on from the last row but from an earlier one, a training
    was continued from an earlier checkpoint, and ``Gap("replaced")`` stands before it.

    The row that ends a training (``train_runtime``, ``train_loss``: means over all of it) is no point of any
    curve and left out.

    Rejected are documents that are no object with a ``log_history``, and other text (``json``), documents
    longer than 64 MiB (``oversize``, also a Gap), rows that are no objects (``row``) or have an impossible step
    or none (``step``), and names that are too long (``name``).
    """

    name = "trainer_state"
    step_units: Mapping[str, str] = {}

    def __init__(self) -> None:
        self._given = Given()
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._given.reset()
        self._restart()

    def rewind(self, gap: Gap) -> None:
        """Take the same file again from its start; what was given before is not given twice.

        Parameters
        ----------
        gap
            Given in its turn if what was given before is not what the file begins with now.
        """
        self._restart()
        self._gap = gap

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        found: list[Scalars | Gap | Rejected] = []
        start = 0
        while start < len(data):
            start = (self._take if self._depth else self._skip)(data, start, found)
        return iter(found)

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Give up a document that has not closed."""
        found: list[Scalars | Gap | Rejected] = []
        if self._depth:
            found.extend(self._lost() if self._dropped else [Rejected("json")])
        self._restart()
        return iter(found)

    def _restart(self) -> None:
        self._gap = Gap("replaced")
        self._held = bytearray()
        self._dropped = 0
        self._depth = 0  # of braces
        self._is_text = False
        self._is_escaped = False
        self._is_garbage = False

    def _skip(self, data: bytes, start: int, found: list[Scalars | Gap | Rejected]) -> int:
        """Go to where the next document begins; other text than blanks is rejected, once each time."""
        begin = data.find(b"{", start)
        between = data[start : None if begin < 0 else begin]
        if not self._is_garbage and between.strip(_BETWEEN):
            self._is_garbage = True
            found.append(Rejected("json"))
        if begin < 0:
            return len(data)
        self._is_garbage = False
        self._depth = 1
        self._hold(b"{")
        return begin + 1

    def _take(self, data: bytes, start: int, found: list[Scalars | Gap | Rejected]) -> int:
        """Take what belongs to the document that is open; return where the rest begins."""
        place = start
        if self._is_escaped:
            self._is_escaped = False
            place += 1
        end = place
        for mark in _MARK.finditer(data, place):
            end = mark.end()
            sign = mark[0]
            if sign == b'"':
                self._is_text = not self._is_text
            elif not self._is_text and sign in (b"{", b"}"):
                self._depth += 1 if sign == b"{" else -1
                if self._depth == 0:
                    self._hold(data[start:end])
                    found.extend(self._lost() if self._dropped else self._document())
                    return end
        self._is_escaped = data.endswith(b"\\") and end < len(data)
        self._hold(data[start:])
        return len(data)

    def _hold(self, data: bytes) -> None:
        if self._dropped or len(self._held) + len(data) > MOST_BYTES:
            self._dropped += len(self._held) + len(data)
            self._held = bytearray()
        else:
            self._held += data

    def _lost(self) -> list[Scalars | Gap | Rejected]:
        lost, self._dropped = self._dropped, 0
        return [Gap("oversize", lost), Rejected("oversize")]

    def _document(self) -> list[Scalars | Gap | Rejected]:
        """Give what is new in the document that is held."""
        text = self._held.decode("utf-8", "replace")
        self._held = bytearray()
        rows = _rows(text)
        if rows is None:
            return [Rejected("json")]
        found: list[Scalars | Gap | Rejected] = []
        rejected: Counter[str] = Counter()
        block = Block()
        self._given.rewind(self._gap)
        self._gap = Gap("replaced")
        for row in rows:
            if isinstance(row, dict) and "train_runtime" in row:
                continue
            is_known = self._given.knows(hash(repr(sorted(row.items()) if isinstance(row, dict) else row)))
            if self._given.gap is not None:
                found.append(self._given.gap)
                self._given.gap = None
            if not is_known:
                rejected.update(_records(row, block))
        found.extend(block.take())
        found.extend(Rejected(reason, count) for reason, count in rejected.items())
        return found


def looks_like_trainer_state(head: str) -> bool:
    """Say whether a text begins as a ``trainer_state.json``; its keys are sorted, and this one comes early."""
    return head.removeprefix("\ufeff").lstrip().startswith("{") and '"log_history"' in head


def _rows(text: str) -> list[Any] | None:
    """Return ``log_history``, or None where the text is no object that has it."""
    try:
        try:
            document = json.loads(text)
        except json.JSONDecodeError:
            return None
        except ValueError:  # an integer of thousands of digits, which is a number like any other
            document = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    rows = document.get("log_history") if isinstance(document, dict) else None
    return rows if isinstance(rows, list) else None


def _records(row: object, block: Block) -> Iterator[str]:
    """Add the records of a row to `block`, and give the reasons for what is rejected of it."""
    if not isinstance(row, dict):
        yield "row"
        return
    try:
        step = step_in(row.get("step"))
    except ValueError:
        yield "step"
        return
    for key, value in row.items():
        number = number_in(value)
        if key == "step" or number is None:
            continue
        name = signal_name(key)
        if name is None:
            yield "name"
        else:
            block.add(name, step, number, math.nan)
