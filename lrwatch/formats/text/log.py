"""Console output and log files: the lines in it that are records, whoever printed them."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType

import numpy as np

from lrwatch.formats.base import signal_name
from lrwatch.formats.jsonl import MAX_STEP
from lrwatch.formats.lines import MAX_LINE
from lrwatch.formats.text.bars import Bars
from lrwatch.formats.text.boosting import Boosting
from lrwatch.formats.text.composer import Composer
from lrwatch.formats.text.deepspeed import DeepSpeed
from lrwatch.formats.text.fairseq import Fairseq
from lrwatch.formats.text.family import Family, Found, Unit
from lrwatch.formats.text.huggingface import HuggingFace
from lrwatch.formats.text.json_objects import JsonObjects
from lrwatch.formats.text.keras import Keras
from lrwatch.formats.text.llmc import LlmC
from lrwatch.formats.text.maxtext import MaxText
from lrwatch.formats.text.megatron import Megatron
from lrwatch.formats.text.mmengine import MmEngine
from lrwatch.formats.text.modded_nanogpt import ModdedNanogpt
from lrwatch.formats.text.nanogpt import NanoGpt
from lrwatch.formats.text.plain import Plain
from lrwatch.formats.text.sb3 import StableBaselines
from lrwatch.formats.text.torch7 import Torch7
from lrwatch.formats.text.torchtitan import TorchTitan
from lrwatch.model import Gap, Rejected, Scalars

FAMILIES: tuple[Callable[[], Family], ...] = (
    Torch7,
    Fairseq,
    Megatron,
    DeepSpeed,
    TorchTitan,
    MmEngine,
    Composer,
    LlmC,
    ModdedNanogpt,
    NanoGpt,
    HuggingFace,
    MaxText,
    Boosting,
    StableBaselines,
    Keras,
    JsonObjects,
)
"""Who is asked about a line that the family of the line before does not know, in this order."""

LAST_RESORTS: tuple[Callable[[], Family], ...] = (Bars, Plain)
"""Families of loose shapes: asked after all others, each time."""

_PIECE = 1 << 18
_MOST_LAYOUTS = 1024
_MOST_LAYOUT_CHARACTERS = 1 << 20
_MOST_IN_LINE = 256
_MOST_SIGNALS = 4096
_RECENT_STEPS = 16
_MOST_SEEN = 1024

# A carriage return or a backspace begins a new state of the line: what stood there before is a line of its own.
_ENDS = bytes.maketrans(b"\r\b", b"\n\n")
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*+[ -/]*+[@-~]|\\][^\x07\x1b\n]*+(?:\x07|\x1b\\\\)|[ -/]++[0-~]|[0-Z\\\\^-~])")
_PREFIXES = re.compile(
    r"(?:\[(?:rank|default|trainer)?[0-9]++\]: ?|[0-9]++: |\[[0-9]++,[0-9]++\]<std(?:out|err)>: ?"  # of launchers
    r"|\([A-Za-z_]\w*+ pid=[0-9][^)]*+\) "
    r"|\[?[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:[.,][0-9]++)?+(?:Z|[-+][0-9:]++)?+\]?[ ,:|-]*+"
    r"|[IWE][0-9]{4} [0-9:.]{8,}+ ++[0-9]++ [\w.]++:[0-9]++\] "  # of absl
    r"|[A-Za-z_][\w.]*+ - (?=(?:INFO|DEBUG|WARNING)\b)|\[?(?:INFO|DEBUG|WARNING)\b\]?[ :|-]*+"  # of logging
    r"|[\w.]++:[\w.<>]++:[0-9]++ - )"  # of loguru
)
_MOST_PREFIXES = 5


class TextLog:
    r"""Lines of console output that some family of `FAMILIES` knows; all others are nobody's business.

    Lines end at newlines, carriage returns and backspaces; colours and the prefixes of launchers are taken off. The
    family that knew the last line is asked first. A record that several ranks print at one step counts once. Where
    a line names no step, it belongs to the last step seen, and before there was one to the number of lines with
    records so far.

    Rejected are lines of a known shape whose step or number is impossible (``line``), and lines longer than 1 MiB
    (``oversize``, also a Gap).

    Attributes
    ----------
    name
        The first family that gave records, ``text`` before there is one.
    """

    def __init__(self) -> None:
        self.name = "text"
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.name = "text"
        self._held = bytearray()
        self._dropped = 0
        self._families = tuple(family() for family in FAMILIES)
        self._last_resorts = tuple(family() for family in LAST_RESORTS)
        self._asked = tuple(
            (literal, family) for family in (*self._families, *self._last_resorts) for literal in family.literals
        )
        self._first: Family | None = None
        self._is_named = False
        self._axis: Unit | None = None
        self._step: int | None = None
        self._lines = 0
        self._layouts: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._layout_characters = 0
        self._units: dict[str, Unit] = {}
        self._newer: dict[int, _Seen] = {}
        self._older: dict[int, _Seen] = {}

    @property
    def step_units(self) -> Mapping[str, Unit]:
        """What the steps of each signal count, so far: ``step``, ``epoch`` or ``record``."""
        return MappingProxyType(self._units)

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        found: list[Scalars | Gap | Rejected] = []
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if b"\r" in piece or b"\b" in piece or b"\0" in piece:
                piece = piece.translate(_ENDS, b"\0")
            self._take(piece, found)
        return iter(found)

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Read the last line, newline or not."""
        found: list[Scalars | Gap | Rejected] = []
        if self._held or self._dropped:
            self._take(b"\n", found)
        return iter(found)

    def _take(self, data: bytes, found: list[Scalars | Gap | Rejected]) -> None:
        """Cut at newlines; what ends no line is held."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return
        start = 0
        if self._held or self._dropped:
            start = data.find(b"\n") + 1
            self._hold(data[: start - 1])
            if self._dropped:
                found += [Rejected("oversize"), Gap("oversize", self._dropped, self._step)]
            else:
                self._read(bytes(self._held), found)
            self._held.clear()
            self._dropped = 0
        if start < end:
            self._read(data[start : end - 1], found)
        self._hold(data[end:])

    def _hold(self, part: bytes) -> None:
        if self._dropped or len(self._held) + len(part) > MAX_LINE:
            self._dropped += len(self._held) + len(part)
            self._held.clear()
        else:
            self._held += part

    def _read(self, data: bytes, found: list[Scalars | Gap | Rejected]) -> None:
        """Read whole lines."""
        text = data.decode("utf-8", "replace")
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        steps: list[int] = []
        layouts: list[tuple[str, ...]] = []
        values: list[float] = []
        rejected = 0
        first = self._first
        newer, older, known = self._newer, self._older, self._layouts
        last, lines = self._step, self._lines
        same: tuple[str, ...] = ()
        layout: tuple[str, ...] = ()
        for line in text.split("\n"):
            if not line:
                continue
            try:
                family = first
                if family is None or (records := family.read(line)) is None:
                    asked = self._ask(line)
                    if asked is None:
                        continue
                    family, records = asked
                    first = self._first
                step, names, numbers = records
                if not numbers:
                    continue
                if family.unit != self._axis:
                    step = self._on_axis(step, family.unit)
                if names is not same:
                    layout = known.get(names) or self._layout(names)
                    same = names
            except ValueError:
                rejected += 1
                continue
            lines += 1
            if step is None:
                step = lines if last is None else last
            elif not 0 <= step <= MAX_STEP:
                rejected += 1
                continue
            last = step
            tags = layout
            if step in newer or step in older:
                tags, numbers = self._unseen(step, layout, numbers)
            else:
                if len(newer) >= _RECENT_STEPS:
                    self._older = older = newer
                    self._newer = newer = {}
                newer[step] = (layout, numbers)
            steps.append(step)
            layouts.append(tags)
            values += numbers
        self._step, self._lines = last, lines
        if values:
            found.append(_block(steps, layouts, values))
        if rejected:
            found.append(Rejected("line", rejected))

    def _ask(self, line: str) -> tuple[Family, Found] | None:
        """Ask every family that may know a line."""
        stripped = _without_prefixes(line)
        first = self._first
        if first is not None and stripped is not line:
            records = first.read(stripped)
            if records is not None:
                return first, records
        asked: Family | None = None
        for literal, family in self._asked:
            if literal in stripped and family is not asked and family is not first:
                records = family.read(stripped)
                if records is not None:
                    if records[2]:
                        self._lock(family)
                    return family, records
                asked = family
        return None

    def _lock(self, family: Family) -> None:
        """Ask `family` first from now on, unless its shapes are so loose that others must come before it."""
        is_loose = family in self._last_resorts
        if not is_loose:
            self._first = family
        if not self._is_named:
            self.name = family.name
            self._is_named = not is_loose

    def _on_axis(self, step: int | None, unit: Unit) -> int | None:
        """Return the step of a line whose family counts other things than the lines before.

        Steps are finer than epochs and than counted records: once they are known, all else happens at the last one.
        """
        if self._axis is None or unit == "step":
            self._axis = unit
        return step if unit == self._axis else None

    def _layout(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the tags of a line as they are to be known.

        Raises
        ------
        ValueError
            They are too many, or one is too long.
        """
        if len(names) > _MOST_IN_LINE:
            raise ValueError("no line has so many numbers")
        layout: list[str] = []
        for name in names:
            clean = signal_name(name)
            if clean is None:
                raise ValueError("the name is too long")
            layout.append(clean)
        self._layout_characters += sum(map(len, layout))
        if len(self._layouts) >= _MOST_LAYOUTS or self._layout_characters > _MOST_LAYOUT_CHARACTERS:
            self._layouts.clear()
            self._layout_characters = 0
        self._layouts[names] = found = tuple(layout)
        for name in found:
            if self._axis is not None and (name in self._units or len(self._units) < _MOST_SIGNALS):
                self._units[name] = self._axis
        return found

    def _unseen(self, step: int, layout: tuple[str, ...], numbers: list[float]) -> tuple[tuple[str, ...], list[float]]:
        """Leave out what was logged at `step` with the same value."""
        seen = self._newer.get(step) or self._older.get(step)
        if isinstance(seen, tuple):
            seen = set(zip(seen[0], map(repr, seen[1]), strict=True))
        if seen is None:
            seen = set()
        self._newer[step] = seen
        kept = []
        for name, number in zip(layout, numbers, strict=True):
            key = name, repr(number)
            if key not in seen:
                kept.append((name, number))
                if len(seen) < _MOST_SEEN:
                    seen.add(key)
        return tuple(name for name, _ in kept), [number for _, number in kept]


def _without_prefixes(line: str) -> str:
    """Return the line without what launchers and loggers put before it; the very same where there is nothing."""
    for _ in range(_MOST_PREFIXES):
        match = _PREFIXES.match(line)
        if not match:
            break
        line = line[match.end() :]
    return line


_Seen = tuple[tuple[str, ...], list[float]] | set[tuple[str, str]]


def _block(steps: list[int], layouts: list[tuple[str, ...]], values: list[float]) -> Scalars:
    """Make columns of lines."""
    ids: dict[str, int] = {}
    of_layout = {layout: [ids.setdefault(name, len(ids)) for name in layout] for layout in dict.fromkeys(layouts)}
    lengths = np.fromiter(map(len, layouts), np.int64, len(layouts))
    return Scalars(
        tuple(ids),
        np.fromiter(chain.from_iterable(map(of_layout.__getitem__, layouts)), np.int32, len(values)),
        np.repeat(np.array(steps, np.int64), lengths),
        np.array(values, np.float64),
        np.full(len(values), np.nan),
    )


def looks_like_text_log(head: str | bytes) -> bool:
    """Say whether some line at the head of a stream is a record to some family."""
    data = head.encode("utf-8", "replace") if isinstance(head, str) else head
    log = TextLog()
    return any(isinstance(item, Scalars) for part in (log.feed(data), log.finish()) for item in part)
