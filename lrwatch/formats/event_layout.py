"""Where in the bytes of an event its scalars lie, for events that are nothing but scalars.

A training writes the same few events again and again: only the wall time, the step and the values differ.
What is learned from one of them therefore serves for all that equal it in every other byte.

The wire format is protobuf's (https://protobuf.dev/programming-guides/encoding): a key byte
``field << 3 | type`` before each field. Only the one canonical spelling that writers use is understood;
anything else is left to the protobuf library.
"""

from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorboard.compat.proto import summary_pb2

from lrwatch.formats.base import MAX_NAME
from lrwatch.formats.event_scalars import says_scalar

WALL_AT = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What the fixed bytes of an event say about all of it.

    Parameters
    ----------
    step_at, step_width
        Where the varint of the step lies; width 0 where the step is 0 and left out.
    values
        For each value its place and its dtype.
    tags
        The tag of each value.
    tags_at
        Where each of them lies: its first byte and the one after its last.
    labelled
        The tags of those values whose tensor says of itself that it is a scalar.
    unlabelled
        The tags of those values whose tensor leaves that to an earlier event.
    """

    step_at: int
    step_width: int
    values: tuple[tuple[int, str], ...]
    tags: tuple[str, ...]
    tags_at: tuple[tuple[int, int], ...]
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]

    @property
    def places(self) -> tuple[int, int, tuple[tuple[int, str], ...]]:
        """What two events have in common whose columns can be taken at once."""
        return self.step_at, self.step_width, self.values

    def mask(self, width: int) -> NDArray[np.uint8]:
        """Return the bits of a row of `width` bytes that are the same in all events of this layout.

        The continuation bits of the step's varint are among them: they say how long it is.
        """
        fixed = np.full(width, 0xFF, np.uint8)
        fixed[WALL_AT : WALL_AT + 8] = 0
        fixed[self.step_at : self.step_at + self.step_width] = 0x80
        for at, dtype in self.values:
            fixed[at : at + np.dtype(dtype).itemsize] = 0
        return fixed

    def skeleton(self, width: int) -> NDArray[np.uint8]:
        """Return the bits of `mask` that are the same also in events with other tags of the same lengths."""
        fixed = self.mask(width)
        for start, end in self.tags_at:
            fixed[start:end] = 0
        return fixed


def layout_of(event: bytes) -> Layout | None:
    """Learn the layout of `event`; None where it holds anything but scalars in their usual spelling."""
    try:
        return _Reader(event).event()
    except (_UnusualError, IndexError, UnicodeDecodeError, DecodeError):
        return None


class _UnusualError(Exception):
    """The event is not of the kind whose layout can be learned."""


class _Reader:
    """Walks over the wire format of one event."""

    def __init__(self, event: bytes) -> None:
        self._event = event
        self._at = 0

    def event(self) -> Layout:
        self._expect(0x09)  # wall_time
        self._at += 8
        step_at = step_width = 0
        if self._key() == 0x10:  # step
            step_at = self._at = self._at + 1
            while self._event[self._at] & 0x80:
                self._at += 1
            self._at += 1
            step_width = self._at - step_at
            if step_width > 9:  # negative, or beyond an int64
                raise _UnusualError
        self._expect(0x2A)  # summary
        end = self._length()
        if end != len(self._event) or self._at == end:
            raise _UnusualError
        values: list[tuple[int, str]] = []
        tags: list[str] = []
        tags_at: list[tuple[int, int]] = []
        labelled: list[str] = []
        unlabelled: list[str] = []
        while self._at < end:
            self._expect(0x0A)  # value
            tag, tag_at, value, is_tensor, says = self._value(self._length(end))
            values.append(value)
            tags.append(tag)
            tags_at.append(tag_at)
            if is_tensor:
                (labelled if says else unlabelled).append(tag)
        return Layout(
            step_at, step_width, tuple(values), tuple(tags), tuple(tags_at), tuple(labelled), tuple(unlabelled)
        )

    def _value(self, end: int) -> tuple[str, tuple[int, int], tuple[int, str], bool, bool]:
        """Return the tag and its place, that of the value, whether it is a tensor, and one that is labelled."""
        self._expect(0x0A)  # tag
        tag = self._bytes(end)
        tag_at = self._at - len(tag), self._at
        if len(tag) > MAX_NAME:
            raise _UnusualError
        is_tensor = self._key() == 0x42
        if is_tensor:
            self._at += 1
            value = self._tensor(self._length(end))
        else:
            self._expect(0x15)  # simple_value
            value = self._at, "<f4"
            self._at += 4
        says: bool | None = None
        if self._at < end:
            self._expect(0x4A)  # metadata
            says = says_scalar(summary_pb2.SummaryMetadata.FromString(self._bytes(end)))
            if says is False and is_tensor:
                raise _UnusualError
        if self._at != end:
            raise _UnusualError
        return tag.decode("utf-8"), tag_at, value, is_tensor, says is True

    def _tensor(self, end: int) -> tuple[int, str]:
        self._expect(0x08)  # dtype
        dtype, packed = _DTYPES.get(self._key(), ("", 0))
        self._at += 1
        if self._key() == 0x12:  # tensor_shape, that of a scalar
            self._at += 1
            self._expect(0x00)
        if not dtype or self._key() not in (0x22, packed):  # tensor_content, or float_val, or double_val
            raise _UnusualError
        self._at += 1
        if self._length(end) != end or end - self._at != np.dtype(dtype).itemsize:
            raise _UnusualError
        value = self._at, dtype
        self._at = end
        return value

    def _key(self) -> int:
        return self._event[self._at] if self._at < len(self._event) else -1

    def _expect(self, key: int) -> None:
        if self._key() != key:
            raise _UnusualError
        self._at += 1

    def _length(self, end: int | None = None) -> int:
        """Read a length of at most three bytes and return where what it measures ends, within `end`."""
        length = 0
        for shift in (0, 7, 14):
            byte = self._event[self._at]
            self._at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                if self._at + length > (len(self._event) if end is None else end):
                    raise _UnusualError
                return self._at + length
        raise _UnusualError

    def _bytes(self, end: int) -> bytes:
        stop = self._length(end)
        data = self._event[self._at : stop]
        self._at = stop
        return data


_DTYPES = {1: ("<f4", 0x2A), 2: ("<f8", 0x32)}
