"""The state that Hugging Face's Trainer saves with each checkpoint."""

import json

import pytest

from lrwatch.formats.trainer_state import MOST_BYTES, TrainerState, looks_like_trainer_state
from lrwatch.model import Gap
from lrwatch.testing.formats import Reading, cut, read_all

Row = dict[str, object]

TRAIN: list[Row] = [
    {"epoch": 0.96, "grad_norm": 2.197850465774536, "learning_rate": 1.36e-4, "loss": 0.4132, "step": 120},
    {"epoch": 1.0, "eval_loss": 0.3951033353805542, "eval_runtime": 3.2785, "step": 125},
    {"epoch": 2.72, "grad_norm": float("nan"), "learning_rate": 1.92e-5, "loss": 0.0, "step": 340},
]
LAST: Row = {"epoch": 3.0, "step": 375, "total_flos": 1.9e14, "train_loss": 0.41, "train_runtime": 187.6}


def state(rows: list[Row]) -> bytes:
    """Return the file as the Trainer writes it."""
    fields: Row = {"best_metric": None, "epoch": 3.0, "global_step": 375, "log_history": rows, "stateful_callbacks": {}}
    return json.dumps(fields, indent=2, sort_keys=True).encode() + b"\n"


def steps(reading: Reading) -> list[tuple[str, int] | Gap]:
    """Return tag and step of each record but the epochs."""
    rows = [item if isinstance(item, Gap) else item[:2] for item in reading.items]
    return [row for row in rows if isinstance(row, Gap) or row[0] != "epoch"]


def fed(reader: TrainerState, data: bytes) -> list[tuple[str, int] | Gap]:
    """Feed bytes and return what comes of them."""
    return steps(Reading().add(reader.feed(data)))


NEW = [("grad_norm", 120), ("learning_rate", 120), ("loss", 120)]
EVAL = [("eval_loss", 125), ("eval_runtime", 125)]
NEXT = [("grad_norm", 340), ("learning_rate", 340), ("loss", 340)]


def test_every_number_of_a_row_is_a_record() -> None:
    """The bare NaN included; the means at the end of a training are no points."""
    reading = read_all(TrainerState(), [state([*TRAIN, LAST])])

    assert steps(reading) == [*NEW, *EVAL, *NEXT]
    assert ("grad_norm", 340, "nan", "nan") in reading.items
    assert ("epoch", 125, "1.0", "nan") in reading.items
    assert reading.rejected == {}


def test_it_waits_for_the_end_of_the_document() -> None:
    """Nothing is given of a file half written, and all once it has closed, without waiting for more."""
    reader, data = TrainerState(), state(TRAIN)

    assert fed(reader, data[:-3]) == []
    assert fed(reader, data[-3:]) == [*NEW, *EVAL, *NEXT]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_braces_and_quotes_in_texts(size: int) -> None:
    """They do not end the document."""
    data = state([{"step": 1, "loss": 1.0, "note": 'a "}{" \\'}, {"step": 2, "loss": 2.0}])

    assert steps(read_all(TrainerState(), cut(data, size))) == [("loss", 1), ("loss", 2)]


def test_the_next_checkpoint() -> None:
    """Of the file that takes the place only new rows are given, without a gap."""
    reader = TrainerState()
    assert fed(reader, state(TRAIN[:1])) == NEW
    reader.rewind(Gap("replaced"))
    assert fed(reader, state(TRAIN[:2])) == EVAL
    reader.rewind(Gap("truncated"))
    assert fed(reader, state(TRAIN[:1])) == []
    reader.rewind(Gap("truncated"))
    assert fed(reader, state([*TRAIN, LAST])) == NEXT


def test_a_training_continued_from_an_earlier_checkpoint() -> None:
    """The gap stands before the first row that differs."""
    reader = TrainerState()
    fed(reader, state(TRAIN))
    reader.rewind(Gap("replaced"))

    assert fed(reader, state([TRAIN[0], {"step": 130, "loss": 0.4}])) == [Gap("replaced"), ("loss", 130)]


def test_a_file_torn_and_written_anew() -> None:
    """What was read of the document that never closed is forgotten."""
    reader = TrainerState()
    fed(reader, state(TRAIN)[:200])
    reader.rewind(Gap("truncated"))

    assert fed(reader, state(TRAIN[:1])) == NEW


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1, 2]", "json"),
        (b'{"step": 1}', "json"),
        (b'{"log_history": 5}', "json"),
        (b'{"log_history": [}', "json"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "json"),
        (state([])[:-4], "json"),
        (b'{"log_history": [5]}', "row"),
        (b'{"log_history": [{"loss": 1}]}', "step"),
        (b'{"log_history": [{"step": -1, "loss": 1}]}', "step"),
        (json.dumps({"log_history": [{"step": 1, "n" * 2000: 1}]}).encode(), "name"),
    ],
)
def test_what_is_rejected(data: bytes, reason: str) -> None:
    """It is counted once, by reason."""
    reading = read_all(TrainerState(), [data])

    assert (reading.items, reading.rejected) == ([], {reason: 1})


def test_a_document_that_is_too_long() -> None:
    """It costs no more memory than the limit, and the next one is read."""
    reader = TrainerState()
    piece = b" " * (1 << 20)
    reader.feed(b'{"log_history": [')
    for _ in range(MOST_BYTES >> 20):
        assert list(reader.feed(piece)) == []

    reading = Reading().add(reader.feed(b"]}" + state(TRAIN[:1])))
    assert steps(reading) == [Gap("oversize", MOST_BYTES + 19), *NEW]
    assert reading.rejected == {"oversize": 1}


def test_how_it_is_known() -> None:
    """By the key that comes early in the file."""
    assert looks_like_trainer_state(state(TRAIN).decode()[:500])
    assert not looks_like_trainer_state('{"step": 1}')
    assert not looks_like_trainer_state("")
