r"""OpenMMLab: ``Epoch(train)  [1][ 10/196]  lr: 3.3333e-04  eta: 0:13:14  time: 0.4073  loss: 6.1887``.

Written by open-mmlab/mmengine (``LogProcessor``) for mmdetection 3, mmpretrain, mmsegmentation 1 and others; the
older form ``Epoch [1][50/7517]\tlr: 1.000e-02, eta: 2:00:00, loss: 0.6188`` by mmcv 1 (``TextLoggerHook``); both have
an ``Iter`` form without epochs. The step is (epoch - 1) x batches + batch. A validation is logged at the last step
seen, its keys with ``val/`` (or ``test/``) before them.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, collect

_LINE = re.compile(
    r"(?:Epoch|Iter)(?: ?\((train|val|test)\))?+ *+(?:\[ *+([0-9]++)\])?+\[ *+([0-9]++)(?:/ *+([0-9]++))?+\]\s++"
    r"(?=[A-Za-z])"
)
_FIELD = re.compile(r"([A-Za-z_][^:,\s]*+): ++([^ ,\t]++)")


class MmEngine:
    """Lines of both generations of the text logger."""

    name: ClassVar[str] = "mmengine"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("Epoch(", "Iter(", "Epoch [", "Iter [")

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = None
        for literal in self.literals:
            start = line.find(literal)
            if start >= 0:
                match = _LINE.match(line, start)
                break
        if match is None:
            return None
        split, epoch, batch, batches = match.groups()
        if split in ("val", "test"):
            return collect(None, _FIELD.findall(line, match.end()), f"{split}/")
        if epoch is not None and batches is None:
            return None
        before = (int(epoch) - 1) * int(batches) if epoch is not None else 0
        return collect(max(before, 0) + int(batch), _FIELD.findall(line, match.end()))
