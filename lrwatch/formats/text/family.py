"""What a family of log lines is, and what the families share."""

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from lrwatch.formats.base import MAX_NAME

Unit = Literal["step", "epoch", "record"]

Found: TypeAlias = tuple[int | None, tuple[str, ...], list[float]]
"""The records of a line: the step they share (None: the last one seen), their tags, their values."""

NOTHING: Found = (None, (), [])
"""A line that the family knows and that holds no record."""

NUMBER = r"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+|[-+]?(?:nan|NaN|NAN|inf|Inf|INF)(?:inity)?+"
"""Source of a regular expression for what is a number and nothing else."""


class Family(Protocol):
    """Knows the lines that one framework prints.

    A family matches the shapes of lines, never bare words: source code and configurations stand at the head of
    many logs. What it remembers is bounded, and its work on a line grows no faster than the line.

    Attributes
    ----------
    name
        How people know the framework.
    unit
        What its steps count: optimizer steps, epochs, or the records themselves where the lines have neither.
        May change with the line that was read last.
    literals
        A line that contains none of them is none of this family's.
    """

    name: ClassVar[str]
    unit: Unit
    literals: ClassVar[tuple[str, ...]]

    def read(self, line: str) -> Found | None:
        """Return the records of a line, `NOTHING` where it has none, or None where the line is another family's.

        The line has no control characters that move a cursor or set a colour, and may have any other.

        Raises
        ------
        ValueError
            The line has the shape of a record, and what stands for a number is none.
        """
        ...


_NOISE = re.compile(
    r"epoch|eta|tps|wps|ups|wpb|bsz|dt|mfu|lr_mult|wall|update|num_updates|gb_free|v_num|fps|seconds|tok/s(?:ec)?"
    r"|total_weights|global batch size|global_step|step|iter|iteration|iterations|percentage|num_input_tokens_seen"
    r"|num zeros|number of .*"
    r"|(?:.*[/_ ])?(?:(?:wall|run)?times?|memory|runtime|throughput|tokens|samples|elapsed|tflops?|tflop/s)"
    r"(?:[/_ (].*)?"
    r"|.*per[_ ]sec.*|.*/s(?:/device)?|.*_wall",
    re.I,
)


@lru_cache(1024)
def _is_noise(key: str) -> bool:
    return _NOISE.fullmatch(key) is not None


def is_noise(key: str) -> bool:
    """Say whether a key is about the machine or the position, not about the training's quality."""
    return len(key) <= MAX_NAME and _is_noise(key)


def collect(step: int | None, pairs: Iterable[tuple[str, str]], prefix: str = "") -> Found:
    """Make records of those pairs that are numbers and no noise, a prefix before each name."""
    names: list[str] = []
    values: list[float] = []
    for key, text in pairs:
        if not is_noise(key):
            try:
                values.append(float(text))
            except ValueError:
                continue
            names.append(prefix + key)
    return step, tuple(names), values


def json_object(text: str) -> dict[str, Any] | None:
    """Decode a JSON object, however broken or deep; None where it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def json_number(value: object) -> float | None:
    """Return what is a number or spells one, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


class Layout:
    """The layout that most lines of a log keep to, as a regular expression that is learnt from them.

    It must find in a line what the family's own parser finds, only faster.

    Attributes
    ----------
    match
        The expression's `match`, or what matches nothing while none is learnt.
    names
        The tags of its groups, in their order.
    """

    _MOST_KEYS = 64
    _MOST_CHARACTERS = 4096
    _MOST_COMPILED = 64

    def __init__(self) -> None:
        self.match: Callable[[str], re.Match[str] | None] = _no_match
        self.names: tuple[str, ...] = ()
        self._last: tuple[str, ...] = ()
        self._compiled = 0

    def learn(self, keys: tuple[str, ...], names: tuple[str, ...], source: Callable[[], str]) -> None:
        """Take the keys of a line that has not matched; two such lines in a row with the same keys are learnt."""
        if keys != self._last:
            is_small = len(keys) <= self._MOST_KEYS and sum(map(len, keys)) <= self._MOST_CHARACTERS
            self._last = keys if is_small else ()
        elif keys and self._compiled < self._MOST_COMPILED:
            self._compiled += 1
            self.match, self.names = re.compile(source()).match, names


def _no_match(_: str) -> None:
    return None
