"""nanoGPT: ``iter 420: loss 3.5023, time 1445.08ms, mfu 0.01%`` and ``step 400: train loss 3.3296, val loss 3.3687``.

Written by karpathy/nanoGPT (``train.py``) and its many descendants. The second line is an estimate over both splits;
its numbers are ``train/loss`` and ``val/loss``, the first line's is ``loss``. It prints no learning rate.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit

_ITER = re.compile(r"iter ([0-9]++): loss ([^ ,]++), time [-+0-9.]++m?s")
_STEP = re.compile(r"step ([0-9]++): train loss ([^ ,]++), val loss ([^ ,]++)")


class NanoGpt:
    """Lines of ``train.py``."""

    name: ClassVar[str] = "nanogpt"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = (": loss ", ": train loss ")

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _ITER.match(line)
        if match:
            return int(match[1]), ("loss",), [float(match[2])]
        match = _STEP.match(line)
        if match:
            return int(match[1]), ("train/loss", "val/loss"), [float(match[2]), float(match[3])]
        return None
