r"""Boosted trees: ``[50]\ttrain-rmse:454.08052\tval-rmse:445.56665``.

Written by XGBoost (``name-metric:value``), LightGBM (``valid_1's l2: 0.532511``) and, in a form of its own, CatBoost
(``0:\tlearn: 0.6931\ttest: 0.6920\tbest: ...``). The round is the step; cross-validation adds a deviation, which is
left out. What follows ``Early stopping, best iteration is:`` repeats an old round and is no record.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit

_LINE = re.compile(r"\[([0-9]++)\]\s++(?=[A-Za-z_])")
_CATBOOST = re.compile(r"([0-9]++):\t(?=learn: |test: )")
_FIELD = re.compile(r"([A-Za-z_][^:\t]{0,255}+): ?([-+.0-9A-Za-z]++)(?: \+ [0-9.e-]++)?(?=\t|\s|$)")
_CATBOOST_NOISE = ("best", "total", "remaining")


class Boosting:
    """Lines of XGBoost, LightGBM and CatBoost."""

    name: ClassVar[str] = "boosting"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("]\t", "]  ", "best iteration is", ":\t")

    def __init__(self) -> None:
        self._is_repetition = False

    def read(self, line: str) -> Found | None:
        """Take a line."""
        if "best iteration is" in line:
            self._is_repetition = True
            return NOTHING
        match = _LINE.match(line) or _CATBOOST.match(line)
        if not match:
            return None
        fields = _FIELD.findall(line.replace("  ", "\t"), 0)
        fields = [(key.strip(), value) for key, value in fields if key.strip() not in _CATBOOST_NOISE]
        if not fields:
            return None
        if self._is_repetition:
            self._is_repetition = False
            return NOTHING
        return int(match[1]), tuple(key for key, _ in fields), [_mean(value) for _, value in fields]


def _mean(text: str) -> float:
    """Return a value, without the deviation that XGBoost's cross-validation puts behind it."""
    try:
        return float(text)
    except ValueError:
        return float(text.rpartition("+")[0])
