"""Damaged, torn and forged event files."""

import struct
import tracemalloc

import google_crc32c
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from lrwatch.formats.records import MAX_HELD, MAX_RECORD, OVERHEAD
from lrwatch.formats.tfevents import EventFile
from lrwatch.model import Gap
from lrwatch.testing.formats import Reading, cut, event_record, read_all

HEADER = event_record(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())


def scalar(step: int) -> bytes:
    """Return a record with one scalar, whose value is its step."""
    value = Summary.Value(tag="loss", simple_value=step)
    return event_record(Event(wall_time=2.0, step=step, summary=Summary(value=[value])).SerializeToString())


def forged(length: int) -> bytes:
    """Return a header that claims `length` bytes, with the right checksum."""
    data = struct.pack("<Q", length)
    return data + event_record(data)[-4:]


def read(data: bytes, size: int | None = None) -> Reading:
    """Read `data`, cut into pieces of `size` bytes, and see that another cutting gives the same."""
    reading = read_all(EventFile(), cut(data, size or len(data)))
    assert read_all(EventFile(bulk_from=1), cut(data, 7)) == reading
    return reading


def steps(reading: Reading) -> list[int | Gap]:
    """Return the step of each record, and the gaps between them."""
    return [item if isinstance(item, Gap) else item[1] for item in reading.items]


def test_the_framing_is_tensorboard_s() -> None:
    """The test vectors of TensorBoard's own reader (tf_record.rs) have the same bytes, and are read."""
    version = b"\x09\0\0\x80\x38\x99\xd6\xd7\x41\x1a\x0dbrain.Event:2"

    assert event_record(version) == struct.pack("<QI24sI", 24, 0x224B7FA3, version, 0xAB364B12)
    assert event_record(b"\x1a\x11CRC test, one two")[-4:] == struct.pack("<I", 0x5794D08A)
    assert read(event_record(version) + scalar(1)).rejected == {}


@pytest.mark.parametrize("data", [b"", HEADER], ids=["zero bytes", "header only"])
def test_a_file_that_has_just_begun(data: bytes) -> None:
    """There is nothing in it, and nothing wrong with it."""
    assert read_all(EventFile(), [data]) == Reading()


def test_a_torn_tail_is_waited_for_at_any_byte() -> None:
    """However much of a record has come, it is given once, when the rest has."""
    record = scalar(2)
    for end in range(len(record)):
        reader = EventFile()
        before = Reading().add(reader.feed(HEADER + scalar(1) + record[:end]))
        after = Reading().add(reader.feed(record[end:]))

        assert (steps(before), steps(after)) == ([1], [2]), end
        assert not before.rejected
        assert not after.rejected


def test_a_torn_tail_of_a_finished_file_is_a_gap() -> None:
    """What never came is measured and not guessed at."""
    torn = scalar(2)[:-1]

    assert steps(read(HEADER + scalar(1) + torn)) == [1, Gap("torn", len(torn), 1)]


def test_a_record_with_damaged_data_is_skipped() -> None:
    """One bad byte costs one record."""
    bad = bytearray(scalar(2))
    bad[20] ^= 1

    reading = read(HEADER + scalar(1) + bytes(bad) + scalar(3))

    assert steps(reading) == [1, Gap("corrupt", len(bad), 1), 3]
    assert reading.rejected == {"corrupt": 1}


def test_a_damaged_length_costs_its_record() -> None:
    """The next twelve bytes that are a header are found, and all that was skipped is one gap."""
    bad = bytearray(scalar(2))
    bad[0] ^= 1

    reading = read(HEADER + scalar(1) + bytes(bad) + scalar(3))

    assert steps(reading) == [1, Gap("corrupt", len(bad), 1), 3]
    assert reading.rejected == {"corrupt": 1}


def test_a_damaged_first_record() -> None:
    """A gap before all records has no step."""
    bad = bytearray(HEADER)
    bad[3] ^= 1

    assert steps(read(bytes(bad) + scalar(1))) == [Gap("corrupt", len(bad)), 1]


def test_a_hole_of_zeros() -> None:
    """What a power cut leaves is skipped, megabytes of it as quickly as bytes."""
    data = HEADER + scalar(1) + bytes(5 << 20) + scalar(2)

    assert steps(read_all(EventFile(), [data])) == [1, Gap("corrupt", 5 << 20, 1), 2]


def test_damage_to_the_end() -> None:
    """What follows the last good record is one gap when the file is finished."""
    reading = read(HEADER + scalar(1) + b"\xff" * 1000)

    assert steps(reading) == [1, Gap("corrupt", 1000, 1)]
    assert reading.rejected == {"corrupt": 1}


def test_every_single_bit_flipped() -> None:
    """Damage is found, or changes nothing; it never makes a wrong value, a crash or a hang."""
    data = HEADER + scalar(1) + scalar(2) + scalar(300)
    sound = steps(read(data))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        reading = read_all(EventFile(), [bytes(damaged)])
        records = [item for item in steps(reading) if isinstance(item, int)]

        assert set(records) <= set(sound)
        assert len(reading.items) == len(sound) + (bit < 8 * len(HEADER)), bit
        assert len([item for item in reading.items if isinstance(item, Gap)]) == 1, bit
        assert {item[2] for item in reading.items if isinstance(item, tuple)} <= {"1.0", "2.0", "300.0"}


@pytest.mark.parametrize("length", [MAX_RECORD + 1, 1 << 40, 1 << 62, (1 << 64) - 1])
def test_an_absurd_length_is_not_believed(length: int) -> None:
    """Not even with the right checksum: the records after it are read."""
    assert steps(read(HEADER + forged(length) + scalar(1))) == [Gap("corrupt", 12), 1]


def test_a_record_too_long_is_passed_over_unread() -> None:
    """A graph of twenty megabytes costs no memory and leaves a measured gap."""
    length = MAX_HELD + 1
    reader = EventFile()
    reading = Reading().add(reader.feed(HEADER + scalar(1) + forged(length) + bytes(length % (1 << 20) + 4)))
    tracemalloc.start()
    for _ in range(length >> 20):
        reading.add(reader.feed(bytes(1 << 20)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reading.add(reader.feed(scalar(2)))

    assert steps(reading) == [1, Gap("oversize", length + OVERHEAD, 1), 2]
    assert reading.rejected == {"oversize": 1}
    assert peak < 4 << 20


def test_a_long_record_that_is_whole_at_once_is_passed_over_all_the_same() -> None:
    """Whether a record is too long does not depend on how the stream is cut."""
    data = HEADER + event_record(bytes(MAX_HELD + 1)) + scalar(2)

    assert steps(read_all(EventFile(), [data])) == [Gap("oversize", MAX_HELD + 1 + OVERHEAD), 2]


def test_a_record_of_megabytes_is_read() -> None:
    """An event with images beside its scalars may be long."""
    values = [
        Summary.Value(tag="image", image=Summary.Image(encoded_image_string=bytes(3 << 20))),
        Summary.Value(tag="loss", simple_value=0.5),
    ]
    record = event_record(Event(wall_time=2.0, step=7, summary=Summary(value=values)).SerializeToString())

    assert steps(read_all(EventFile(), cut(HEADER + record + scalar(8), 100_000))) == [7, 8]


def test_a_record_inside_of_another_is_not_seen() -> None:
    """Bytes that look like a record, in an image or a text, are data."""
    inner = scalar(99)
    value = Summary.Value(tag="t", image=Summary.Image(encoded_image_string=inner))
    outer = event_record(Event(wall_time=2.0, step=1, summary=Summary(value=[value])).SerializeToString())

    assert steps(read(HEADER + scalar(1) + outer + outer + scalar(2))) == [1, 2]


def test_many_damaged_records() -> None:
    """Each is counted, and each sound one between them is read, by columns too."""
    records = [bytearray(scalar(step)) for step in range(1000)]
    for record in records[::3]:
        record[25] ^= 4

    reading = read_all(EventFile(), [HEADER + b"".join(map(bytes, records))])

    assert reading.rejected == {"corrupt": 334}
    assert [step for step in steps(reading) if isinstance(step, int)] == [s for s in range(1000) if s % 3]
    assert reading.items[:2] == [Gap("corrupt", len(records[0])), ("loss", 1, "1.0", "2.0")]


def test_checksums_are_google_s() -> None:
    """The fallback without the C extension is far too slow: it must not be in use."""
    assert google_crc32c.implementation == "c"
