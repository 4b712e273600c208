"""What a log format is: bytes in, columns of records out."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lrwatch.model import Gap, Rejected, Scalars

MAX_NAME = 1024
"""Longest tag in characters; what is longer is counted as ``name`` and not kept."""


class Format(Protocol):
    """Turns the bytes of one stream into records.

    Four promises, which `lrwatch.testing.formats.check_format` puts to the test:

    - any cutting of the stream into pieces gives the same records, gaps and counts of rejected pieces;
    - no bytes make it raise;
    - what it remembers is bounded, however long the stream or one record of it is;
    - `feed` has done its work when it returns, whether or not anybody iterates over the result.

    Attributes
    ----------
    name
        How people know the format: ``tfevents``, ``jsonl``, ...
    """

    name: str

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes of the stream and give what they complete, in the order of the stream.

        Counts of rejected pieces may come late within a call: their place means nothing.
        """
        ...

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Give what is left, the stream having ended: a last line without newline, a Gap for a torn record."""
        ...

    def reset(self) -> None:
        """Forget the stream: what is fed next is the start of another one."""
        ...


@runtime_checkable
class Rewritten(Format, Protocol):
    """A format whose files are written anew with what they had before, and who can tell what is new then."""

    def rewind(self, gap: Gap) -> None:
        """Take the same file again from its start; what was given before is not given twice.

        Parameters
        ----------
        gap
            Given in its turn if what was given before is not what the file begins with now.
        """
        ...


class Block:
    """Records one by one in, columns out."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._ids: dict[str, int] = {}
        self._which: list[int] = []
        self._steps: list[int] = []
        self._values: list[float] = []
        self._walls: list[float] = []

    def add(self, name: str, step: int, value: float, wall: float) -> None:
        """Append a record."""
        self._which.append(self._ids.setdefault(name, len(self._ids)))
        self._steps.append(step)
        self._values.append(value)
        self._walls.append(wall)

    def take(self) -> Iterator[Scalars]:
        """Give the records added so far as one block, or nothing where there are none, and start anew."""
        if self._values:
            yield Scalars(
                tuple(self._ids),
                np.array(self._which, np.int32),
                np.array(self._steps, np.int64),
                np.array(self._values, np.float64),
                np.array(self._walls, np.float64),
            )
            self._start()


def signal_name(tag: str) -> str | None:
    """Return the name to know a tag by, encodable as UTF-8, or None where it is too long to be one."""
    if len(tag) > MAX_NAME:
        return None
    return tag if tag.isascii() else tag.encode("utf-8", "replace").decode("utf-8")


def choose(block: Scalars, chosen: slice | NDArray[np.bool_]) -> Scalars:
    """Return the chosen records of `block`, with no more names than they have."""
    which = block.which[chosen]
    present = np.bincount(which, minlength=len(block.names)) > 0
    names = block.names
    if not present.all():
        which = (np.cumsum(present) - 1).astype(np.int32)[which]
        names = tuple(name for name, is_present in zip(names, present.tolist(), strict=True) if is_present)
    return Scalars(names, which, block.steps[chosen], block.values[chosen], block.walls[chosen])
