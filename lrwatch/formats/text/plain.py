"""Lines of one's own: ``step=10 loss=0.5 lr=1e-3``, ``Epoch 3/10, Step 20/938, Loss: 0.31``, ``iter 5 | loss 2.1``.

The last resort, for loops that print what they like. A line counts if it names its place (a step, an iteration, an
update or an epoch, with a number) and at least one loss or a thing like one, with a number. Then every number behind
a ``key=`` or ``key:`` is a record, and so is one that follows a loss, a rate, a norm or an accuracy with a blank.
Lines that look like source code count for nothing. The shapes are those of the examples of PyTorch, JAX and
TensorFlow, of wandb/run-*/files/output.log, and of the lines above.

A split that stands before a key goes with it and with those that follow: ``Val Loss: 0.6, acc: 0.8`` is ``val/Loss``,
``val/acc``. Elsewhere in the line, one that is not the training's puts ``val/`` before all of its keys.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NUMBER, Found, Unit, is_noise

_PLACE = re.compile(
    r"\b(?:(global[_ ]?steps?|train[_ ]steps?|steps?|iterations?|iters?|it|updates?|num_updates|batch)|(epoch))"
    r"\s*+[:=#]?+\s*+[\[(]?+\s*+([0-9]++)(?:\.0*+(?![0-9]))?+(?:\s*+(?:/|of)\s*+([0-9]++))?+(?![0-9.eE%])",
    re.I,
)
_IMAGENET = re.compile(r"\]\[ *+([0-9]++)/([0-9]++)\]")  # Epoch: [0][ 10/391]
_MNIST = re.compile(r"\[ *+([0-9]++)/([0-9]++) \(")  # Train Epoch: 1 [640/60000 (1%)]
_HALF = r"\b(?:(train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|test|dev)[ ]++)?+"  # Train Loss: 0.5 | Val Loss: 0.6
_FIELD = re.compile(
    rf"{_HALF}(learning rate|grad(?:ient)? norm|[A-Za-z_][\w/.@\-]{{0,127}}+)[\"']?+ ?+[:=] *+({NUMBER})"
    r"(?![\w.%/]|:[0-9])",
    re.I,
)
_BLANK = re.compile(
    rf"{_HALF}\b((?:\w{{0,63}}loss|lr|learning[_ ]rate|g?norm|grad[_ ]norm|ppl|perplexity|acc(?:uracy)?|Acc@[15])) ++"
    rf"({NUMBER})(?![\w.%/:])",
    re.I,
)
_OF_NO_SPLIT = re.compile(r"lr|rate|norm|^(?:train|val|eval|test|dev)|/", re.I)
_SPLIT = re.compile(r"saving dict for global step|\b(?:val|valid|validation|eval|evaluation|test|dev)\b(?![=:/])", re.I)
_JUDGED = re.compile(r"loss|ppl|perplexity|nll|bpb|bpc|mse|mae|rmse|cost|reward|return|objective|elbo", re.I)
_AT = re.compile(
    rf"\b(?:(train|eval|val|valid|validation|test) )?loss at (?:(?:step|iter|iteration) )?([0-9]++):? ({NUMBER})"
    r"(?![\w.])",
    re.I,
)
_CODE = re.compile(
    r"""==|[-+<>]=|\(\)|[;#]|--|\b(?:def|return|import) |\bprint\(|\bf['"]|\bargs\b"""
    r"""|\{(?!['"][\w/.]++['"]: [-+0-9'"ni])"""  # but for a printed dictionary of numbers
)
_LONGEST = 4096
_MOST = 128


class Plain:
    """Lines with a place and a loss."""

    name: ClassVar[str] = "plain"
    literals: ClassVar[tuple[str, ...]] = ("tep", "ter", "poch", "pdate", "TEP", "TER", "POCH", "it", " at ", "atch")

    def __init__(self) -> None:
        self.unit: Unit = "step"
        self._epoch = -1
        self._before = 0
        self._last = -1

    def read(self, line: str) -> Found | None:
        """Take a line."""
        if len(line) > _LONGEST or not _JUDGED.search(line) or _CODE.search(line):
            return None
        at = _AT.search(line)
        if at:
            return self._at(at)
        places = list(_PLACE.finditer(line))
        if not places:
            return None
        fields = {match.start(2): match for match in (*_BLANK.finditer(line), *_FIELD.finditer(line))}
        kept = [
            (match[1], match[2], match[3])
            for start, match in sorted(fields.items())
            if not is_noise(match[2]) and not _PLACE.match(line, start)
        ]
        if not any(_JUDGED.search(key) for _, key, _ in kept) or len(kept) > _MOST:
            return None
        step = self._place(line, places)
        half = "" if any(half for half, _, _ in kept) or not _SPLIT.search(line) else "val"
        names: list[str] = []
        for own, key, _ in kept:
            half = (own or half).lower()
            names.append(f"{half}/{key}" if half and not _OF_NO_SPLIT.search(key) else key)
        return step, tuple(names), [float(text) for _, _, text in kept]

    def _at(self, at: re.Match[str]) -> Found:
        """``Eval loss at step 20000: 3.38``; an evaluation may count other steps than the training around it."""
        split, step, value = (at[1] or "").lower(), int(at[2]), float(at[3])
        self.unit = "step"
        if split in ("", "train"):
            self._last = step
            return step, ("train/loss" if split else "loss",), [value]
        return None if self._last > step else step, (f"{split}/loss",), [value]

    def _place(self, line: str, places: list[re.Match[str]]) -> int:
        """Return the step; where each epoch counts its own, the epochs are laid end to end."""
        epochs = [place for place in places if place[2]]
        steps = [place for place in places if place[1]]
        number = int(epochs[0][3]) if epochs else -1
        batch, total = (int(steps[0][3]), int(steps[0][4] or 0)) if steps else (-1, 0)
        if not steps:
            part = _IMAGENET.search(line) or _MNIST.search(line)
            if part:
                batch, total = int(part[1]), int(part[2])
        if batch < 0:
            self.unit = "epoch"
            return number
        self.unit = "step"
        if number >= 0 and total and self._is_of_epoch(steps):
            self._before = max(number - 1, 0) * total if not _IMAGENET.search(line) else number * total
        elif number > self._epoch >= 0 and batch < self._last:
            self._before += self._last
        elif number < self._epoch or number < 0:
            self._before = 0
        self._epoch, self._last = number, batch
        return self._before + batch

    @staticmethod
    def _is_of_epoch(steps: list[re.Match[str]]) -> bool:
        """Say whether the place is one within an epoch: a global step is not."""
        return not steps or not steps[0][1].lower().startswith("global")
