"""Reading under any content, any damage, any cutting, and anything that can happen to a file."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lrwatch.formats import recognise
from lrwatch.formats.base import Block
from lrwatch.formats.interleave import Lane, merge
from lrwatch.formats.jsonl import JsonLines
from lrwatch.formats.tfevents import EventFile
from lrwatch.model import Gap, Scalars
from lrwatch.tail.follower import Follower
from lrwatch.testing.formats import event_record, read_all

NEVER = 10**9

tags = st.sampled_from(["loss", "acc", "train/loss", "größe", "", "a much longer tag than the others"])
steps = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))
floats = st.floats(width=32)
walls = st.one_of(st.floats(1.6e9, 1.8e9), st.floats())

metadata = st.sampled_from(
    [
        None,
        SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars")),
        SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
        SummaryMetadata(display_name="a name"),
    ]
)
tensors = st.one_of(
    st.builds(lambda x: TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[x]), floats),
    st.builds(lambda x: TensorProto(dtype=types_pb2.DT_DOUBLE, double_val=[x]), st.floats()),
    st.builds(lambda x: TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=x), st.binary(min_size=3, max_size=5)),
)
values = st.one_of(
    st.builds(lambda tag, x: Summary.Value(tag=tag, simple_value=x), tags, floats),
    st.builds(lambda tag, x, m: Summary.Value(tag=tag, tensor=x, metadata=m), tags, tensors, metadata),
    st.builds(lambda tag: Summary.Value(tag=tag), tags),
)
summaries = st.builds(lambda x: Summary(value=x), st.lists(values, max_size=3))
events = st.one_of(
    st.builds(lambda w, s, x: Event(wall_time=w, step=s, summary=x), walls, steps, summaries),
    st.builds(lambda s, x: Event(step=s, session_log=SessionLog(status=x)), steps, st.integers(0, 3)),
)
# A training writes the same kinds of events again and again.
streams = st.builds(
    lambda kinds, order: b"".join(event_record(kinds[i % len(kinds)].SerializeToString()) for i in order),
    st.lists(events, min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=60),
)


@st.composite
def pieces(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """Draw a stream and a way to cut it."""
    stream = draw(streams)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


@st.composite
def damaged(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> bytes:
    """Draw a stream and do it harm: flip, delete, insert, or repeat bytes."""
    stream = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(stream)))
        kind = draw(st.sampled_from(["flip", "delete", "insert", "repeat"]))
        if kind == "flip" and at < len(stream):
            stream[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "delete":
            del stream[at : at + draw(st.integers(1, 100))]
        elif kind == "insert":
            stream[at:at] = draw(st.binary(max_size=40))
        elif kind == "repeat":
            stream[at:at] = stream[at : at + draw(st.integers(1, 100))]
    return bytes(stream)


@given(pieces(streams))
def test_columns_and_protobuf_agree(cut: list[bytes]) -> None:
    """Whatever events a file holds, and however it is cut, both ways of decoding give the same."""
    whole = read_all(EventFile(bulk_from=NEVER), [b"".join(cut)])

    assert read_all(EventFile(bulk_from=1), cut) == whole
    assert read_all(EventFile(bulk_from=8), cut) == whole
    assert read_all(EventFile(bulk_from=NEVER), cut) == whole


@given(damaged(streams), st.integers(1, 200))
def test_damage_makes_no_values(stream: bytes, size: int) -> None:
    """What comes out of a damaged file is the same in any cutting, and nothing in it is made up."""
    cut = [stream[start : start + size] for start in range(0, len(stream), size)]

    whole = read_all(EventFile(bulk_from=NEVER), [stream])

    assert read_all(EventFile(bulk_from=1), cut) == whole


@given(streams, st.data())
def test_a_flipped_bit_is_found(stream: bytes, data: st.DataObject) -> None:
    """Every record that is given is one that was written."""
    if not stream:
        return
    sound = read_all(EventFile(), [stream])
    broken = bytearray(stream)
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    broken[bit // 8] ^= 1 << bit % 8

    reading = read_all(EventFile(), [bytes(broken)])

    assert set(reading.items) - set(sound.items) <= {item for item in reading.items if isinstance(item, Gap)}
    assert any(isinstance(item, Gap) and item.reason in ("corrupt", "torn") for item in reading.items)


Point = tuple[str, int, float]
points = st.lists(
    st.tuples(st.sampled_from(["loss", "val/acc", "größe"]), st.integers(0, 2**40), floats), min_size=1, max_size=80
)


def by_tensorboard(directory: str, written: list[Point]) -> None:
    """Write with TensorBoard's own writer."""
    writer = EventFileWriter(directory)
    for tag, step, value in written:
        writer.add_event(
            Event(wall_time=1.0, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))
        )
    writer.close()


def by_torch(directory: str, written: list[Point]) -> None:
    """Write with torch's writer, each second point in its new style."""
    writer: Any = import_module("torch.utils.tensorboard").SummaryWriter(directory)
    for index, (tag, step, value) in enumerate(written):
        writer.add_scalar(tag, value, step, walltime=1.0, new_style=index % 2 == 1)
    writer.close()


WRITERS: dict[str, Callable[[str, list[Point]], None]] = {"tensorboard": by_tensorboard}
if find_spec("torch"):
    WRITERS["torch"] = by_torch


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=25, deadline=None)
@given(written=points, size=st.integers(1, 3000))
def test_what_writers_write_is_what_is_read(writer: str, written: list[Point], size: int) -> None:
    """Tags, steps and values come back in their order, by columns as one by one, in any cutting."""
    with tempfile.TemporaryDirectory() as directory:
        WRITERS[writer](directory, written)
        (path,) = Path(directory).iterdir()
        data = path.read_bytes()
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    expected = [(tag, step, repr(value), "1.0") for tag, step, value in written]

    assert isinstance(recognise(path, data), EventFile)
    assert read_all(EventFile(bulk_from=NEVER), [data]).items == expected
    assert read_all(EventFile(bulk_from=1), cut).items == expected


numbers = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5), st.sampled_from(["1e3", "nan"])
)
keys = st.one_of(st.sampled_from(["step", "loss", "epoch", "iter", "time", "timestamp", "a/b"]), st.text(max_size=4))
objects = st.recursive(
    st.dictionaries(keys, numbers, max_size=5), lambda inner: st.dictionaries(keys, inner, max_size=3)
)
lines = st.one_of(
    objects.map(lambda fields: json.dumps(fields).encode()), st.binary(max_size=30), st.just(b'{"loss": 1}\r')
)
texts = st.lists(lines, max_size=12).map(b"\n".join)


@given(pieces(texts))
def test_json_lines_in_any_cutting(cut: list[bytes]) -> None:
    """Whatever the lines hold, nothing raises, and the cutting changes nothing."""
    assert read_all(JsonLines(), cut) == read_all(JsonLines(), [b"".join(cut)])


@given(st.binary(max_size=3000), st.sampled_from(["a.tfevents", "a.jsonl", "a", "-"]))
def test_any_bytes_can_be_fed_to_what_recognises_them(data: bytes, name: str) -> None:
    """No content of any file raises."""
    reader = recognise(Path(name), data)
    if reader is not None:
        read_all(reader, [data])
    read_all(EventFile(), [data])
    read_all(JsonLines(), [data])


def block(name: str, walls: list[float]) -> Scalars:
    """Return records with these times, each valued by its place."""
    made = Block()
    for index, wall in enumerate(walls):
        made.add(name, 0, index, wall)
    return next(made.take())


@given(st.lists(st.lists(st.floats(0, 9), min_size=1, max_size=6), min_size=1, max_size=4), st.floats(0, 9))
def test_merging_keeps_each_file_s_order(files: list[list[float]], until: float) -> None:
    """No record is lost, repeated, or put before one of its own file, wherever the merging stops on its way."""
    lanes = [Lane() for _ in files]
    for index, times in enumerate(files):
        lanes[index].put(block(str(index), times))

    found: dict[str, list[float]] = {}
    latest = 0.0
    for bound in (until, 9.0):
        parts = [part for lane in lanes for part in lane.take("wall", bound)]
        if not parts:
            continue
        keys = np.sort(np.concatenate([keys for keys, _ in parts]))
        assert latest <= keys[0]
        latest = keys[-1]
        merged = merge(parts)
        for which, value in zip(merged.which.tolist(), merged.values.tolist(), strict=True):
            found.setdefault(merged.names[which], []).append(value)

    assert found == {str(index): list(range(len(times))) for index, times in enumerate(files)}


class Following(RuleBasedStateMachine):
    """What is read since the last gap is what stands in the file, whatever was done to it between two polls."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "log"
        self.follower = Follower(self.path, chunk_bytes=7)
        self.got = b""
        self.count = 0
        self.clock = 0

    def teardown(self) -> None:
        """Remove what was made."""
        self.follower.close()
        shutil.rmtree(self.directory)

    def fresh(self, size: int) -> bytes:
        """Return bytes that were never written before."""
        self.count += 1
        return f"<{self.count}>".encode() + b"." * size

    def write(self, data: bytes, mode: str = "wb") -> None:
        """Write as a training does; between two polls the clock of the file system moves on."""
        with self.path.open(mode) as file:
            file.write(data)
        self.clock += 1
        os.utime(self.path, ns=(0, self.clock))

    @rule(size=st.integers(0, 40))
    def append(self, size: int) -> None:
        """The training logs."""
        self.write(self.fresh(size), "ab")

    @rule(size=st.integers(0, 40))
    @precondition(lambda self: self.path.exists())
    def rename_and_create(self, size: int) -> None:
        """Logs are rotated."""
        self.path.rename(self.directory / f"log.{self.count}")
        self.write(self.fresh(size))

    @rule()
    @precondition(lambda self: self.path.exists())
    def delete(self) -> None:
        """Somebody cleans up."""
        self.path.unlink()

    @rule(size=st.integers(0, 40))
    def rewrite(self, size: int) -> None:
        """The file is written anew in place."""
        self.write(self.fresh(size))

    @rule()
    @precondition(lambda self: self.path.exists())
    def rewrite_with_the_same_size(self) -> None:
        """The size tells nothing."""
        size = self.path.stat().st_size
        self.write((self.fresh(0) * (size + 1))[:size])

    @rule()
    @precondition(lambda self: self.path.exists())
    def put_a_longer_copy(self) -> None:
        """A remote log is synchronised."""
        copy = self.directory / "copy"
        copy.write_bytes(self.path.read_bytes() + self.fresh(3))
        copy.rename(self.path)

    @rule(limit=st.integers(0, 30))
    def poll_a_little(self, limit: int) -> None:
        """A poll is bounded."""
        self.take(limit)

    @rule()
    def close(self) -> None:
        """The descriptor is needed elsewhere."""
        self.follower.close()

    @rule()
    def poll(self) -> None:
        """A poll brings everything."""
        self.take(None)
        assert self.follower.error is None
        if self.path.exists():
            assert self.got == self.path.read_bytes()
            assert self.follower.lag == 0

    def take(self, limit: int | None) -> None:
        """Read, and keep what came after the last gap."""
        size = 0
        for piece in self.follower.read(limit):
            if isinstance(piece, Gap):
                self.got = b""
            else:
                self.got += piece.data
                size += len(piece.data)
        assert limit is None or size <= limit

    @invariant()
    def nothing_is_held_but_one_file(self) -> None:
        """There is no error and no state that grows."""
        assert self.follower.error is None


Following.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFollowing = Following.TestCase
