"""Each family's own lines."""

import pytest

from lrwatch.formats.text import looks_like_text_log
from tests.unit.formats.text.reading import read
from tests.unit.formats.text.samples import SAMPLES, Sample

every_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


@every_sample
def test_records(sample: Sample) -> None:
    """Each record of a line is found with its name, step and value, and nothing else is."""
    found = read(sample.text)

    assert repr(found.rows) == repr(sample.rows)  # where NaN equals itself
    assert found.rejected == {}
    assert found.gaps == []


@every_sample
def test_the_family_is_named(sample: Sample) -> None:
    """A user sees what the log was taken for."""
    assert read(sample.text).name == sample.family


@every_sample
def test_what_steps_count(sample: Sample) -> None:
    """Each signal says whether its steps are steps, epochs or numbers of records."""
    units = read(sample.text).units

    assert set(units) == {name for name, _, _ in sample.rows}
    assert frozenset(units.values()) == sample.units


@every_sample
def test_a_head_is_recognised(sample: Sample) -> None:
    """A few lines are enough to know the file for a log."""
    assert looks_like_text_log(sample.text)
