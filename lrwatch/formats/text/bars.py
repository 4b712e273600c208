"""Progress bars with numbers behind them: ``Epoch 0:   6%|▍ | 86/1563 [00:06<01:44, 14.19it/s, train_loss=1.800]``.

Drawn by tqdm: Lightning's progress bar (whose ``Epoch 3:`` counts from 0), the scripts of diffusers and kohya, and
loops of one's own with ``set_postfix``. Each state is a line; the first value of a metric at a position counts, since
a position is drawn several times. A bar that is cut at the terminal's width loses its last number, which may be torn.
Of bars about an evaluation only the full one counts, at the last step seen.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, is_noise

_BAR = re.compile(
    r"([0-9]++)/([0-9]++|\?) \[[0-9:?dh ]++<?+[^,\]\[]{0,24}+, *+[0-9.?]++ ?(?:[a-zA-Z]{1,24}+/s|s/[a-zA-Z]{1,24}+)"
    r"(?:, ([^\[\]]*+))?+(\])?+"
)
_EPOCH = re.compile(r"[Ee]poch[ :#\[]*+([0-9]++)")
_EVALUATION = re.compile(r"\b(?:valid|val\b|eval|test|sanity|predict)", re.I)
_KEY = re.compile(r"[A-Za-z_][\w/.@ -]{0,255}")
_LABEL = 200
_MOST = 256


class Bars:
    """States of a bar."""

    name: ClassVar[str] = "tqdm"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("it/s", "s/it")

    def __init__(self) -> None:
        self._epoch = -1
        self._before = 0
        self._last = 0
        self._total = 0
        self._step = -1
        self._given: set[str] = set()

    def read(self, line: str) -> Found | None:
        """Take a line; where several bars are glued together, the last state that has numbers."""
        found: Found | None = None
        end = 0
        for bar in _BAR.finditer(line):
            label = line[max(end, bar.start() - _LABEL) : bar.start()]
            end = bar.end()
            if bar[3]:
                new = self._state(label, bar)
                if new[2] or found is None:
                    found = new
        return found

    def _state(self, label: str, bar: re.Match[str]) -> Found:
        """Make records of what a bar says for the first time."""
        place, total = int(bar[1]), int(bar[2]) if bar[2] != "?" else 0
        fields = bar[3].split(", ")
        if not bar[4]:
            fields.pop()
        if _EVALUATION.search(label):
            if place != total:
                return None, (), []
            return _numbers(None, fields, set(), "val/")
        step = self._place(label, place, total)
        if step != self._step:
            self._step = step
            self._given.clear()
        found = _numbers(step, fields, self._given)
        if len(self._given) < _MOST:
            self._given.update(found[1])
        return found

    def _place(self, label: str, place: int, total: int) -> int:
        """Return the step: bars of one epoch each are laid end to end."""
        epoch = _EPOCH.search(label)
        number = int(epoch[1]) if epoch else -1
        if total and epoch:
            self._before = number * total
        elif total and place < self._last and self._last >= self._total == total:
            self._before += total
        elif not total and number > self._epoch >= 0 and place < self._last:
            self._before += self._last
        elif (not epoch and total != self._total) or number < self._epoch:
            self._before = 0
        self._epoch, self._last, self._total = number, place, total
        return self._before + place


def _numbers(step: int | None, fields: list[str], given: set[str], prefix: str = "") -> Found:
    names: list[str] = []
    values: list[float] = []
    for field in fields:
        key, _, text = field.partition("=")
        name = prefix + key.strip()
        if name not in given and not is_noise(key) and _KEY.fullmatch(key):
            try:
                values.append(float(text))
            except ValueError:
                continue
            names.append(name)
    return step, tuple(names), values
