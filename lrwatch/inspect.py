"""What is there to be watched: the runs, formats and signals found at a path, and what they are taken for.

For people who want to see, and to correct, what lrwatch guesses before it acts on it. Writes nothing.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from lrwatch.config import Config
from lrwatch.errors import NotPossible
from lrwatch.model import Gap, Goal, Role, Scalars
from lrwatch.roles import meaning
from lrwatch.source import RunSource
from lrwatch.tail.discover import RunFiles, discover
from lrwatch.telemetry.text import printable

_READ = 16 << 20
_STYLES: Mapping[Role, str] = {"train": "bold green", "eval": "bold cyan", "lr": "yellow", "grad_norm": "yellow"}


@dataclass(frozen=True, slots=True)
class SignalReport:
    """One signal of one run, read to the end of its logs.

    Parameters
    ----------
    path, format
        The file in which it was met first, and the format of that.
    role, goal
        What it is taken for.
    step_unit
        What its steps count: ``step``, ``epoch``, or ``record`` where the log does not say.
    first_step, last_step
        Of the first and the last record in the order of the log, whatever lies between.
    nonfinite
        How many of its records are NaN or infinite.
    restarts
        How often its steps went back, or the log says that the training was started again.
    rejected
        Pieces of its file that were read and are no record; the same number at each signal of the file.
    """

    run: str
    path: str
    format: str
    signal: str
    role: Role
    goal: Goal
    step_unit: str
    records: int
    first_step: int
    last_step: int
    nonfinite: int
    restarts: int
    rejected: int

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``lrwatch inspect --json`` prints it."""
        return dataclasses.asdict(self)


class Inspection:
    """Reads every run found at a path.

    Parameters
    ----------
    path
        A log directory, or one file.

    Attributes
    ----------
    problems
        Files that could not be read or understood, and why; complete when all reports were taken.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self.problems: dict[str, str] = {}

    def reports(self) -> Iterator[SignalReport]:
        """Yield the signals run by run, each ordered by path and name.

        Raises
        ------
        NotPossible
            There is no such path, or no record below it.
        """
        if not os.path.lexists(self._path) and self._path != Path("-"):
            raise NotPossible(f"{self._path}: no such file or directory")
        runs = discover(self._path)
        found = False
        for files in runs:
            for report in self._run(files):
                found = True
                yield report
        if found:
            return
        if self.problems:
            problems = "; ".join(f"{path}: {why}" for path, why in self.problems.items())
            raise NotPossible(f"nothing readable: {problems}")
        raise NotPossible(f"{self._path}: {'the logs hold no records' if runs else 'no logs found'}")

    def _run(self, files: RunFiles) -> list[SignalReport]:
        source = RunSource(files, whole=True)
        tallies: dict[str, _Tally] = {}
        starts = 0
        try:
            while True:
                for item in source.read(_READ):
                    if isinstance(item, Scalars):
                        _count(item, tallies, starts)
                    elif isinstance(item, Gap) and item.reason == "restart":
                        starts += 1
                if source.lag == 0:
                    break
        finally:
            source.close()
        self.problems.update(source.errors)
        units, rejected = source.step_units, source.rejected
        reports = []
        for name, tally in tallies.items():
            path, form = source.origins.get(name, (files.directory, ""))
            what = meaning(name, self._config.signals)
            reports.append(
                SignalReport(
                    run=files.name,
                    path=os.fsencode(path).decode("utf-8", "replace"),
                    format=form,
                    signal=name,
                    role=what.role,
                    goal=what.goal,
                    step_unit=units.get(name, "step"),
                    records=tally.records,
                    first_step=tally.first,
                    last_step=tally.last,
                    nonfinite=tally.nonfinite,
                    restarts=tally.restarts,
                    rejected=rejected.get(path, 0),
                )
            )
        return sorted(reports, key=lambda report: (report.path, report.signal))


def inspect(path: Path, config: Config) -> Iterator[SignalReport]:
    """Yield the signals found at `path`; raises `NotPossible` as `Inspection.reports` does."""
    return Inspection(path, config).reports()


def inspect_table(reports: Iterable[SignalReport]) -> Table:
    """Return a row for each signal; columns of faults only where there are any. `--json` has the files."""
    rows = list(reports)
    faults = [name for name in ("nonfinite", "restarts", "rejected") if any(getattr(row, name) for row in rows)]
    table = Table(show_edge=False, pad_edge=False)
    for column in ("run", "signal", "role", "records", "steps", *faults, "format"):
        table.add_column(column, overflow="fold", justify="right" if column in ("records", *faults) else "left")
    before: SignalReport | None = None
    for report in rows:
        is_judged = report.role in ("train", "eval")
        role = f"{report.role}, {report.goal}" if is_judged and report.goal == "maximize" else report.role
        is_same = before is not None and (before.run, before.path) == (report.run, report.path)
        table.add_row(
            "" if before is not None and before.run == report.run else Text(printable(report.run)),
            Text(printable(report.signal)),
            Text(role, _STYLES.get(report.role, "dim")),
            str(report.records),
            f"{report.first_step} to {report.last_step}{_unit(report)}",
            *(str(getattr(report, name) or "") for name in faults),
            "" if is_same else Text(report.format),
        )
        before = report
    return table


@dataclass(slots=True)
class _Tally:
    """What is counted of a signal; `starts` is how often the training had been started at its last record."""

    first: int
    last: int
    starts: int
    records: int = 0
    nonfinite: int = 0
    restarts: int = 0


def _count(block: Scalars, tallies: dict[str, _Tally], starts: int) -> None:
    sizes = np.bincount(block.which, minlength=len(block.names))
    order = np.argsort(block.which, kind="stable")
    ends = np.cumsum(sizes).tolist()
    steps = block.steps[order]
    nonfinite = Counter(block.which[~np.isfinite(block.values)].tolist())
    for index, (name, end, size) in enumerate(zip(block.names, ends, sizes.tolist(), strict=True)):
        if not size:
            continue
        own = steps[end - size : end]
        first = int(own[0])
        tally = tallies.get(name)
        if tally is None:
            tally = tallies[name] = _Tally(first, first, starts)
        elif first < tally.last or starts > tally.starts:
            tally.restarts += 1
        tally.restarts += int(np.count_nonzero(np.diff(own) < 0))
        tally.records += size
        tally.nonfinite += nonfinite[index]
        tally.last = int(own[-1])
        tally.starts = starts


def _unit(report: SignalReport) -> str:
    return "" if report.step_unit == "step" else f" ({report.step_unit}s)"
