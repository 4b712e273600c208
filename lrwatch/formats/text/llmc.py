"""llm.c's ``main.log``: ``s:1 trl:10.9598 lr:0.000002 norm:15.24``.

Written by karpathy/llm.c (``train_gpt2.cu``, ``llmc/logger.h``) and by its Python twin, which has neither ``lr`` nor
``norm``. ``trl`` is the training loss, ``tel`` the validation loss, ``eval`` the accuracy on HellaSwag. Shapes from
the logs of KellerJordan/modded-nanogpt, ``records/track_1_short/2024-10-13_llmc``.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit

_TRAIN = re.compile(r"s:([0-9]++) trl:([^ ]++) lr:([^ ]++) norm:([^ ]++)")
_LINE = re.compile(r"s:([0-9]++)((?: (?:trl|tel|eval|lr|norm):[^ ]++)++)")


class LlmC:
    """Lines of ``main.log``."""

    name: ClassVar[str] = "llm.c"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = ("s:",)

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _TRAIN.fullmatch(line)
        if match:
            groups = match.groups()
            return int(groups[0]), ("trl", "lr", "norm"), list(map(float, groups[1:]))
        match = _LINE.fullmatch(line.rstrip())
        if not match:
            return None
        pairs = [pair.split(":") for pair in match[2].split()]
        return int(match[1]), tuple(key for key, _ in pairs), [float(value) for _, value in pairs]
