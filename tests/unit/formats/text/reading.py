"""Reading console output in tests."""

from dataclasses import dataclass, field
from pathlib import Path

from lrwatch.formats.text import TextLog
from lrwatch.model import Gap, Rejected, Scalars

DATA = Path(__file__).parents[5] / "shared" / "data"

Row = tuple[str, int, float]


@dataclass
class Read:
    """What came out of a log: the family, the records in order, what the steps count, and what was rejected."""

    name: str
    rows: list[Row] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def of(self, name: str) -> list[tuple[int, float]]:
        """Return the records of one signal."""
        return [(step, value) for found, step, value in self.rows if found == name]


def read(text: str | bytes) -> Read:
    """Read a whole log."""
    log = TextLog()
    data = text.encode() if isinstance(text, str) else text
    found = [*log.feed(data), *log.finish()]
    result = Read(log.name, units=dict(log.step_units))
    for item in found:
        if isinstance(item, Scalars):
            columns = (item.which.tolist(), item.steps.tolist(), item.values.tolist())
            result.rows += [(item.names[which], step, value) for which, step, value in zip(*columns, strict=True)]
        elif isinstance(item, Rejected):
            result.rejected[item.reason] = result.rejected.get(item.reason, 0) + item.count
        else:
            result.gaps.append(item)
    return result
