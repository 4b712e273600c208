"""JSON objects among other lines: ``2025-01-01 12:00:00 {"step": 10, "loss": 0.5, "lr": 1e-3}``.

Printed by loops of one's own, by structured loggers, and by transformers 3 (which had ``step`` in its objects). A log
of nothing but objects is JSON Lines (`lrwatch.formats.jsonl`), which takes more of them; here one must name a step or
an epoch, and something that is judged. Nested objects are left out.
"""

import re
from typing import ClassVar

from lrwatch.formats.jsonl import STEP_KEYS
from lrwatch.formats.text.family import Found, Unit, is_noise, json_number, json_object

_JUDGED = re.compile(r"loss|ppl|perplexity|reward|accuracy|acc$|^eval_", re.I)
_MOST = 256


class JsonObjects:
    """An object that ends its line."""

    name: ClassVar[str] = "json"
    literals: ClassVar[tuple[str, ...]] = ('{"',)

    def __init__(self) -> None:
        self.unit: Unit = "step"

    def read(self, line: str) -> Found | None:
        """Take a line."""
        fields = json_object(line[line.find('{"') :]) if line.rstrip()[-1:] == "}" else None
        if fields is None or len(fields) > _MOST:
            return None
        key = next((key for key in (*STEP_KEYS, "epoch") if key in fields), None)
        step = json_number(fields[key]) if key is not None else None
        if step is None or not step.is_integer():
            return None
        found = [
            (name, number)
            for name, value in fields.items()
            if name != key and not is_noise(name) and (number := json_number(value)) is not None
        ]
        if not any(_JUDGED.search(name) for name, _ in found):
            return None
        self.unit = "epoch" if key == "epoch" else "step"
        return int(step), tuple(name for name, _ in found), [number for _, number in found]
