r"""What every judge must hold to, as a test that a judge of one's own can call.

::

    from lrwatch.testing.detectors import check_detector

    def test_my_judge():
        '''It keeps the promises of a judge.'''
        check_detector(lambda: MyJudge(MyConfig()))

`hear` shows a signal to a judge as lrwatch does, record by record or in pieces.
"""

import json
import math
import tracemalloc
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrwatch.detect.base import Detector, Finding
from lrwatch.model import KINDS, Severity
from lrwatch.series import Series

MOST_GROWTH = 256 << 10
"""Bytes by which a judge and its series may grow over a long training."""

_STREAK = 16
_RECORDS = 1000
_PIECE = 7
_LONG = 50_000

Columns = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A signal as a judge gets to see it.

    Parameters
    ----------
    steps, values, rates
        Shape (n,): training step, value and learning rate of each record. A step below the one before is a restart.
    """

    steps: NDArray[np.int64]
    values: Columns
    rates: Columns


@dataclass(frozen=True, slots=True)
class Heard:
    """What a judge said when it looked: the finding, None for nothing, at a count of records and a step."""

    count: int
    step: int
    finding: Finding | None


def check_detector(factory: Callable[[], Detector]) -> None:
    """Put the promises of `lrwatch.detect.base.Detector` to the test.

    Parameters
    ----------
    factory
        Returns a fresh judge.

    Raises
    ------
    AssertionError
        A promise is broken; the text says which.
    """
    _require(factory().kind in KINDS, f"there is no kind {factory().kind!r}")
    for name, signal in signals().items():
        detector = factory()
        whole = _checked(detector, signal, name)
        _check_findings(whole, name)
        _require(_checked(factory(), signal, name, _PIECE) == whole, f"{name}: small pieces give something else")
        detector.rewound(0)
        _require(detector.next_look > 0, f"{name}: after a rewind to 0 the next look is not ahead")
        again = _checked(detector, signal, name)
        _require(again == whole, f"{name}: after a rewind to 0 something of the past is left")
    _check_memory(factory())


def hear(detector: Detector, signal: Signal, size: int | None = None) -> list[Heard]:
    """Show a signal to a judge and return what it said at each look.

    Parameters
    ----------
    size
        At most so many records at a time; None: as many as there are until the next look.
    """
    series, said = Series(), list[Heard]()
    place = 0
    while place < len(signal.values):
        step = int(signal.steps[place])
        if place and step < signal.steps[place - 1]:
            series.rewind(step)
            detector.rewound(series.count)
            _require(detector.next_look > series.count, f"after a rewind to {series.count} the next look is not ahead")
        if not math.isfinite(signal.values[place]):
            series.append_nonfinite(step)
            if detector.kind == "divergence" and series.streak <= _STREAK:
                said.append(Heard(series.count, step, detector.look(series)))
            place += 1
            continue
        end = _end(signal, place, max(detector.next_look - series.count, 1), size)
        recovers = detector.kind == "divergence" and series.streak > 0
        end = place + 1 if recovers else end
        series.append(signal.steps[place:end], signal.values[place:end], signal.rates[place:end])
        if recovers or series.count >= detector.next_look:
            said.append(Heard(series.count, int(signal.steps[end - 1]), detector.look(series)))
            _require(detector.next_look > series.count, f"at {series.count} records the next look is not ahead")
        place = end
    return said


def signals() -> dict[str, Signal]:
    """Return signals of every sort: healthy, dead, failing, absurd, restarted."""
    rng = np.random.default_rng(0)
    steps = np.arange(_RECORDS)
    noise = 0.02 * rng.standard_normal(_RECORDS)
    fall = 2.0 + 4.0 * np.exp(-steps / 50)
    half = _RECORDS // 2
    broken = fall + noise
    broken[rng.integers(0, _RECORDS, 60)] = np.nan
    broken[half : half + 10] = np.inf
    values = {
        "a constant": np.full(_RECORDS, 2.3),
        "zero": np.zeros(_RECORDS),
        "noise": noise,
        "a fall to a floor": fall + noise,
        "a power law": 2.0 + 4.0 * (1 + steps / 8) ** -0.5 + noise,
        "a jump": fall + noise + np.where(steps < half, 0.0, 3.0),
        "an explosion to the largest floats": fall * np.exp(np.clip(steps - half, 0, 700)),
        "a swing": fall + noise + 0.3 * np.sin(steps),
        "a negative loss": fall + noise - 50.0,
        "non-finite records": broken,
        "nothing but NaN": np.full(100, np.nan),
        "the largest floats": np.resize([1e308, -1e308], _RECORDS),
        "the smallest floats": np.resize([5e-324, 0.0, -5e-324], _RECORDS),
        "noise of every size": noise * 10.0 ** rng.integers(-300, 300, _RECORDS),
        "one record": np.ones(1),
    }
    made = {name: Signal(steps[: len(column)], column, np.ones(len(column))) for name, column in values.items()}
    floor = fall + noise
    made["a cut of the learning rate"] = Signal(steps, floor, np.where(steps < half, 0.1, 0.01))
    made["a warm-up from zero"] = Signal(steps, floor, steps / _RECORDS)
    made["a cosine"] = Signal(steps, floor, 0.5 + 0.5 * np.cos(np.pi * steps / _RECORDS))
    made["a learning rate of zero"] = Signal(steps, floor, np.zeros(_RECORDS))
    made["one step for all"] = Signal(np.zeros(_RECORDS, np.int64), floor, np.ones(_RECORDS))
    made["enormous steps"] = Signal(steps * 2**50, floor, np.ones(_RECORDS))
    for back in (0, 1, half - 1):
        again = np.concatenate([steps[:half], back + steps[:half]])
        made[f"a restart at step {back}"] = Signal(again, floor, np.ones(_RECORDS))
    return made


def _checked(detector: Detector, signal: Signal, name: str, size: int | None = None) -> list[Heard]:
    """Return what was heard; an error or a warning breaks a promise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return hear(detector, signal, size)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{name}: looking raises {type(error).__name__}: {error}") from error


def _check_findings(said: list[Heard], name: str) -> None:
    for heard in said:
        finding = heard.finding
        if finding is None:
            continue
        _require(finding.since <= heard.step, f"{name}: the evidence begins at {finding.since}, after {heard.step}")
        _require(finding.severity in typing.get_args(Severity), f"{name}: no severity {finding.severity!r}")
        _require(bool(finding.text.strip()), f"{name}: a finding without a text")
        try:
            json.dumps(dict(finding.evidence), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{name}: the evidence is not for JSON: {error}") from error


def _check_memory(detector: Detector) -> None:
    """A training as long as one likes takes no more than a bounded space."""
    rng = np.random.default_rng(1)
    signal = Signal(np.arange(_LONG), 2.0 + 0.1 * rng.standard_normal(_LONG), np.ones(_LONG))
    tracemalloc.start()
    try:
        said = len(hear(detector, signal))
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    most = MOST_GROWTH + 512 * said
    _require(grown <= most, f"{grown >> 10} KiB are held after {_LONG} records")


def _end(signal: Signal, place: int, most: int, size: int | None) -> int:
    """Return where the piece ends that begins at `place`: before a restart and before a non-finite record."""
    end = min(place + most, len(signal.values), len(signal.values) if size is None else (place // size + 1) * size)
    steps, values = signal.steps[place:end], signal.values[place:end]
    stops = np.flatnonzero((np.diff(steps, prepend=steps[0]) < 0) | ~np.isfinite(values))
    return place + int(stops[0]) if len(stops) else end


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(promise)
