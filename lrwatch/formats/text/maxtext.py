"""MaxText: ``completed step: 1, seconds: 0.287, TFLOP/s/device: 110.951, total_weights: 7517, loss: 12.021``.

Written by AI-Hypercomputer/maxtext (``metric_logger.py``), behind an absl prefix in newer versions. Evaluations read
``eval metrics after step: 10, loss=3.1, total_weights=5120``; their keys get ``eval/``. It prints no learning rate.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, collect

_LINE = re.compile(r"(?:completed|eval metrics after) step: ([0-9]++), ")
_FIELD = re.compile(r"([A-Za-z_][\w/ .-]*+)(?:: |=)([^ ,]++)")


class MaxText:
    """Lines of the metric logger."""

    name: ClassVar[str] = "maxtext"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("completed step: ", "eval metrics after step: ")

    def read(self, line: str) -> Found | None:
        """Take a line."""
        for literal in self.literals:
            start = line.find(literal)
            if start >= 0:
                match = _LINE.match(line, start)
                if match:
                    prefix = "eval/" if literal.startswith("eval") else ""
                    return collect(int(match[1]), _FIELD.findall(line, match.end()), prefix)
        return None
