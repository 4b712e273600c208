"""Dictionaries that Hugging Face's Trainer prints: ``{'loss': 0.6914, 'learning_rate': 9.6e-07, 'epoch': 0.02}``.

Written by transformers (``ProgressCallback``, ``PrinterCallback``), and through it by TRL, axolotl and LLaMA-Factory.
Until version 4 the values are numbers in Python's spelling, ``nan`` and ``inf`` included; from 5 on they are strings
(``'loss': '0.7157'``). Evaluations have their own dictionaries with ``eval_`` keys. The last one, with
``train_runtime``, sums the training up and is no point of it. There is no step: it is the number of training
dictionaries so far, each of which stands for ``logging_steps`` optimizer steps.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Layout, Unit, is_noise


class HuggingFace:
    """Printed dictionaries, alone on a line or behind a progress bar."""

    name: ClassVar[str] = "huggingface"
    literals: ClassVar[tuple[str, ...]] = ("{'",)

    def __init__(self) -> None:
        self.unit: Unit = "record"
        self._count = 0
        self._layout = Layout()

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = self._layout.match(line)
        if match:
            try:
                values = list(map(float, match.groups()))
            except ValueError:
                pass
            else:
                self._count += 1
                self.unit = "record"
                return self._count, self._layout.names, values
        if line[:2] == "{'" and line[-1:] == "}":
            return self._fields(line[2:-1])
        start, end = line.find("{'"), line.rfind("}")
        return self._fields(line[start + 2 : end]) if 0 <= start < end and not line[end + 1 :].strip() else None

    def _fields(self, text: str) -> Found | None:
        names: list[str] = []
        values: list[float] = []
        keys: list[str] = []
        placed = judged = False
        step: int | None = None
        for field in text.split(", '"):
            key, _, value = field.partition("': ")
            try:
                number = float(value)
            except ValueError:
                try:
                    number = float(value.strip("'"))
                except ValueError:
                    continue
            keys.append(key)
            if key == "epoch":
                placed = True
            elif key == "step" and number.is_integer():
                step = int(number)
            elif key == "train_runtime":
                return NOTHING
            elif not is_noise(key):
                names.append(key)
                values.append(number)
                judged = judged or "loss" in key or key[:5] == "eval_" or key[:8] == "rewards/"
        if not judged or not (placed or step is not None):
            return None
        tags = tuple(names)
        self.unit = "record" if step is None else "step"
        if any(name[:5] == "eval_" for name in names):
            return self._count if step is None else step, tags, values
        self._count += 1
        if step is None:
            self._layout.learn(tuple(keys), tags, lambda: _source(keys, tags))
        return self._count if step is None else step, tags, values


def _source(keys: list[str], names: tuple[str, ...]) -> str:
    """Return a regular expression for a dictionary with these keys, a group for each that is a tag."""
    numbers = ("([^',}]++)" if key in names else "[^',}]++" for key in keys)
    fields = (f"{re.escape(key)}': '?+{number}'?+" for key, number in zip(keys, numbers, strict=True))
    return r"\{'" + ", '".join(fields) + r"\}$"
