"""Stable Baselines: a table of two columns per report, with sections in it.

::

    | train/                  |             |
    |    learning_rate        | 0.0003      |
    |    loss                 | 24.3        |
    -----------------------------------------

Written by stable-baselines3 (``HumanOutputFormat``), by stable-baselines 2 and OpenAI baselines without sections.
``total_timesteps`` is the step; a table without it is not taken for one.
"""

import re
from contextlib import suppress
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit

_STEPS = ("time/total_timesteps", "total_timesteps", "serial_timesteps", "total-timesteps", "steps")
_KEY = re.compile(r"[A-Za-z][\w/ .()-]{0,255}+")
_MOST = 256


class StableBaselines:
    """Tables, given when they are closed."""

    name: ClassVar[str] = "sb3"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("| ", "-----")

    def __init__(self) -> None:
        self._rows: dict[str, float] = {}
        self._section = ""

    def read(self, line: str) -> Found | None:
        """Take a line."""
        line = line.strip()
        if line[:3] == "---" and not line.strip("-"):
            return self._close()
        if line[:2] != "| " or line[-2:] != " |" or line.count("|") != 3:
            return None
        _, key, value, _ = line.split("|")
        key, value = key.strip(), value.strip()
        if not _KEY.fullmatch(key):
            return None
        if not value:
            self._section = key if key.endswith("/") else ""
        elif len(self._rows) < _MOST:
            with suppress(ValueError):
                self._rows[self._section + key] = float(value)
        return NOTHING

    def _close(self) -> Found | None:
        rows, self._rows, self._section = self._rows, {}, ""
        step = next((rows[key] for key in _STEPS if key in rows), None)
        if step is None:
            return None
        if not (step >= 0 and step.is_integer()):
            raise ValueError("the steps are none")
        kept = {key: value for key, value in rows.items() if key not in _STEPS and not key.startswith("time/")}
        return int(step), tuple(kept), list(kept.values())
