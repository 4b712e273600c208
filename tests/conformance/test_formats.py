"""Every format that ships keeps the promises of a format, and the kit notices one that does not."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from lrwatch.formats.base import Block, Format
from lrwatch.formats.jsonl import JsonLines
from lrwatch.formats.lines import Lines
from lrwatch.formats.tfevents import EventFile
from lrwatch.model import Gap, Rejected, Scalars
from lrwatch.testing.formats import check_format, event_record

LINES = "\n".join(
    (
        "Starting training, as many logs begin",
        '{"step": 1, "loss": 2.5, "lr": "1e-3", "timestamp": 1.7e9}',
        '{"step": 2, "loss": NaN, "train": {"acc": 0.5, "größe": Infinity}}\r',
        '{"step": true, "loss": 1}',
        "",
        '{"step": 3, "loss": 1e308, "note": "done"}',
        '{"epoch": 1, "val_loss": 3}',
    )
).encode()


def events() -> Iterator[bytes]:
    """Give the records of a small event file with everything in it."""
    labelled = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    tensor = TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.25])
    made = [Event(wall_time=1.0, file_version="brain.Event:2")]
    made.extend(
        Event(wall_time=step, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=step)]))
        for step in (0, 1, 200, 70_000)
        for tag in ("loss", "größe")
    )
    made.append(Event(step=200, session_log=SessionLog(status=SessionLog.START)))
    made.extend(
        Event(wall_time=2.0, step=step, summary=Summary(value=[Summary.Value(tag="t", tensor=tensor, metadata=m)]))
        for step, m in ((200, labelled), (201, None), (202, None))
    )
    for event in made:
        yield event_record(event.SerializeToString())
    yield event_record(b"\xff")


EVENTS = b"".join(events())
DAMAGED = bytearray(EVENTS[:-17])
DAMAGED[100] ^= 1
DAMAGED[300] ^= 8


@pytest.mark.parametrize(
    ("factory", "corpus"),
    [
        (JsonLines, LINES),
        (EventFile, EVENTS),
        (lambda: EventFile(bulk_from=1), EVENTS),
        (EventFile, bytes(DAMAGED)),
        (lambda: EventFile(bulk_from=1), bytes(DAMAGED)),
    ],
    ids=["jsonl", "tfevents", "tfevents by columns", "damaged tfevents", "damaged tfevents by columns"],
)
def test_formats_that_ship(factory: Callable[[], Format], corpus: bytes) -> None:
    """Any cutting, any damage, any length."""
    check_format(factory, corpus)


class Numbers:
    """A number on each line: a format as simple as can be, with a fault on request."""

    name = "numbers"

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.lines = Lines()
        self.everything: list[bytes] = []
        self.seen = 0

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        if self.fault == "hoards":
            self.everything.append(bytes(data[:-1]))
        if self.fault == "splits":
            return self.decode(data.split(b"\n"))
        if self.fault == "waits":
            return (item for piece in (data,) for item in self.decode(self.lines.feed(piece)))
        return iter(list(self.decode(self.lines.feed(data))))

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Take the end."""
        return self.decode(self.lines.finish())

    def reset(self) -> None:
        """Forget the stream."""
        self.lines.reset()
        if self.fault != "remembers":
            self.seen = 0

    def decode(self, lines: list[bytes] | list[bytes | Gap]) -> Iterator[Scalars | Gap | Rejected]:
        """Read lines."""
        block = Block()
        for line in lines:
            if isinstance(line, Gap):
                yield from block.take()
                yield line
                continue
            if line.replace(b".", b"").isdigit() and line.count(b".") < 2:
                self.seen += 1
                block.add("number", self.seen, float(line), 0.0)
            elif self.fault == "raises":
                float(line)
            else:
                yield Rejected("number")
        yield from block.take()
        if self.fault == "empty":
            yield Scalars((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def test_a_format_of_one_s_own() -> None:
    """The kit needs nothing but a factory and a corpus."""
    check_format(Numbers, b"1\n2.5\nthree\n4")


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("splits", "pieces of 1 bytes give something else"),
        ("waits", "feed waits for its iterator"),
        ("hoards", "MiB are allocated"),
        ("remembers", "reset leaves something behind"),
        ("empty", "a block is empty"),
    ],
)
def test_a_broken_promise_is_noticed(fault: str, promise: str) -> None:
    """Each fault is told by the promise that it breaks."""
    with pytest.raises(AssertionError, match=promise):
        check_format(lambda: Numbers(fault), b"1\n2.5\n3\n4")


def test_a_format_that_raises_is_noticed() -> None:
    """The exception itself is what the author wants to see."""
    with pytest.raises(ValueError, match="could not convert"):
        check_format(lambda: Numbers("raises"), b"1\n2.5\n3\n4")


def test_a_corpus_without_records_is_refused() -> None:
    """Nothing would be tested with it."""
    with pytest.raises(AssertionError, match="the corpus holds no record"):
        check_format(Numbers, b"one\ntwo\n")
