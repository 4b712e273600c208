"""Which numbers in an event are scalars, in every encoding that writers use."""

import math
import struct

import pytest
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from lrwatch.formats.base import MAX_NAME
from lrwatch.formats.tfevents import EventFile
from lrwatch.model import Gap
from lrwatch.testing.formats import Reading, event_record, read_all

Value = Summary.Value
SCALARS = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
TEXT = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))


def read(*events: Event | bytes) -> Reading:
    """Read events, one way and the other: by columns as soon as there is one event, and never."""
    data = b"".join(event_record(event if isinstance(event, bytes) else event.SerializeToString()) for event in events)
    reading = read_all(EventFile(), [data])
    assert read_all(EventFile(bulk_from=1), [data]) == reading
    return reading


def event(*values: Value, step: int = 1) -> Event:
    """Return an event at wall time 2."""
    return Event(wall_time=2.0, step=step, summary=Summary(value=values))


def simple(tag: str, value: float) -> Value:
    """Return a scalar as torch writes it."""
    return Value(tag=tag, simple_value=value)


def tensor(tag: str, tensor: TensorProto, metadata: SummaryMetadata | None = SCALARS) -> Value:
    """Return a scalar as TensorFlow writes it."""
    return Value(tag=tag, tensor=tensor, metadata=metadata)


def single(**content: object) -> float | None:
    """Return what a tensor is read as; None where it is no scalar."""
    items = read(event(tensor("loss", TensorProto(**content)))).items  # type: ignore[arg-type]
    return float(items[0][2]) if items and isinstance(items[0], tuple) else None


@pytest.mark.parametrize("value", [0.5, 0.0, -3.25, math.nan, math.inf, -math.inf, 2.0**-140, 1e38])
def test_simple_values(value: float) -> None:
    """Whatever a float32 can be is data."""
    assert [repr(float(row[2])) for row in read(event(simple("loss", value))).items if isinstance(row, tuple)] == [
        repr(struct.unpack("<f", struct.pack("<f", value))[0])
    ]


@pytest.mark.parametrize(
    ("dtype", "content", "value"),
    [
        (types_pb2.DT_FLOAT, struct.pack("<f", 0.5), 0.5),
        (types_pb2.DT_DOUBLE, struct.pack("<d", 0.1), 0.1),
        (types_pb2.DT_HALF, struct.pack("<e", 1.5), 1.5),
        (types_pb2.DT_BFLOAT16, b"\xc0\x3f", 1.5),
        (types_pb2.DT_INT8, b"\xff", -1),
        (types_pb2.DT_INT16, b"\xfe\xff", -2),
        (types_pb2.DT_INT32, struct.pack("<i", -3), -3),
        (types_pb2.DT_INT64, struct.pack("<q", 2**40), 2**40),
        (types_pb2.DT_UINT8, b"\xff", 255),
        (types_pb2.DT_UINT16, b"\xff\xff", 65535),
        (types_pb2.DT_UINT32, b"\xff\xff\xff\xff", 2**32 - 1),
        (types_pb2.DT_UINT64, b"\0" * 7 + b"\x80", 2.0**63),
    ],
)
def test_tensor_content(dtype: int, content: bytes, value: float) -> None:
    """One element of any numeric type as bytes is a scalar; half of it, or two, is none."""
    assert single(dtype=dtype, tensor_content=content) == value
    assert single(dtype=dtype, tensor_content=content * 2) is None
    assert single(dtype=dtype, tensor_content=content[:-1]) is None


@pytest.mark.parametrize(
    ("dtype", "field", "element", "value"),
    [
        (types_pb2.DT_FLOAT, "float_val", 0.5, 0.5),
        (types_pb2.DT_DOUBLE, "double_val", 0.1, 0.1),
        (types_pb2.DT_HALF, "half_val", 0x3E00, 1.5),
        (types_pb2.DT_BFLOAT16, "half_val", 0x3FC0, 1.5),
        (types_pb2.DT_INT32, "int_val", -3, -3),
        (types_pb2.DT_INT16, "int_val", -3, -3),
        (types_pb2.DT_INT64, "int64_val", 2**40, 2**40),
        (types_pb2.DT_UINT32, "uint32_val", 2**32 - 1, 2**32 - 1),
        (types_pb2.DT_UINT64, "uint64_val", 2**63, 2.0**63),
    ],
)
def test_tensor_elements(dtype: int, field: str, element: float, value: float) -> None:
    """One element in the field of its type is a scalar; none, two, or one in another field is none."""
    assert single(dtype=dtype, **{field: [element]}) == value
    assert single(dtype=dtype, **{field: [element, element]}) is None
    assert single(dtype=dtype) is None
    assert single(dtype=dtype, string_val=[b"0.5"]) is None


@pytest.mark.parametrize(
    "dtype", [types_pb2.DT_INVALID, types_pb2.DT_STRING, types_pb2.DT_BOOL, types_pb2.DT_COMPLEX64, 99]
)
def test_other_types_are_no_numbers(dtype: int) -> None:
    """Texts, truth values and types unknown here are passed over."""
    assert single(dtype=dtype, tensor_content=b"\0\0\0\0", float_val=[1.0]) is None


@pytest.mark.parametrize("sizes", [[], [1], [1, 1]])
def test_shapes_of_one_element(sizes: list[int]) -> None:
    """A scalar, and a vector or matrix of one element, are scalars."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])

    assert single(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1.5]) == 1.5


@pytest.mark.parametrize("sizes", [[2], [0], [-1], [1 << 33], [1 << 40, 1 << 40]])
def test_a_tensor_bomb_costs_nothing(sizes: list[int]) -> None:
    """A shape that claims more than its one element is no scalar, and nothing is allocated by its word."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])

    assert single(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1.5]) is None


def test_an_unknown_rank_is_no_scalar() -> None:
    """A tensor that does not say its shape is passed over."""
    assert single(dtype=types_pb2.DT_FLOAT, tensor_shape=TensorShapeProto(unknown_rank=True), float_val=[1]) is None


def test_what_is_no_scalar_is_passed_over() -> None:
    """Images, histograms, texts and values without content leave no trace, and their neighbours are read."""
    values = [
        Value(tag="image", image=Summary.Image(height=1, width=1, encoded_image_string=b"png")),
        Value(tag="histogram", histo=HistogramProto(min=0, max=1)),
        Value(tag="text", tensor=TensorProto(dtype=types_pb2.DT_STRING, string_val=[b"hello"]), metadata=TEXT),
        Value(tag="_hparams_/experiment", metadata=TEXT),
        simple("loss", 0.5),
    ]

    assert read(event(*values)).items == [("loss", 1, "0.5", "2.0")]


ONE = TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1.0])


def test_the_first_event_of_a_tag_says_what_it_is() -> None:
    """Metadata may stand on the first event only: the later ones are read, or passed over, like it."""
    items = read(
        event(tensor("loss", ONE), tensor("note", ONE, TEXT)),
        event(tensor("loss", ONE, None), tensor("note", ONE, None), step=2),
        event(tensor("loss", ONE, None), tensor("note", ONE, None), step=3),
    ).items

    assert [row[:2] for row in items if isinstance(row, tuple)] == [("loss", 1), ("loss", 2), ("loss", 3)]


@pytest.mark.parametrize(("first", "then", "steps"), [(TEXT, SCALARS, [2]), (SCALARS, TEXT, [1, 3])])
def test_an_event_s_own_metadata_counts_for_it(first: SummaryMetadata, then: SummaryMetadata, steps: list[int]) -> None:
    """What an event says of itself is believed, and the first one speaks for those that say nothing."""
    events = [event(tensor("a", ONE, said), step=step) for step, said in ((1, first), (2, then), (3, None))]

    assert [row[1] for row in read(*events).items if isinstance(row, tuple)] == steps


def test_a_tensor_that_nobody_has_labelled_is_a_scalar_if_it_is_one_number() -> None:
    """Without a word about its plugin, or with a name for people only, the content decides."""
    named = SummaryMetadata(display_name="Loss")

    assert len(read(event(tensor("a", ONE, None), tensor("b", ONE, named))).items) == 2


def test_the_class_of_data_counts_more_than_the_plugin() -> None:
    """A plugin of one's own may log scalars."""
    own = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="mine"), data_class=DATA_CLASS_SCALAR)

    assert len(read(event(tensor("a", ONE, own))).items) == 1


def test_a_simple_value_is_a_scalar_whatever_is_said_of_it() -> None:
    """Only tensors need a word about what they are."""
    assert len(read(event(Value(tag="a", simple_value=1.0, metadata=TEXT))).items) == 1


def test_several_values_in_one_event() -> None:
    """They are given in their order, also where one tag stands twice."""
    rows = read(event(simple("b", 1), simple("a", 2), simple("b", 3), step=7), event(simple("a", 4), step=7)).items

    assert [row[:3] for row in rows if isinstance(row, tuple)] == [
        ("b", 7, "1.0"),
        ("a", 7, "2.0"),
        ("b", 7, "3.0"),
        ("a", 7, "4.0"),
    ]


@pytest.mark.parametrize("tag", ["", "with space", "Größe/损失", 'a\nb"c', "x" * 300])
def test_any_tag(tag: str) -> None:
    """Tags are kept as they are."""
    assert [row[0] for row in read(event(simple(tag, 1))).items if isinstance(row, tuple)] == [tag]


def test_a_tag_too_long_is_rejected() -> None:
    """A megabyte is no name, and the other values of its event are read."""
    reading = read(event(simple("x" * (MAX_NAME + 1), 1), simple("loss", 1)))

    assert reading.rejected == {"name": 1}
    assert len(reading.items) == 1


@pytest.mark.parametrize("step", [0, 1, 127, 128, 2**35, 2**63 - 1, -1, -(2**63)])
def test_any_step(step: int) -> None:
    """An absent step is 0, and negative ones are kept."""
    assert [row[1] for row in read(event(simple("loss", 1), step=step)).items if isinstance(row, tuple)] == [step]


def test_equal_and_falling_steps_are_kept() -> None:
    """Nothing is purged and nothing is preempted: that is for later stages to see."""
    steps = [5, 5, 6, 3, 4]

    rows = read(*(event(simple("loss", 1), step=step) for step in steps)).items

    assert [row[1] for row in rows if isinstance(row, tuple)] == steps


def test_a_wall_time_that_is_no_number() -> None:
    """It does not spoil the record."""
    reading = read(Event(wall_time=math.nan, step=1, summary=Summary(value=[simple("loss", 0.5)])))

    assert reading.items == [("loss", 1, "0.5", "nan")]


def test_a_signalling_nan_is_a_nan() -> None:
    """No bit pattern makes numpy complain."""
    quiet, signalling = struct.pack("<f", math.nan), b"\x01\0\x80\x7f"
    data = event(simple("loss", math.nan)).SerializeToString()
    assert quiet in data

    assert read(data.replace(quiet, signalling)).items == [("loss", 1, "nan", "2.0")]


def test_a_session_that_starts_is_a_gap() -> None:
    """The purge_step of tensorboardX and the supervisor of TensorFlow say where the training went back to."""
    start = Event(step=3, session_log=SessionLog(status=SessionLog.START))
    stop = Event(step=4, session_log=SessionLog(status=SessionLog.STOP))

    items = read(event(simple("loss", 1), step=5), start, stop, event(simple("loss", 2), step=3)).items

    assert items == [("loss", 5, "1.0", "2.0"), Gap("restart", 0, 3), ("loss", 3, "2.0", "2.0")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x2a\x05\x0a",
        b"\xff" * 20,
        b"\x09\0",
        b"\x2a\x06\x0a\x04\x0a\x02\xff\xfe",  # a tag that is no UTF-8
    ],
)
def test_a_record_that_is_no_event_is_rejected(data: bytes) -> None:
    """A right checksum over nonsense is counted, and the next record is read."""
    reading = read(data, event(simple("loss", 0.5)))

    assert reading.rejected == {"proto": 1}
    assert reading.items == [("loss", 1, "0.5", "2.0")]


def test_an_empty_record_is_an_event_without_anything() -> None:
    """Length zero with its right checksums is sound."""
    reading = read(b"", event(simple("loss", 0.5)))

    assert not reading.rejected
    assert len(reading.items) == 1
