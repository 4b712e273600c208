"""All files of a run as one stream."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from lrwatch.model import Gap, Rejected, Scalars
from lrwatch.source import NOT_UNDERSTOOD, RunSource
from lrwatch.tail.discover import discover
from lrwatch.testing.formats import Reading, event_record


def event(tag: str, step: int, value: float = 0.0, wall: float | None = None) -> bytes:
    """Return the record of one scalar, logged at its step unless said otherwise."""
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    wall = float(step) if wall is None else wall
    return event_record(Event(wall_time=wall, step=step, summary=summary).SerializeToString())


def line(step: int, **values: float) -> bytes:
    """Return a line of JSON without a time."""
    return json.dumps({"step": step, **values}).encode() + b"\n"


def write(path: Path, *pieces: bytes) -> None:
    """Append to a log, making its directory where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(pieces))


def source(directory: Path, *, whole: bool = False) -> RunSource:
    """Return the source of the one run below `directory`."""
    (files,) = discover(directory)
    return RunSource(files, whole=whole)


def taken(stream: RunSource, limit: int | None = None) -> list[tuple[str, int] | Gap]:
    """Return tag and step of what is new, and gaps."""
    items = Reading().add(stream.read(limit)).items
    return [item if isinstance(item, Gap) else item[:2] for item in items]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a run."""
    return tmp_path / "exp"


def test_a_growing_file(run: Path) -> None:
    """What is appended between two reads comes with the second."""
    write(run / "events.tfevents", event("loss", 1))
    stream = source(run)

    assert taken(stream) == [("loss", 1)]
    assert taken(stream) == []
    write(run / "events.tfevents", event("loss", 2)[:20])
    assert taken(stream) == []
    write(run / "events.tfevents", event("loss", 2)[20:], event("loss", 3))
    assert taken(stream) == [("loss", 2), ("loss", 3)]
    assert stream.lag == 0


def test_train_and_validation_advance_together(run: Path) -> None:
    """Files are merged by wall time, each under its prefix."""
    write(run / "train" / "events.tfevents", *(event("loss", step) for step in (1, 2, 3, 4)))
    write(run / "validation" / "events.tfevents", event("loss", 1, wall=2.5), event("loss", 2, wall=4.5))

    assert taken(source(run)) == [
        ("train/loss", 1),
        ("train/loss", 2),
        ("validation/loss", 1),
        ("train/loss", 3),
        ("train/loss", 4),
        ("validation/loss", 2),
    ]


@pytest.mark.parametrize("limit", [1, 50, 333, 10_000, None])
def test_the_order_does_not_depend_on_the_limit(run: Path, limit: int | None) -> None:
    """However little is read at a time, a log that was there from the start comes in the same order."""
    write(run / "train" / "events.tfevents", *(event("loss", step) for step in range(200)))
    write(run / "val" / "events.tfevents", *(event("loss", step, wall=step + 0.5) for step in range(0, 200, 7)))
    write(run / "log.tfevents", *(event("lr", step, wall=step + 0.25) for step in range(0, 200, 50)))
    stream = source(run)
    found: list[tuple[str, int] | Gap] = []
    while stream.lag:
        found.extend(taken(stream, limit))

    assert found == taken(source(run))
    assert len(found) == 200 + 29 + 4
    assert [item[1] for item in found if not isinstance(item, Gap)] == sorted(
        item[1] for item in found if not isinstance(item, Gap)
    )


def test_a_read_takes_no_more_than_its_limit(run: Path) -> None:
    """One poll is bounded, and what is left is lag."""
    write(run / "a.tfevents", *(event("loss", step) for step in range(1, 101)))
    size = 100 * len(event("loss", 1))
    stream = source(run)
    assert stream.lag == size

    assert len(taken(stream, 1000)) == 1000 // len(event("loss", 1))
    assert stream.lag == size - 1000


def test_files_of_one_training_after_another(run: Path) -> None:
    """A second event file, from a restart, comes after the first although both are read at one time."""
    write(run / "events.tfevents.1", *(event("loss", step, wall=step) for step in range(10)))
    write(run / "events.tfevents.2", *(event("loss", step, wall=100 + step) for step in range(5, 15)))

    assert taken(source(run)) == [("loss", step) for step in [*range(10), *range(5, 15)]]


def test_files_without_wall_times_go_by_step(run: Path) -> None:
    """JSON Lines seldom have times: the step orders them then."""
    write(run / "train" / "log.jsonl", line(10, loss=1), line(30, loss=1))
    write(run / "val" / "log.jsonl", line(20, loss=2))

    assert taken(source(run)) == [("train/loss", 10), ("val/loss", 20), ("train/loss", 30)]


@pytest.mark.parametrize("limit", [1, 100, None])
def test_a_resumed_training_beside_a_file_without_times(run: Path, limit: int | None) -> None:
    """The event files stay one after the other, as they were written; the other file goes by step between them."""
    write(run / "events.tfevents.1", *(event("loss", step, wall=step) for step in (10, 20, 30)))
    write(run / "events.tfevents.2", *(event("loss", step, wall=100 + step) for step in (20, 30, 40)))
    write(run / "log.jsonl", *(line(step, acc=1) for step in (15, 25, 35)))
    stream = source(run)
    found: list[tuple[str, int] | Gap] = []
    while stream.lag:
        found.extend(taken(stream, limit))

    assert [item for item in found if item not in (("acc", 15), ("acc", 25), ("acc", 35))] == [
        ("loss", step) for step in (10, 20, 30, 20, 30, 40)
    ]
    assert found[:4] == [("loss", 10), ("acc", 15), ("loss", 20), ("acc", 25)]
    assert found[-2:] == [("acc", 35), ("loss", 40)]


def test_nothing_is_held_back_for_a_file_that_is_silent(run: Path) -> None:
    """A live reader gives what there is: the other file may never go on."""
    write(run / "train" / "a.tfevents", event("loss", 1))
    write(run / "val" / "a.tfevents", event("loss", 1))
    stream = source(run)
    taken(stream)
    write(run / "train" / "a.tfevents", event("loss", 50))

    assert taken(stream) == [("train/loss", 50)]


@pytest.mark.parametrize("names", [("a.jsonl", "events.tfevents"), ("z.jsonl", "events.tfevents")])
def test_an_event_file_comes_before_json_lines(run: Path, names: Sequence[str]) -> None:
    """The copy of a signal in the lesser format is dropped; signals that only it has are kept."""
    write(run / names[0], line(1, loss=1, extra=2), line(2, loss=1, extra=2))
    write(run / names[1], event("loss", 1), event("loss", 2))
    stream = source(run)

    reading = Reading().add(stream.read())

    assert sorted(item[:2] for item in reading.items if isinstance(item, tuple)) == [
        ("extra", 1),
        ("extra", 2),
        ("loss", 1),
        ("loss", 2),
    ]
    assert not reading.rejected
    assert stream.origins["loss"] == (run / names[1], "tfevents")
    assert stream.origins["extra"] == (run / names[0], "jsonl")


def test_two_files_of_one_format_may_have_one_signal(run: Path) -> None:
    """A restart writes a second file: nothing of it is dropped."""
    write(run / "a.jsonl", line(1, loss=1))
    write(run / "b.jsonl", line(2, loss=1))

    assert taken(source(run)) == [("loss", 1), ("loss", 2)]


@pytest.mark.parametrize("name", ["events.tfevents", "log.jsonl"])
def test_the_watcher_s_own_tags_are_no_training_data(run: Path, name: str) -> None:
    """What lrwatch logs beside a training is not watched in turn."""
    own = {"log.jsonl": line(1, **{"lrwatch/scale": 0.5, "loss": 1.0})}
    write(run / name, own.get(name, event("lrwatch/scale", 1) + event("loss", 1)))

    assert taken(source(run)) == [("loss", 1)]


def test_own_tags_alone_make_no_block(run: Path) -> None:
    """No empty block comes out."""
    write(run / "events.tfevents", event("lrwatch/scale", 1))

    assert list(source(run).read()) == []


def test_truncation_starts_the_format_anew(run: Path) -> None:
    """Half a record of the old content is not joined to the new one."""
    write(run / "events.tfevents", event("loss", 1), event("loss", 2)[:30])
    stream = source(run)
    taken(stream)
    (run / "events.tfevents").write_bytes(event("loss", 7))

    assert taken(stream) == [Gap("truncated"), ("loss", 7)]


def test_a_file_may_be_replaced_by_one_of_another_format(run: Path) -> None:
    """What comes after a gap is recognised anew."""
    write(run / "log.jsonl", line(1, loss=1), line(2, loss=1))
    stream = source(run)
    taken(stream)
    (run / "log.jsonl").write_bytes(event("loss", 7) * 9)

    assert taken(stream) == [Gap("replaced"), *[("loss", 7)] * 9]


def test_gaps_stand_where_they_belong(run: Path) -> None:
    """A gap in one file comes between the records around it, among those of the other file."""
    damaged = bytearray(event("loss", 2))
    damaged[20] ^= 1
    write(run / "train" / "a.tfevents", event("loss", 1), bytes(damaged), event("loss", 3))
    write(run / "val" / "a.tfevents", event("loss", 2), event("loss", 4))

    assert taken(source(run)) == [
        ("train/loss", 1),
        Gap("corrupt", len(damaged), 1),
        ("val/loss", 2),
        ("train/loss", 3),
        ("val/loss", 4),
    ]


def test_rejected_pieces_are_passed_on(run: Path) -> None:
    """Every piece that is no record is counted."""
    write(run / "log.jsonl", b"text\n", line(1, loss=1), b"more\n")

    assert [item for item in source(run).read() if isinstance(item, Rejected)] == [Rejected("json", 2)]


def test_new_files_are_added_and_known_ones_keep_their_place(run: Path) -> None:
    """Looking for files again neither repeats nor loses anything."""
    write(run / "a.jsonl", line(1, loss=1))
    stream = source(run)
    taken(stream)
    write(run / "b.jsonl", line(2, acc=1))
    write(run / "a.jsonl", line(3, loss=1))
    (files,) = discover(run)
    stream.update(files)

    assert taken(stream) == [("acc", 2), ("loss", 3)]
    assert stream.files == files

    (run / "a.jsonl").unlink()
    (files,) = discover(run)
    stream.update(files)
    assert taken(stream) == []


def test_a_whole_log_ends_with_its_last_line(run: Path) -> None:
    """A finished log has no line that is still to be completed."""
    write(run / "log.jsonl", line(1, loss=1), line(2, loss=1).strip())

    assert taken(source(run)) == [("loss", 1)]
    assert taken(source(run, whole=True)) == [("loss", 1), ("loss", 2)]


@pytest.mark.parametrize("limit", [1, 20, None])
def test_a_whole_log_is_given_to_its_end_before_the_lag_is_nothing(run: Path, limit: int | None) -> None:
    """Who reads until there is no lag has everything, torn records included."""
    write(run / "a.tfevents", event("loss", 1), event("loss", 2)[:-1])
    write(run / "b.jsonl", line(9, acc=1).strip())
    stream = source(run, whole=True)
    found: list[tuple[str, int] | Gap] = []
    while stream.lag:
        found.extend(taken(stream, limit))

    assert sorted(map(str, found)) == sorted(
        map(str, [("loss", 1), Gap("torn", len(event("loss", 2)) - 1, 1), ("acc", 9)])
    )
    assert taken(stream) == []


def test_finish_gives_the_rest_of_a_live_log(run: Path) -> None:
    """When the training has ended, so has its last line."""
    write(run / "log.jsonl", line(1, loss=1).strip())
    stream = source(run)

    assert taken(stream) == []
    assert [len(item) for item in stream.finish() if isinstance(item, Scalars)] == [1]
    assert list(stream.finish()) == []


@pytest.mark.parametrize("content", [b"\x89PNG\r\n" * 20_000, bytes(100_000)], ids=["noise", "zeros"])
def test_a_file_that_is_not_understood(run: Path, content: bytes) -> None:
    """It is told, counts for no lag, and does not disturb the others."""
    write(run / "a.tfevents.1", content)
    write(run / "b.tfevents.1", event("loss", 1))
    stream = source(run)

    assert taken(stream) == [("loss", 1)]
    assert stream.errors == {str(run / "a.tfevents.1"): NOT_UNDERSTOOD}
    assert stream.lag == 0

    (run / "a.tfevents.1").write_bytes(event("acc", 1) * 10_000)
    assert taken(stream)[:2] == [Gap("replaced"), ("acc", 1)]
    assert stream.errors == {}


def test_a_file_too_short_to_be_understood(run: Path) -> None:
    """A live one may still become something; a finished one will not."""
    write(run / "a.tfevents.1", b"\x89PNG")

    for whole in (False, True):
        stream = source(run, whole=whole)
        assert taken(stream) == []
        assert stream.errors == ({str(run / "a.tfevents.1"): NOT_UNDERSTOOD} if whole else {})


def test_an_empty_file_is_no_error(run: Path) -> None:
    """Every log begins empty."""
    write(run / "a.tfevents.1", b"")

    stream = source(run, whole=True)

    assert taken(stream) == []
    assert stream.errors == {}


def test_a_file_that_cannot_be_read(run: Path) -> None:
    """It is told and counts for no lag, so that nobody waits for it for ever; when it can, it is read."""
    write(run / "a.jsonl", line(1, loss=1))
    (files,) = discover(run)
    (run / "a.jsonl").unlink()
    (run / "a.jsonl").mkdir()
    stream = RunSource(files)

    assert taken(stream) == []
    assert stream.errors == {str(run / "a.jsonl"): "not a regular file"}
    assert stream.lag == 0

    (run / "a.jsonl").rmdir()
    write(run / "a.jsonl", line(1, loss=1))
    assert taken(stream) == [("loss", 1)]
    assert stream.errors == {}


@pytest.fixture
def stdin() -> Iterator[BinaryIO]:
    """The writing end of a pipe whose other end is standard input."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as file:
        yield file
    os.dup2(before, 0)
    os.close(before)


def test_standard_input(stdin: BinaryIO) -> None:
    """Lines among other text are read as they come, the last one when the other side has closed."""
    (files,) = discover(Path("-"))
    stream = RunSource(files)

    assert taken(stream) == []
    stdin.write(b"Starting\n" + line(1, loss=1) + line(2, loss=1).strip())
    assert taken(stream) == [("loss", 1)]
    stdin.close()
    assert taken(stream) == [("loss", 2)]
    assert stream.lag == 0


def test_noise_on_standard_input_is_read_and_dropped(stdin: BinaryIO) -> None:
    """A writer is not blocked because nobody understands it."""
    (files,) = discover(Path("-"))
    stream = RunSource(files)
    for _ in range(20):
        stdin.write(b"\xff\0" * 10_000)
        assert taken(stream) == []

    assert stream.errors == {"-": NOT_UNDERSTOOD}


def test_close(run: Path) -> None:
    """No descriptor is kept."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    write(run / "a.jsonl", line(1, loss=1))
    stream = source(run)
    taken(stream)
    write(run / "a.jsonl", line(2, loss=1))
    taken(stream)
    stream.close()

    assert len(list(Path("/proc/self/fd").iterdir())) == before
