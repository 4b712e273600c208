"""Every metric of lrwatch, in one table, rendered anew at each scrape.

The page is built from the runs as they stand, so a run that is gone has no series left (Prometheus, "Writing
exporters": create new metrics at each scrape). Names follow Prometheus' "Metric and label naming": one prefix,
base units, ``_total`` for counters, ``_ratio`` and ``_timestamp_seconds`` for what they say; a timestamp is
exported and never an age. Raw tags, steps and messages are never labels.
"""

import platform
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from lrwatch import __version__
from lrwatch.model import KINDS, RunSnapshot
from lrwatch.telemetry.text import bounded, digest

MAX_RUNS = 2000
MAX_REASONS = 16
MAX_LABEL = 200

ROLES = ("train", "eval", "lr", "grad_norm")
ACTIONS = ("scale", "restore", "stop")
OUTCOMES = ("helped", "neutral", "hurt")
OTHER = "other"

POLL_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily
Rows = Iterable[tuple[tuple[str, ...], float | None]]


@dataclass(frozen=True, slots=True)
class Page:
    """The runs of one scrape: those that are exported, by the text of their label, and how many are watched."""

    runs: Mapping[str, RunSnapshot]
    watched: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table.

    Parameters
    ----------
    name
        As it stands on the page.
    type
        The Prometheus type.
    labels
        The names of its labels, in the order of a row's label values.
    help
        Meaning and unit, in one sentence.
    rows
        Reads label values and a value off a page; a value of None is left out. None for the histogram, which
        belongs to the watcher and not to the page.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str
    rows: Callable[[Page], Rows] | None


def _whole(read: Callable[[Page], float]) -> Callable[[Page], Rows]:
    return lambda page: [((), read(page))]


def _each(read: Callable[[RunSnapshot], float | None]) -> Callable[[Page], Rows]:
    return lambda page: (((label,), read(run)) for label, run in page.runs.items())


def _tally(
    read: Callable[[RunSnapshot], Mapping[str, int]], known: tuple[str, ...], most: int
) -> Callable[[Page], Rows]:
    """Count by a label that has the values `known`, and no more than `most` before ``other`` takes the rest.

    The first in the order of the mapping keep their own series: a counter must not move between two series.
    """

    def rows(page: Page) -> Iterator[tuple[tuple[str, ...], float]]:
        for label, run in page.runs.items():
            tally = dict.fromkeys(known, 0)
            for text, count in read(run).items():
                value = bounded(text, MAX_LABEL)
                if value not in tally and len(tally) >= most:
                    value = OTHER
                tally[value] = tally.get(value, 0) + count
            for value, count in tally.items():
                yield (label, value), count

    return rows


def _active(run: RunSnapshot) -> Mapping[str, int]:
    return {kind: 1 for kind, _ in run.active}


def _signals(page: Page) -> Iterator[tuple[tuple[str, ...], float | None]]:
    for label, run in page.runs.items():
        for role in ROLES:
            yield (label, role), run.signals.get(role)


METRICS: tuple[Metric, ...] = (
    Metric(
        "lrwatch_build_info",
        "gauge",
        ("version", "python"),
        "Always 1; its labels tell the versions of lrwatch and of Python.",
        lambda _: [((__version__, platform.python_version()), 1)],
    ),
    Metric(
        "lrwatch_runs",
        "gauge",
        (),
        "Runs that are being watched, exported or not.",
        _whole(lambda page: page.watched),
    ),
    Metric(
        "lrwatch_runs_dropped",
        "gauge",
        (),
        "Runs that are watched but left out of this page, which holds the newest 2000.",
        _whole(lambda page: page.watched - len(page.runs)),
    ),
    Metric(
        "lrwatch_run_step",
        "gauge",
        ("run",),
        "Newest training step read from the logs.",
        _each(lambda run: run.step),
    ),
    Metric(
        "lrwatch_signal_value",
        "gauge",
        ("run", "signal"),
        "Newest value of the watched signal of each role, in the unit of the log; NaN is a value.",
        _signals,
    ),
    Metric(
        "lrwatch_verdict_active",
        "gauge",
        ("run", "kind"),
        "1 while a verdict of this kind holds for the run, else 0.",
        _tally(_active, KINDS, len(KINDS)),
    ),
    Metric(
        "lrwatch_verdicts_total",
        "counter",
        ("run", "kind"),
        "Verdicts raised.",
        _tally(lambda run: run.verdicts, KINDS, len(KINDS)),
    ),
    Metric(
        "lrwatch_decisions_total",
        "counter",
        ("run", "action"),
        "Decisions published in the control file.",
        _tally(lambda run: run.decisions, ACTIONS, len(ACTIONS)),
    ),
    Metric(
        "lrwatch_outcomes_total",
        "counter",
        ("run", "verdict"),
        "Decisions whose effect has been measured, by what it was.",
        _tally(lambda run: run.outcomes, OUTCOMES, len(OUTCOMES)),
    ),
    Metric(
        "lrwatch_scale_ratio",
        "gauge",
        ("run",),
        "Desired learning rate divided by the one that the script's own schedule gives.",
        _each(lambda run: run.scale),
    ),
    Metric(
        "lrwatch_control_seq",
        "gauge",
        ("run",),
        "Sequence number of the control file; 0 before the first change.",
        _each(lambda run: run.seq),
    ),
    Metric(
        "lrwatch_ack_seq",
        "gauge",
        ("run",),
        "Sequence number that the training has acknowledged; absent before the first acknowledgement.",
        _each(lambda run: run.ack_seq),
    ),
    Metric(
        "lrwatch_applied_scale_ratio",
        "gauge",
        ("run",),
        "Scale that the training says it applies; absent before the first acknowledgement.",
        _each(lambda run: run.applied_scale),
    ),
    Metric(
        "lrwatch_last_record_timestamp_seconds",
        "gauge",
        ("run",),
        "Unix time at which the newest record was read.",
        _each(lambda run: run.last_record_at),
    ),
    Metric(
        "lrwatch_ack_timestamp_seconds",
        "gauge",
        ("run",),
        "Unix time of the newest acknowledgement.",
        _each(lambda run: run.ack_at),
    ),
    Metric(
        "lrwatch_run_finished",
        "gauge",
        ("run",),
        "1 once the training has reported a clean end, else 0.",
        _each(lambda run: run.finished),
    ),
    Metric(
        "lrwatch_run_set_aside",
        "gauge",
        ("run",),
        "1 while the run is set aside after a failure and not watched, else 0; /api/runs tells the reason.",
        _each(lambda run: run.set_aside is not None),
    ),
    Metric(
        "lrwatch_records_total",
        "counter",
        ("run",),
        "Decoded scalars of whatever role, non-finite ones included.",
        _each(lambda run: run.records),
    ),
    Metric(
        "lrwatch_rejected_total",
        "counter",
        ("run", "reason"),
        "Pieces of input that were read and are no record.",
        _tally(lambda run: run.rejected, (OTHER,), MAX_REASONS),
    ),
    Metric(
        "lrwatch_gaps_total",
        "counter",
        ("run", "reason"),
        "Holes in the run's logs: what came next did not continue what came before.",
        _tally(lambda run: run.gaps, (OTHER,), MAX_REASONS),
    ),
    Metric(
        "lrwatch_control_writes_total",
        "counter",
        ("run",),
        "Rewrites of the control file that reached the disk.",
        _each(lambda run: run.control_writes),
    ),
    Metric(
        "lrwatch_control_write_failures_total",
        "counter",
        ("run",),
        "Rewrites of the control file that failed.",
        _each(lambda run: run.control_write_failures),
    ),
    Metric(
        "lrwatch_poll_duration_seconds",
        "histogram",
        (),
        "Time that one poll of all the runs took.",
        None,
    ),
)


class WatcherMetrics(Collector):
    """The metrics of one watcher, in a registry of their own and never in the global one.

    A scrape costs about 76 series a run at most; 2000 runs are some megabytes and about a second.

    Parameters
    ----------
    runs
        Gives the runs as they stand. It is called in the thread of each scrape and must not block.

    Attributes
    ----------
    registry
        Holds this collector alone; what `lrwatch.telemetry.Server` renders.

    References
    ----------
    https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/instrumenting/writing_exporters/
    """

    def __init__(self, runs: Callable[[], Sequence[RunSnapshot]]) -> None:
        self._runs = runs
        self._polls = [0] * (len(POLL_BUCKETS) + 1)
        self._seconds = 0.0
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def observe(self, seconds: float) -> None:
        """Count one poll of all the runs that took `seconds`; may be called from any thread."""
        with self._lock:
            self._polls[bisect_left(POLL_BUCKETS, seconds)] += 1
            self._seconds += seconds

    def describe(self) -> Iterable[Family]:
        """Name nothing beforehand: registering must not ask for the runs."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Give every metric of the table for the runs as they stand now."""
        page = _page(self._runs())
        for metric in METRICS:
            if metric.rows is None:
                yield self._histogram(metric)
                continue
            family: GaugeMetricFamily | CounterMetricFamily
            if metric.type == "counter":
                family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            else:
                family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.rows(page):
                number = _number(value)
                if number is not None:
                    family.add_metric(labels, number)
            yield family

    def _histogram(self, metric: Metric) -> HistogramMetricFamily:
        with self._lock:
            polls, seconds = list(self._polls), self._seconds
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, POLL_BUCKETS), "+Inf"), polls, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(metric.name, metric.help, buckets=buckets, sum_value=seconds)


def _page(runs: Sequence[RunSnapshot]) -> Page:
    """Choose the runs that are exported and give each a label of its own: a series twice fails the scrape."""
    exported = runs
    if len(runs) > MAX_RUNS:
        exported = sorted(runs, key=lambda run: run.last_record_at or 0.0, reverse=True)[:MAX_RUNS]
    labels = [bounded(run.run, MAX_LABEL) or "." for run in exported]
    times = Counter(labels)
    page: dict[str, RunSnapshot] = {}
    for label, run in zip(labels, exported, strict=True):
        page.setdefault(label if times[label] == 1 else f"{label}~{digest(run.directory)}", run)
    return Page(page, len(runs))


def _number(value: float | None) -> float | None:
    """Leave out what no float can hold (an integer of 400 digits): one bad value must not fail the scrape."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None
