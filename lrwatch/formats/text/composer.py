r"""Composer and LLM Foundry: a header, then a line per metric.

::

    [epoch=1][batch=5/5]:
         Train loss/train/total: 8.4213
         Train metrics/train/LanguageCrossEntropy: 8.4620
         Train lr-DecoupledAdamW/group0: 0.0000

Written by mosaicml/composer (``loggers/console_logger.py``), four decimals each, so that a learning rate may read 0.
The batch of the header is the step. A key that does not say its split gets it before it: ``train/Perplexity``.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit, is_noise

_HEADER = re.compile(r"\s*+\[(?:epoch=([0-9]++)(?:/[0-9]++)?+\]\[)?+batch=([0-9]++)(?:/([0-9]++))?+\]:?\s*+")
_METRIC = re.compile(r"\s*+(Train|Eval) ([^:\s][^:]*+): ([^ ]++)\s*+")
_MACHINE = ("time/", "memory/", "throughput/", "trainer/", "wall_clock/")


class Composer:
    """Blocks of the console logger."""

    name: ClassVar[str] = "composer"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("batch=", "Train ", "Eval ")

    def __init__(self) -> None:
        self._step: int | None = None

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _HEADER.fullmatch(line)
        if match:
            epoch, batch, batches = match.groups()
            before = (int(epoch) - 1) * int(batches) if epoch and batches else 0
            self._step = max(before, 0) + int(batch)
            return NOTHING
        match = _METRIC.fullmatch(line) if self._step is not None else None
        if not match:
            return None
        split, key, value = match[1].lower(), match[2], match[3]
        if key.startswith(_MACHINE) or is_noise(key):
            return NOTHING
        if split not in key and not key.startswith("lr-"):
            key = f"{split}/{key}"
        try:
            return self._step, (key,), [float(value)]
        except ValueError:
            return NOTHING
