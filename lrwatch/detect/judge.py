"""One signal on trial: its records in, its verdicts out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrwatch.config import DetectConfig
from lrwatch.detect.base import Detector, Finding
from lrwatch.detect.divergence import Divergence
from lrwatch.detect.oscillation import Oscillation
from lrwatch.detect.plateau import Plateau
from lrwatch.model import Gap, Kind, Severity, Verdict
from lrwatch.roles import Meaning
from lrwatch.series import Series

_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Looked:
    """The detectors of a signal have looked at it.

    Parameters
    ----------
    step
        The training step of the newest record.
    warming_up
        The script's learning rate is still climbing from its start.
    """

    signal: str
    step: int
    warming_up: bool


Item = Verdict | Gap | Looked

Places = NDArray[np.intp]


class Judge:
    """The series of one signal and the detectors that look at it.

    Parameters
    ----------
    name
        The signal.
    meaning
        Its role and direction; a signal to be maximized is judged with its sign turned.

    Attributes
    ----------
    active
        The verdicts that hold now, by kind.
    """

    def __init__(self, name: str, meaning: Meaning, config: DetectConfig) -> None:
        self.name = name
        self.meaning = meaning
        self.series = Series()
        self.active: dict[Kind, Verdict] = {}
        self._sign = -1.0 if meaning.goal == "maximize" else 1.0
        self._newest_step: int | None = None
        self._nonfinite_records = config.divergence.nonfinite_records
        divergence = [Divergence(config.divergence)] if config.divergence.enabled else []
        plateau = [Plateau(config.plateau)] if config.plateau.enabled else []
        oscillation = [Oscillation(config.oscillation)] if config.oscillation.enabled else []
        self._divergence: list[Detector] = [*divergence]
        self._detectors: list[Detector] = [*divergence, *oscillation, *plateau]

    def feed(
        self, places: Places, steps: NDArray[np.int64], values: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> Iterator[tuple[int, Item]]:
        """Take records in the order of the log; arrays of one length.

        Yields, each with the place of the record that caused it: the verdicts raised and cleared, every look of
        the detectors, and a `Gap` where the steps go back (the training was restarted, and what it logs again
        replaces what it logged before).

        Parameters
        ----------
        places
            What the caller knows each record by, ascending.
        steps, values, rates
            Training step, value, and the learning rate in use.
        """
        before = steps[0] if self._newest_step is None else self._newest_step
        backward = np.flatnonzero(steps < np.concatenate([[before], steps[:-1]]))
        values = self._sign * values
        start = 0
        for back in [*backward.tolist(), len(steps)]:
            if start < back:
                part = slice(start, back)
                yield from self._forward(places[part], steps[part], values[part], rates[part])
                self._newest_step = int(steps[back - 1])
            if back < len(steps):
                step = int(steps[back])
                yield int(places[back]), Gap("restart", 0, step)
                for item in self._rewind(step):
                    yield int(places[back]), item
            start = back

    def level(self) -> float:
        """Return the newest value in the signal's own direction; NaN before there is one."""
        return self._sign * self.series.last

    def _rewind(self, step: int) -> Iterator[Verdict]:
        self.series.rewind(step)
        for detector in self._detectors:
            detector.rewound(self.series.count)
        for kind in list(self.active):
            yield from self._settle(kind, None, step)

    def _forward(
        self, places: Places, steps: NDArray[np.int64], values: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> Iterator[tuple[int, Item]]:
        finite = np.isfinite(values)
        if finite.all():
            yield from self._finite(places, steps, values, rates)
            return
        edges = np.flatnonzero(np.diff(finite)) + 1
        for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True):
            part = slice(start, end)
            if finite[start]:
                yield from self._finite(places[part], steps[part], values[part], rates[part])
            else:
                yield from self._nonfinite(places[part], steps[part])

    def _nonfinite(self, places: Places, steps: NDArray[np.int64]) -> Iterator[tuple[int, Item]]:
        for place, step in zip(places.tolist(), steps.tolist(), strict=True):
            self.series.append_nonfinite(step)
            if self.series.streak == self._nonfinite_records:
                yield from self._look(self._divergence, place, step)

    def _finite(
        self, places: Places, steps: NDArray[np.int64], values: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> Iterator[tuple[int, Item]]:
        start = 0
        while start < len(values):
            recovers = self._divergence if self.series.streak else []
            due = min((detector.next_look for detector in self._detectors), default=1 << 62)
            end = min(len(values), start + (1 if recovers else max(due - self.series.count, 1)))
            self.series.append(steps[start:end], values[start:end], rates[start:end])
            count = self.series.count
            ready = [d for d in self._detectors if d in recovers or d.next_look <= count]
            if ready:
                yield from self._look(ready, int(places[end - 1]), int(steps[end - 1]))
            start = end

    def _look(self, detectors: list[Detector], place: int, step: int) -> Iterator[tuple[int, Item]]:
        for detector in detectors:
            for item in self._settle(detector.kind, detector.look(self.series), step):
                yield place, item
        yield place, Looked(self.name, step, _warming_up(self.series))

    def _settle(self, kind: Kind, finding: Finding | None, step: int) -> Iterator[Verdict]:
        """Turn what a detector sees now into at most one verdict cleared and one raised."""
        before = self.active.get(kind)
        if finding is not None and before is not None and not _worse(finding, before):
            return
        if before is not None:
            del self.active[kind]
            yield Verdict(
                "cleared",
                self.name,
                kind,
                step,
                before.since,
                before.severity,
                f"{self.name}: {kind} is over",
            )
        if finding is not None:
            raised = Verdict(
                "raised",
                self.name,
                kind,
                step,
                finding.since,
                finding.severity,
                f"{self.name} {finding.text}",
                finding.evidence,
            )
            self.active[kind] = raised
            yield raised


def _worse(finding: Finding, before: Verdict) -> bool:
    """Say whether an episode has become another: more severe, or values that are no numbers any more."""
    if _RANK[finding.severity] > _RANK[before.severity]:
        return True
    return finding.evidence.get("nonfinite", 0) > 0 and not before.evidence.get("nonfinite", 0)


def _warming_up(series: Series) -> bool:
    """Say whether the learning rate has only climbed so far, and not stood still for a fifth of the records."""
    rates = series.window(series.count).rates
    climbs = len(rates) > 2 and bool((np.diff(rates) >= 0).all()) and bool(rates[-1] > 1.05 * rates[0])
    return climbs and series.steady < 0.2 * series.count
