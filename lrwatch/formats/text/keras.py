"""Keras on a console: ``Epoch 1/3``, then a progress bar that is drawn again and again.

Keras 2 draws ``460/460 [=====] - 3s 6ms/step - loss: 0.1501 - accuracy: 0.9486 - val_loss: 0.6245``, Keras 3
``6/6 ━━━━ 1s 47ms/step - accuracy: 0.4661 - loss: 0.7876``, both with carriage returns, backspaces and colours; with
``verbose=2`` there is only the last state: ``6/6 - 1s - loss: 0.7876``. What a full bar says counts, each metric once
per epoch; the step is the epoch. Callbacks say ``Epoch 2: ReduceLROnPlateau reducing learning rate to 8.1e-05.``
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit

_EPOCH = re.compile(r"Epoch ([0-9]++)/[0-9]++\s*+")
_CALLBACK = re.compile(r"Epoch ([0-9]++): \w++ (?:reducing|setting) learning rate to ([^ ]++)")
_BAR = re.compile(r"\s*+([0-9]++)/([0-9]++|Unknown) ")
_METRIC = re.compile(r" - ([A-Za-z_][^:\n]{0,255}?): ([-+.0-9A-Za-z]++)(?= - |\s*+$)")
_MOST = 256


class Keras:
    """The progress bar of ``model.fit``."""

    name: ClassVar[str] = "keras"
    literals: ClassVar[tuple[str, ...]] = ("Epoch ", "/step", "s - ", "/sample", " - loss: ")

    def __init__(self) -> None:
        self.unit: Unit = "epoch"
        self._epoch: int | None = None
        self._given: set[str] = set()
        self._bars = 0

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _EPOCH.fullmatch(line)
        if match:
            self._begin(int(match[1]))
            return NOTHING
        match = _CALLBACK.match(line)
        if match:
            if int(match[1]) != self._epoch:
                self._begin(int(match[1]))
            return self._new(["learning_rate"], [float(match[2].rstrip("."))])
        match = _BAR.match(line)
        if not match or " - " not in line:
            return None
        metrics = _METRIC.findall(line, match.end() - 1)
        metrics = [(key, value) for key, value in metrics if key != "ETA"]
        if not metrics:
            return None
        if match[1] != match[2]:
            return NOTHING
        if self._epoch is None:
            if " ETA: " in line:
                return NOTHING
            self._bars += 1
            self.unit = "record"
            return self._bars, tuple(key for key, _ in metrics), [float(value) for _, value in metrics]
        return self._new([key for key, _ in metrics], [float(value) for _, value in metrics])

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._given.clear()
        self.unit = "epoch"

    def _new(self, names: list[str], values: list[float]) -> Found:
        """Make records of what this epoch has not given yet."""
        fresh = [(name, value) for name, value in zip(names, values, strict=True) if name not in self._given]
        if len(self._given) < _MOST:
            self._given.update(names)
        return self._epoch, tuple(name for name, _ in fresh), [value for _, value in fresh]
