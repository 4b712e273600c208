"""Console output keeps the promises of a format, whichever family printed it."""

import pytest

from lrwatch.formats.text import FAMILIES, TextLog
from lrwatch.formats.text.log import LAST_RESORTS
from lrwatch.testing.formats import check_format
from tests.unit.formats.text.samples import SAMPLES

FOUND = sorted({sample.family for sample in SAMPLES.values()})
NOISE = b"Starting training\r\n\x1b[1mWARNING\x1b[0m: something\n#####     \b\b\b\b 10%\r\n\xff\n"


def corpus(family: str) -> bytes:
    """Return all that there is of a family, with other lines in between."""
    return NOISE.join(sample.text.encode() for sample in SAMPLES.values() if sample.family == family)


@pytest.mark.parametrize("family", FOUND)
def test_each_family(family: str) -> None:
    """Any cutting, any damage, any length."""
    check_format(TextLog, corpus(family))


def test_every_family_is_there() -> None:
    """A family without a sample would not be tested."""
    assert sorted(family().name for family in (*FAMILIES, *LAST_RESORTS)) == FOUND


def test_all_of_them_in_one_stream() -> None:
    """Families do not get into each other's way."""
    check_format(TextLog, NOISE.join(sample.text.encode() for sample in SAMPLES.values()))
