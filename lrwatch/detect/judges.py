"""All judges of one run: records of every signal in, verdicts out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrwatch.config import Config
from lrwatch.detect.judge import Item, Judge
from lrwatch.detect.rates import Rates
from lrwatch.model import Gap, Scalars
from lrwatch.roles import Meaning, meaning


@dataclass(frozen=True, slots=True)
class Announced:
    """A signal that is judged has been seen for the first time, at training step `step`."""

    signal: str
    meaning: Meaning
    step: int


class Judges:
    """The judges of one run, one for each signal that is trained or evaluated on.

    Attributes
    ----------
    rates
        The learning rate in use; acknowledgements are told to it.
    step
        The newest step of a judged signal; None before the first.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._meanings: dict[str, Meaning] = {}
        self._judges: dict[str, Judge] = {}
        self._newest: dict[str, float] = {}
        self._rate_name: str | None = None
        self._restarts = 0
        self._seen_restarts: dict[str, int] = {}
        self.rates = Rates()
        self.step: int | None = None

    def feed(self, block: Scalars) -> list[Item | Announced]:
        """Judge a block of records; blocks may be cut anywhere without changing what comes out.

        Returns
        -------
        list
            In the order of the records that caused them: signals seen for the first time, verdicts raised and
            cleared, restarts (once for all signals), and the looks of the detectors.
        """
        rate_places, rates = self._rates_of(block)
        items: list[tuple[int, str, Item | Announced]] = []
        for index, name in enumerate(block.names):
            known = self._meaning(name)
            if known.role in ("ignore", "lr"):
                continue
            places = np.flatnonzero(block.which == index)
            if not len(places):
                continue
            if known.role == "grad_norm":
                self._newest["grad_norm"] = float(block.values[places[-1]])
                continue
            if name not in self._judges:
                self._judges[name] = Judge(name, known, self._config.detect)
                self._seen_restarts[name] = self._restarts
                items.append((int(places[0]), name, Announced(name, known, int(block.steps[places[0]]))))
            steps = block.steps[places]
            in_use = self.rates.logged_at(places, rate_places, rates) * self.rates.scale_at(steps)
            judged = self._judges[name].feed(places, steps, block.values[places], in_use)
            items += [(place, name, item) for place, item in judged]
            self.step = int(steps[-1])
        self.rates.logged(rates)
        items.sort(key=lambda placed: placed[0])
        return [item for _, name, item in items if not isinstance(item, Gap) or self._is_news(name)]

    def __getitem__(self, signal: str) -> Judge:
        return self._judges[signal]

    @property
    def newest(self) -> dict[str, float]:
        """The newest value by role, of one signal each."""
        values: dict[str, float] = dict(self._newest)
        for role in ("train", "eval"):
            of_role = [judge for judge in self._judges.values() if judge.meaning.role == role]
            if of_role:
                values[role] = min(of_role, key=lambda judge: decides_before(judge.name, judge.meaning)).level()
        return values

    def _meaning(self, name: str) -> Meaning:
        if name not in self._meanings:
            self._meanings[name] = meaning(name, self._config.signals)
        return self._meanings[name]

    def _rates_of(self, block: Scalars) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return where the learning rate stands in the block and its values; the first such signal is the one."""
        for index, name in enumerate(block.names):
            if self._meaning(name).role != "lr" or self._rate_name not in (None, name):
                continue
            self._rate_name = name
            places = np.flatnonzero(block.which == index)
            values = block.values[places]
            usable = np.isfinite(values) & (values >= 0)
            if usable.any():
                self._newest["lr"] = float(values[usable][-1])
            return places[usable], values[usable]
        return np.empty(0, np.intp), np.empty(0, np.float64)

    def _is_news(self, signal: str) -> bool:
        """Say whether a signal that went back is the first of the run to tell of this restart."""
        self._seen_restarts[signal] += 1
        if self._seen_restarts[signal] <= self._restarts:
            return False
        self._restarts = self._seen_restarts[signal]
        return True


def decides_before(signal: str, known: Meaning) -> tuple[bool, bool, int, str]:
    """Return the order in which signals are taken to decide: the main training loss first.

    Among the losses the shortest name is the main one: ``loss`` before ``loss_bbox``, ``train/loss`` before
    ``train/box_loss``.
    """
    lowered = signal.lower()
    return known.role != "train", not ("loss" in lowered or lowered in ("trl", "nll")), len(signal), signal
