"""JSON Lines: one object per line, its numbers the records of one step.

Written by LLaMA-Factory (``trainer_log.jsonl``), MMEngine (``scalars.json``), Detectron2 (``metrics.json``),
W&B exports and most training loops of one's own. The grammar is https://jsonlines.org, loosened by what they
put on disk: bare ``NaN`` and ``Infinity``, and numbers that are strings (fairseq, Transformers 5).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lrwatch.formats.base import MAX_NAME, Block, signal_name
from lrwatch.formats.lines import Lines
from lrwatch.model import Gap, Rejected, Scalars

STEP_KEYS = (
    "step",
    "global_step",
    "iteration",
    "iter",
    "current_steps",
    "num_updates",
    "_step",
    "train/global_step",
    "update",
    "updates",
)
WALL_KEYS = ("timestamp", "_timestamp", "wall_time", "time")
MAX_STEP = 2**53
MAX_DEPTH = 64

_DATE = 1e8
_MOST_SHAPES = 256

_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.I | re.A)


class JsonLines:
    """Each line an object, each number in it a scalar; nested objects join their keys with ``/``.

    The step of a line is its first key of `STEP_KEYS`. Where it has none, it is the step of the line before
    (an evaluation that follows its step); where no line had one yet, ``epoch`` if that has been integral
    throughout, and else the number of the line among the objects, from 1. The wall time is ``timestamp``,
    ``_timestamp``, ``wall_time``, or a ``time`` that can only be a date. These keys are no records; ``epoch``
    is one where it is not the step.

    Rejected are lines that are no object (``json``), that say they belong to an impossible step (``step``)
    or are longer than 1 MiB (``oversize``, also a Gap), and tags beyond `MAX_NAME` (``name``).
    """

    name = "jsonl"

    def __init__(self) -> None:
        self._lines = Lines()
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._lines.reset()
        self._objects = 0
        self._step: int | None = None
        self._epochs_are_steps = True
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        return iter(self._decode(self._lines.feed(data)))

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Read the last line, newline or not."""
        return iter(self._decode(self._lines.finish()))

    def _decode(self, lines: list[bytes | Gap]) -> list[Scalars | Gap | Rejected]:
        found: list[Scalars | Gap | Rejected] = []
        block = Block()
        rejected: Counter[str] = Counter()
        for line in lines:
            if isinstance(line, Gap):
                rejected[line.reason] += 1
                found.extend(block.take())
                found.append(Gap(line.reason, line.bytes, self._step))
            elif line and not line.isspace():
                fields = _object(line)
                if fields is None:
                    rejected["json"] += 1
                else:
                    self._objects += 1
                    rejected.update(self._records(fields, block))
        found.extend(block.take())
        found.extend(Rejected(reason, count) for reason, count in rejected.items())
        return found

    def _records(self, fields: Mapping[str, Any], block: Block) -> Iterator[str]:
        """Add the records of one object to `block` and give the reasons for what is rejected of it."""
        shape = self._shape(tuple(fields))
        try:
            step, epoch_is_step = self._step_of(fields, shape)
        except ValueError:
            yield "step"
            return
        wall = next((time for key in shape.walls if (time := _wall(key, fields[key])) is not None), math.nan)
        for key, name in shape.values:
            value = fields[key]
            number = value if type(value) is float else number_in(value)
            if number is None or (epoch_is_step and key == "epoch") or (key == "time" and number > _DATE):
                continue
            if name is None:
                yield "name"
            else:
                block.add(name, step, number, wall)

    def _step_of(self, fields: Mapping[str, Any], shape: "_Shape") -> tuple[int, bool]:
        """Return the step, and whether ``epoch`` gave it."""
        for key in shape.steps:
            if fields[key] is not None:
                self._step = step_in(fields[key])
                return self._step, False
        epoch = number_in(fields.get("epoch"))
        if epoch is not None and not epoch.is_integer():
            self._epochs_are_steps = False
        if self._step is not None:
            return self._step, False
        if epoch is not None and self._epochs_are_steps:
            return step_in(epoch), True
        return self._objects, False

    def _shape(self, keys: tuple[str, ...]) -> "_Shape":
        """Return what an object with these keys consists of; a log has few kinds of lines."""
        shape = self._shapes.get(keys)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            shape = self._shapes[keys] = _Shape(
                tuple(key for key in STEP_KEYS if key in keys),
                tuple(key for key in WALL_KEYS if key in keys),
                tuple((key, signal_name(key)) for key in keys if key not in _AXES),
            )
        return shape


@dataclass(frozen=True, slots=True)
class _Shape:
    """The keys of an object by what they are: each value with its tag, None where that is too long."""

    steps: tuple[str, ...]
    walls: tuple[str, ...]
    values: tuple[tuple[str, str | None], ...]


_AXES = frozenset((*STEP_KEYS, *WALL_KEYS)) - {"time"}  # which may be a duration
_decode = json.JSONDecoder().decode


def _object(line: bytes) -> dict[str, Any] | None:
    """Decode one line as a flat object; None where it is none."""
    text = line.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        try:
            document = _decode(text)
        except json.JSONDecodeError:
            return None
        except ValueError:  # an integer of thousands of digits, which is a number like any other
            document = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return _flatten(document) if text.count("{") > 1 else document


def _flatten(document: dict[str, Any]) -> dict[str, Any] | None:
    """Join the keys of nested objects with ``/``; None where they are too deep or too long to be names.

    Without the bound on the length, one line of 1 MiB could ask for gigabytes of names.
    """
    flat: dict[str, Any] = {}
    levels = [("", iter(document.items()))]
    while levels:
        prefix, items = levels[-1]
        for key, value in items:
            if isinstance(value, dict):
                if len(levels) == MAX_DEPTH or len(prefix) + len(key) >= MAX_NAME:
                    return None
                levels.append((f"{prefix}{key}/", iter(value.items())))
                break
            flat[prefix + key] = value
        else:
            levels.pop()
    return flat


def number_in(value: object) -> float | None:
    """Return what is a number or spells one in ASCII, else None; beyond the range of a double: infinity."""
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _wall(key: str, value: object) -> float | None:
    number = number_in(value)
    return None if number is None or (key == "time" and number <= _DATE) else number


def step_in(value: object) -> int:
    """Return `value` as a step.

    Raises
    ------
    ValueError
        It is no integral number in [0, 2**53].
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else number_in(value)
    if number is None or not 0 <= number <= MAX_STEP or not float(number).is_integer():
        raise ValueError(f"{value!r} is no step")
    return int(number)
