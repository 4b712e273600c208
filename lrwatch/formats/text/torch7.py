"""Torch 7's habit of a line of JSON per epoch: ``json_stats: {"epoch":200,"lr":0.0008,"loss":0.0016}``.

Written by szagoruyko/wide-residual-networks, functional-zoo, attention-transfer and others after them. The object
holds the whole configuration too: only losses, accuracies, errors and the learning rate are records. The epoch is the
step.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import NOTHING, Found, Unit, json_number, json_object

_MARK = "json_stats: {"
_RECORD = re.compile(r"(?:.*[_/])?(?:loss|acc|accuracy|err|error|top1|top5|ppl)|lr")


class Torch7:
    """Lines of ``json_stats``."""

    name: ClassVar[str] = "torch7"
    unit: Unit = "epoch"
    literals: ClassVar[tuple[str, ...]] = (_MARK,)

    def read(self, line: str) -> Found | None:
        """Take a line."""
        start = line.find(_MARK)
        if start < 0:
            return None
        fields = json_object(line[start + len(_MARK) - 1 :].rstrip())
        if fields is None:
            raise ValueError("the object is broken")
        epoch = json_number(fields.get("epoch"))
        if epoch is None:
            return NOTHING
        if "lr" not in fields and "learningRate" in fields:
            fields["lr"] = fields["learningRate"]
        found = [
            (key, number)
            for key, value in fields.items()
            if _RECORD.fullmatch(key) and (number := json_number(value)) is not None
        ]
        return int(epoch), tuple(key for key, _ in found), [number for _, number in found]
