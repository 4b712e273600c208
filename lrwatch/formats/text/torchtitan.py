"""torchtitan: ``[titan] 2025-10-30 14:32:58,897 - root - INFO - step:  1  loss:  8.1661  grad_norm:  3.6855  ...``.

Written by pytorch/torchtitan (``components/metrics.py``), coloured, once per rank that logs; validation lines say
``validate step:`` and their keys get ``val/``. It prints no learning rate. Values with a unit (``memory``, ``mfu``)
and throughputs are no records.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, collect

_STEP = re.compile(r"step: *+([0-9]++)(?:/[0-9]++ = [0-9.]++%)?+  (?=loss: )")
_FIELD = re.compile(r"([A-Za-z_][\w/.]*+): *+([^ ]++)")


class TorchTitan:
    """Lines of the metrics processor."""

    name: ClassVar[str] = "torchtitan"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("  loss: ",)

    def read(self, line: str) -> Found | None:
        """Take a line."""
        start = line.find("step: ")
        match = _STEP.match(line, start) if start >= 0 else None
        if match is None:
            return None
        prefix = "val/" if line.endswith("validate ", 0, start) else ""
        return collect(int(match[1]), _FIELD.findall(line, match.end()), prefix)
