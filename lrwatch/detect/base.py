"""What a judge is: it looks at one signal's series now and then, and says whether its condition holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lrwatch.model import Kind, Severity
from lrwatch.series import Series


@dataclass(frozen=True, slots=True)
class Finding:
    """The condition holds.

    Parameters
    ----------
    since
        The training step at which the evidence begins.
    text
        One sentence that a person understands; the name of the signal is put before it.
    evidence
        The statistic, its threshold and its window.
    """

    since: int
    severity: Severity
    text: str
    evidence: Mapping[str, Any]


class Detector(Protocol):
    """One judge of one signal, in which smaller is better (the caller turns the sign).

    `look` is called when the series holds exactly `next_look` records, whatever the chunks in which they came,
    so that live reading and replay see the same. It must never raise on finite input.
    """

    kind: Kind
    next_look: int

    def look(self, series: Series) -> Finding | None:
        """Return a finding while the condition holds, None otherwise; and move `next_look` on."""
        ...

    def rewound(self, count: int) -> None:
        """Take note that the series went back to `count` records."""
        ...


def after(count: int, share: float, most: int, fewest: int = 1) -> int:
    """Return when to look again: `share` of the records later, at least `fewest` and at most `most`."""
    return count + min(max(fewest, int(count * share)), most)
