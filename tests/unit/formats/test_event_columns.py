"""Decoding by columns: the same result, for all events that trainings usually write."""

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from lrwatch.formats.event_columns import ColumnDecoder
from lrwatch.formats.event_layout import layout_of
from lrwatch.formats.event_scalars import Tags
from lrwatch.formats.records import Framing, by_length
from lrwatch.formats.tfevents import EventFile
from lrwatch.testing.formats import cut, event_record, read_all

Write = Callable[[int, np.random.Generator], Event]

SCALARS = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))


def event(step: int, *values: Summary.Value) -> Event:
    """Return an event whose wall time goes with its step."""
    return Event(wall_time=1.7e9 + step / 7, step=step, summary=Summary(value=values))


def torch(step: int, chance: np.random.Generator) -> Event:
    """One value per event, as torch writes it."""
    return event(step // 10, Summary.Value(tag=f"train/tag_{step % 10}", simple_value=chance.normal()))


def torch_double(step: int, chance: np.random.Generator) -> Event:
    """A double in its own field and no shape, as torch's double_precision writes it."""
    tensor = TensorProto(dtype=types_pb2.DT_DOUBLE, double_val=[chance.normal()])
    return event(step, Summary.Value(tag="loss", tensor=tensor, metadata=SCALARS))


def keras(step: int, chance: np.random.Generator) -> Event:
    """A tensor with its metadata on every event, as TensorFlow 2 writes it."""
    tensor = TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=TensorShapeProto(),
        tensor_content=struct.pack("<f", chance.normal()),
    )
    return event(step, Summary.Value(tag=f"epoch_{step % 3}", tensor=tensor, metadata=SCALARS))


def labelled_once(step: int, chance: np.random.Generator) -> Event:
    """A tensor with its metadata on the first event of its tag only."""
    made = keras(step, chance)
    if step >= 3:
        made.summary.value[0].ClearField("metadata")
    return made


def estimator(step: int, chance: np.random.Generator) -> Event:
    """Many values per event, as TensorFlow 1 writes them."""
    values = [Summary.Value(tag=f"tower_{index}/loss", simple_value=chance.random()) for index in range(20)]
    return event(step, *values)


USUAL: list[Write] = [torch, torch_double, keras, labelled_once, estimator]


def mixed(step: int, chance: np.random.Generator) -> Event:
    """Everything at once, with what no column holds between it."""
    kind = int(chance.integers(len(USUAL) + 4))
    if kind < len(USUAL):
        return USUAL[kind](step, chance)
    if kind == len(USUAL):
        return event(step, Summary.Value(tag="weights", histo=HistogramProto(min=0, max=step, bucket=[1, 2, 3])))
    if kind == len(USUAL) + 1:
        return event(-step, Summary.Value(tag="negative", simple_value=math.nan))
    if kind == len(USUAL) + 2:
        return event(step, *torch(step, chance).summary.value, *keras(step, chance).summary.value)
    return event(step, Summary.Value(tag=f"tag {chance.integers(1000)}", simple_value=math.inf))


def stream(write: Write, count: int) -> bytes:
    """Return an event file of `count` events."""
    chance = np.random.default_rng(7)
    return b"".join(event_record(write(step, chance).SerializeToString()) for step in range(count))


@pytest.mark.parametrize("write", [*USUAL, mixed])
@pytest.mark.parametrize("size", [1 << 22, 10_000, 1_000])
def test_columns_give_what_protobuf_gives(write: Write, size: int) -> None:
    """Records, their order and every bit of their numbers are the same, in any cutting."""
    data = stream(write, 1500)

    assert read_all(EventFile(bulk_from=1), cut(data, size)) == read_all(EventFile(bulk_from=10**9), [data])


@pytest.mark.parametrize("write", USUAL)
def test_what_trainings_usually_write_is_decoded_by_columns(write: Write) -> None:
    """If all of it fell to the protobuf library, nothing would be wrong but the speed."""
    count = 3000
    records = Framing().feed(stream(write, count))
    tags = Tags()
    for index in range(3):
        tags.settle(f"epoch_{index}", is_scalar=True)

    columns = ColumnDecoder(16).decode(records, tags)

    assert sum(len(group.events) for group in columns) > 0.9 * count


def test_a_tag_of_unknown_kind_is_left_alone() -> None:
    """A tensor without metadata is for columns only once an earlier event has said what it is."""
    records = Framing().feed(stream(labelled_once, 100)[len(stream(labelled_once, 3)) :])

    assert list(ColumnDecoder(1).decode(records, Tags())) == []


def test_many_tags_in_any_order() -> None:
    """Two hundred tags of a few lengths are told apart at once."""

    def write(step: int, chance: np.random.Generator) -> Event:
        return event(step, Summary.Value(tag=f"layer_{chance.integers(200)}/norm", simple_value=step))

    data = stream(write, 5000)
    covered = sum(len(group.events) for group in ColumnDecoder(16).decode(Framing().feed(data), Tags()))

    assert covered > 4500
    assert read_all(EventFile(), [data]) == read_all(EventFile(bulk_from=10**9), [data])


def test_tags_that_never_repeat() -> None:
    """A million names would be a million groups: they are left to the protobuf library."""

    def write(step: int, chance: np.random.Generator) -> Event:
        return event(1, Summary.Value(tag=f"{chance.bytes(8).hex()}", simple_value=step))

    data = stream(write, 2000)

    assert read_all(EventFile(), [data]) == read_all(EventFile(bulk_from=10**9), [data])


def test_every_event_is_in_one_group_at_most() -> None:
    """No record is given twice."""
    records = Framing().feed(stream(mixed, 3000))

    events = np.concatenate([group.events for group in ColumnDecoder(1).decode(records, Tags())])

    assert len(np.unique(events)) == len(events)


@pytest.mark.parametrize("write", USUAL)
def test_no_byte_is_taken_for_granted(write: Write) -> None:
    """An event that differs from its neighbours in any one bit is decoded as it is alone."""
    sound = write(5, np.random.default_rng(3)).SerializeToString()
    for bit in range(8 * len(sound[:120])):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        data = b"".join(map(event_record, (sound, sound, bytes(damaged), sound)))

        assert read_all(EventFile(bulk_from=1), [data]) == read_all(EventFile(), [data]), bit


@pytest.mark.parametrize("write", USUAL)
def test_half_an_event_has_no_layout(write: Write) -> None:
    """Nothing is read beyond the end."""
    sound = write(5, np.random.default_rng(3)).SerializeToString()

    assert all(layout_of(sound[:end]) is None for end in range(len(sound)))


def test_lengths_are_grouped_in_order() -> None:
    """Each index stands in the group of its length, ascending; the very long ones share one."""
    lengths = np.array([5, 3, 70_000, 5, 0, 3, 90_000], np.int64)

    groups = {length: group.tolist() for length, group in by_length(lengths)}

    assert groups == {0: [4], 3: [1, 5], 5: [0, 3], 0xFFFF: [2, 6]}
