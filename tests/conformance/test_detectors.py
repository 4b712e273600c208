"""Every judge that ships keeps the promises of a judge, and the kit notices one that does not."""

from collections.abc import Callable

import pytest

from lrwatch.config import DivergenceConfig, OscillationConfig, PlateauConfig
from lrwatch.detect.base import Detector, Finding
from lrwatch.detect.divergence import Divergence
from lrwatch.detect.oscillation import Oscillation
from lrwatch.detect.plateau import Plateau
from lrwatch.model import Kind
from lrwatch.series import Series
from lrwatch.testing.detectors import check_detector, hear, signals

DETECTORS: dict[str, Callable[[], Detector]] = {
    "plateau": lambda: Plateau(PlateauConfig()),
    "divergence": lambda: Divergence(DivergenceConfig()),
    "an early divergence": lambda: Divergence(DivergenceConfig(min_records=16, sigmas=1.0, nonfinite_records=1)),
    "oscillation": lambda: Oscillation(OscillationConfig()),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_judges_that_ship(name: str) -> None:
    """The same verdicts in any pieces, no look into the future, no errors, sound evidence, bounded memory."""
    check_detector(DETECTORS[name])


@pytest.mark.parametrize(
    ("name", "signal"), [("plateau", "a fall to a floor"), ("divergence", "a jump"), ("oscillation", "a swing")]
)
def test_the_signals_of_the_kit_are_worth_showing(name: str, signal: str) -> None:
    """Each judge finds something in them, so that its findings are checked and not only its silence."""
    assert any(heard.finding is not None for heard in hear(DETECTORS[name](), signals()[signal]))


class Sound:
    """A judge that finds something at every look and breaks no promise."""

    kind: Kind = "spike"

    def __init__(self) -> None:
        self.next_look = 100

    def look(self, series: Series) -> Finding | None:
        """Say that there are records."""
        self.next_look = series.count + 100
        return Finding(series.last_step, "info", "has records", {"count": series.count})

    def rewound(self, count: int) -> None:
        """Begin anew."""
        self.next_look = count + 100


class OfNoKind(Sound):
    """A judge of what is no verdict."""

    kind: Kind = "slump"  # type: ignore[assignment]


class Stuck(Sound):
    """A judge that does not say when it looks again."""

    def look(self, series: Series) -> Finding | None:
        """Forget to move on."""
        self.next_look = series.count
        return None


class StuckAfterRewind(Sound):
    """A judge that wants to have looked already."""

    def rewound(self, count: int) -> None:
        """Begin in the past."""
        self.next_look = count


class Raising(Sound):
    """A judge that divides by the loss."""

    def look(self, series: Series) -> Finding | None:
        """Fail at a loss of zero."""
        super().look(series)
        return Finding(series.last_step, "info", "found", {"inverse": 1.0 / series.last})


class Prophet(Sound):
    """A judge whose evidence begins in the future."""

    def look(self, series: Series) -> Finding | None:
        """Look ahead."""
        super().look(series)
        return Finding(series.last_step + 1, "info", "found", {})


class Mute(Sound):
    """A judge without words."""

    def look(self, series: Series) -> Finding | None:
        """Say nothing."""
        super().look(series)
        return Finding(0 if series.last_step >= 0 else series.last_step, "info", " ", {})


class Obscure(Sound):
    """A judge whose evidence nobody can write down."""

    def look(self, series: Series) -> Finding | None:
        """Show the series itself."""
        super().look(series)
        return Finding(series.last_step, "info", "found", {"series": series})


class Hoarder(Sound):
    """A judge that keeps everything."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytes] = []

    def look(self, series: Series) -> Finding | None:
        """Keep a kilobyte."""
        self.kept.append(bytes(4096))
        return super().look(series)


class Haunted(Sound):
    """A judge that goes by what was before the rewind."""

    looks = 0

    def look(self, series: Series) -> Finding | None:
        """Count the looks of all times."""
        super().look(series)
        self.looks += 1
        return Finding(series.last_step, "info", "found", {"looks": self.looks})


def test_a_sound_judge_passes() -> None:
    """The kit complains of nothing where nothing is wrong."""
    check_detector(Sound)


@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        (OfNoKind, "there is no kind 'slump'"),
        (Stuck, "the next look is not ahead"),
        (StuckAfterRewind, "after a rewind to 0 the next look is not ahead"),
        (Raising, "zero: looking raises ZeroDivisionError"),
        (Prophet, "the evidence begins at"),
        (Mute, "a finding without a text"),
        (Obscure, "the evidence is not for JSON"),
        (Hoarder, "KiB are held after"),
        (Haunted, "something of the past is left"),
    ],
)
def test_a_broken_promise_is_noticed(factory: Callable[[], Detector], complaint: str) -> None:
    """Each way to break a promise is told by name."""
    with pytest.raises(AssertionError, match=complaint):
        check_detector(factory)


def test_a_judge_that_depends_on_the_pieces_is_noticed() -> None:
    """Verdicts may depend on the records only, not on how they came."""
    made = iter(range(10**6))

    class Moody(Sound):
        def __init__(self) -> None:
            super().__init__()
            self.mood = next(made)

        def look(self, series: Series) -> Finding | None:
            super().look(series)
            return Finding(series.last_step, "info", "found", {"mood": self.mood})

    with pytest.raises(AssertionError, match="small pieces give something else"):
        check_detector(Moody)
