"""Text from outside, made safe at the edge where it leaves: a label, a page, a terminal."""

import hashlib
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

_DIGEST = 8


def printable(text: str) -> str:
    r"""Return `text` with everything that is not plainly visible spelled out, as in ``\x1b`` or ``\u202e``.

    What is spelled out is what `str.isprintable` calls so: control characters (line feeds, terminal escapes),
    lone surrogates (one of them in a label makes prometheus_client fail the whole scrape), marks that turn
    the direction of writing, and spaces other than U+0020. The result always encodes as UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def bounded(text: str, limit: int) -> str:
    """Return `text` as `printable` gives it, in at most `limit` characters.

    What is too long keeps its beginning and ends in ``~`` and eight hexadecimal digits of its digest, so that
    two long texts with the same beginning stay two.

    Parameters
    ----------
    limit
        More than nine.
    """
    shown = printable(text[: limit + 1])
    if len(shown) <= limit:
        return shown
    return f"{shown[: limit - _DIGEST - 1]}~{digest(text)}"


def digest(text: str) -> str:
    """Return eight hexadecimal digits that tell `text` from others; no defence against an adversary."""
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST // 2).hexdigest()


def jsonable(value: object) -> Any:
    """Return `value` as something that any JSON parser reads back.

    A number that is not finite becomes null, a lone surrogate is spelled out, and what JSON has no word for
    becomes its text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {jsonable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return jsonable(str(value))
