"""fairseq and metaseq, both of their log formats.

``... | INFO | train_inner | {"epoch": 1, "loss": "16.475", "num_updates": "1", "lr": "2e-05", "gnorm": "20.751", ...}``
is ``--log-format json``; ``... | train_inner | epoch 001:    100 / 487 loss=4.655, num_updates=100, ...`` and
``... | valid | epoch 001 | valid on 'valid' subset | loss 2.001 | ppl 4 | num_updates 487`` are ``simple``. Written by
facebookresearch/fairseq (``fairseq/logging/progress_bar.py``). In both forms, what is summed up over an epoch or an
evaluation has the split before it, as in its JSON: ``train_loss``, ``valid_loss``.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, is_noise, json_number, json_object

_TAG = re.compile(r"(?:^|\| )(train_inner|train|valid\w*+|test\w*+) \| (?=\{|epoch [0-9])")
_INNER = re.compile(r"epoch ([0-9]++): *+([0-9]++) / ([0-9]++) (?=[a-z])")
_EPOCH = re.compile(r"epoch [0-9]++ \| ")


class Fairseq:
    """Lines of fairseq's progress bars."""

    name: ClassVar[str] = "fairseq"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("train_inner | ", "train | ", "valid", "test")

    def read(self, line: str) -> Found | None:
        """Take a line."""
        tag = _TAG.search(line)
        if not tag:
            return None
        split, text = tag[1], line[tag.end() :]
        prefix = "" if split == "train_inner" else f"{split}_"
        step: int | None = None
        pairs: list[tuple[str, object]]
        if text.startswith("{"):
            fields = json_object(text.rstrip())
            if fields is None:
                return None
            pairs = list(fields.items())
        elif inner := _INNER.match(text):
            step = (int(inner[1]) - 1) * int(inner[3]) + int(inner[2])
            pairs = [(key, value) for key, _, value in (f.partition("=") for f in text[inner.end() :].split(", "))]
        elif epoch := _EPOCH.match(text):
            parts = (field.strip().rpartition(" ") for field in text[epoch.end() :].split(" | "))
            pairs = [(key, value) for key, _, value in parts if " " not in key]
        else:
            return None
        names: list[str] = []
        values: list[float] = []
        for key, value in pairs:
            number = json_number(value)
            if number is None:
                continue
            bare = key.removeprefix(prefix)
            if bare == "num_updates":
                step = int(number)
            elif not is_noise(bare):
                names.append(prefix + bare)
                values.append(number)
        return step, tuple(names), values
