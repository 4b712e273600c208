"""The speed runs on nanoGPT: ``step:6199/6200 train_loss:3.2344 train_time:1338853ms step_avg:216.33ms``.

Written by KellerJordan/modded-nanogpt, after the source code of the script itself. A line has ``train_loss``,
``val_loss`` or neither; times are no records (``step_avg:nanms`` stands in the first ones). Shapes from the logs in
its ``records/track_1_short``.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit

_LOSS = re.compile(r"step:([0-9]++)/[0-9]++ (train_loss|val_loss):([^ ]++)(?= [a-z_]++:|$)")
_OTHER = re.compile(r"step:([0-9]++)/[0-9]++ train_time:[0-9.]++m?s(?: |$)")
_NAMES = {"train_loss": ("train_loss",), "val_loss": ("val_loss",)}


class ModdedNanogpt:
    """Lines of a speed run."""

    name: ClassVar[str] = "modded-nanogpt"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("step:",)

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _LOSS.match(line)
        if match:
            step, name, value = match.groups()
            return int(step), _NAMES[name], [float(value)]
        return NOTHING if _OTHER.match(line) else None
