"""Megatron-LM: ``iteration 29040/ 311541 | learning rate: 9.849E-05 | lm loss: 2.768131E+00 | grad norm: 0.000 |``.

Written by NVIDIA/Megatron-LM (``training_log``), Megatron-DeepSpeed and GPT-NeoX. An iteration that was skipped has no
``lm loss``. Evaluations are lines of their own: ``validation loss at iteration 7000 | lm loss value: 7.17E+00 | ...``,
whose keys get ``validation/`` (or ``test/``) before them. Shapes from the chronicles of bigscience-workshop/bigscience.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Layout, Unit, collect

_TRAIN = re.compile(r"(?:\[[^\]]*+\])?+ *+(?:samples/sec: [0-9.]++ \| )?+iteration +([0-9]++)/ *+[0-9]++ \|")
_EVAL = re.compile(r"[ -]*+(validation|valid|test) loss at (?:iteration|step) ([0-9]++)(?: on [^|]*+)? *+\|")


class Megatron:
    """Lines of ``training_log`` and of evaluations."""

    name: ClassVar[str] = "megatron"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("iteration ",)

    def __init__(self) -> None:
        self._layout = Layout()
        self._bars = 0

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = self._layout.match(line)
        if match and line.count("|") == self._bars:
            groups = match.groups()
            try:
                return int(groups[0]), self._layout.names, list(map(float, groups[1:]))
            except ValueError:
                pass
        match = _TRAIN.match(line)
        if match:
            found = collect(int(match[1]), _fields(line, match.end()))
            keys = tuple(key for key, _ in _fields(line, match.end()))
            if found[1] and line.rstrip().endswith("|"):
                self._bars = line.count("|")
                self._layout.learn(keys, found[1], lambda: _source(line, keys, found[1]))
            return found
        match = _EVAL.match(line)
        if match:
            prefix = "test/" if match[1] == "test" else "validation/"
            return collect(int(match[2]), _fields(line, match.end()), prefix)
        return None


def _fields(line: str, start: int) -> list[tuple[str, str]]:
    fields = (field.partition(": ") for field in line[start:].split("|"))
    return [(key.strip(), value.strip()) for key, colon, value in fields if colon]


def _source(line: str, keys: tuple[str, ...], names: tuple[str, ...]) -> str:
    """Return a regular expression for lines like this one, a group for each key that is a tag.

    It looks no further than to the last of them, and of the others it only counts that they are there.
    """
    start = re.escape(line[: line.index("iteration ")]) + r"iteration *+([0-9]++)/ *+[0-9]++ \|"
    needed = keys[: max(keys.index(name) for name in names) + 1]
    fields = (rf" {re.escape(key)}: *+([^ |]++) *+\|" if key in names else r"[^|]*+\|" for key in needed)
    return start + "".join(fields)
