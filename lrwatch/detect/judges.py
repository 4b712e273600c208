"""All judges of one run: records of every signal in, verdicts out."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrwatch.config import Config
from lrwatch.detect.judge import Item, Judge
from lrwatch.detect.rates import Rates
from lrwatch.model import Gap, Scalars
from lrwatch.roles import Meaning, meaning

_NO_NEWS = frozenset(["train", "training", "epoch", "step", "batch", "iteration", "total"])
_LARGEST_RATE = 1e150  # products and sums of learning rates remain numbers


MOST_JUDGED = 1024
"""Signals of one run that are judged; a log with more of them has step numbers in its tags."""


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
    unjudged
        Records of signals that came when `MOST_JUDGED` were judged already.
    step
        The newest step of a judged signal; None before the first.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._meanings: dict[str, Meaning] = {}
        self._judges: dict[str, Judge] = {}
        self._newest: dict[str, float] = {}
        self._rate_name: str | None = None
        self._records = 0
        self._newest_record: dict[str, int] = {}
        self._newest_restart = -1
        self.rates = Rates()
        self.step: int | None = None
        self.unjudged = 0

    def feed(self, block: Scalars) -> list[Item | Announced]:
        """Judge a block of records; blocks may be cut anywhere without changing what comes out.

        Returns
        -------
        list
            In the order of the records that caused them: signals seen for the first time, verdicts raised and
            cleared, restarts (once for all signals), and the looks of the detectors.
        """
        rate_places, rates = self._rates_of(block)
        if self.rates.known or not len(rates):
            return self._feed(block, rate_places, rates)
        first = int(rate_places[0])
        before = self._feed(_part(block, slice(first)), rate_places[:0], rates[:0])
        self.rates.logged(rates[:1])
        for judge in self._judges.values():
            judge.series.multiply_rates(float(rates[0]))
        return before + self._feed(_part(block, slice(first, None)), rate_places - first, rates)

    def _feed(
        self, block: Scalars, rate_places: NDArray[np.intp], rates: NDArray[np.float64]
    ) -> list[Item | Announced]:
        items: list[tuple[int, int, Item | Announced]] = []
        newest = -1
        order = np.argsort(block.which, kind="stable")
        edges = np.searchsorted(block.which[order], np.arange(len(block.names) + 1)).tolist()
        for index, name in enumerate(block.names):
            known = self._meaning(name)
            places = order[edges[index] : edges[index + 1]]
            if known.role in ("ignore", "lr") or not len(places):
                continue
            if known.role == "grad_norm":
                self._newest["grad_norm"] = float(block.values[places[-1]])
                continue
            steps = block.steps[places]
            if name not in self._judges:
                if len(self._judges) >= MOST_JUDGED:
                    self.unjudged += len(places)
                    continue
                self._judges[name] = Judge(name, known, self._config.detect)
                self._newest_record[name] = self._records + int(places[0])
                items.append((int(places[0]), 0, Announced(name, known, int(steps[0]))))
            in_use = self.rates.in_use(steps, places, rate_places, rates)
            ordinals = np.concatenate([[self._newest_record[name]], self._records + places])
            for place, item in self._judges[name].feed(places, steps, block.values[places], in_use):
                items.append((place, int(ordinals[np.searchsorted(places, place)]), item))
            self._newest_record[name] = int(ordinals[-1])
            if places[-1] > newest:
                newest, self.step = int(places[-1]), int(steps[-1])
        self.rates.logged(rates)
        items.sort(key=lambda placed: placed[0])
        news = [
            item
            for place, before, item in items
            if not isinstance(item, Gap) or self._is_news(self._records + place, before)
        ]
        self._records += len(block)
        return news

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
        candidates = [
            places
            for index, name in enumerate(block.names)
            if self._meaning(name).role == "lr" and self._rate_name in (None, name)
            if len(places := np.flatnonzero(block.which == index))
        ]
        if not candidates:
            return np.empty(0, np.intp), np.empty(0)
        places = min(candidates, key=lambda places: int(places[0]))
        self._rate_name = block.names[int(block.which[places[0]])]
        values = block.values[places]
        usable = np.isfinite(values) & (values >= 0)
        values = np.minimum(values[usable], _LARGEST_RATE)
        if len(values):
            self._newest["lr"] = float(values[-1])
        return places[usable], values

    def _is_news(self, restart: int, before: int) -> bool:
        """Say whether a signal that went back tells of a restart that no other told of.

        Parameters
        ----------
        restart, before
            The ordinals of the record that went back and of the signal's record before it. A restart that was
            told between the two is the same one.
        """
        if before < self._newest_restart:
            return False
        self._newest_restart = restart
        return True


def _part(block: Scalars, part: slice) -> Scalars:
    return Scalars(block.names, block.which[part], block.steps[part], block.values[part], block.walls[part])


def decides_before(signal: str, known: Meaning) -> tuple[bool, bool, int, str]:
    """Return the order in which signals are taken to decide: the main training loss first.

    Among the losses the shortest name is the main one, words that say no more than "training" left out: ``loss``
    before ``loss_bbox``, ``train/loss`` before ``aux_loss`` and ``train/box_loss``.
    """
    lowered = signal.lower()
    told = sum(len(word) for word in re.split(r"[-/_. ]", lowered) if word not in _NO_NEWS)
    return known.role != "train", not ("loss" in lowered or lowered in ("trl", "nll")), told, signal
