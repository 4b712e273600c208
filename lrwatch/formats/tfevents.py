"""TensorBoard's event files: what torch, TensorFlow, Keras, Lightning, tensorboardX and others write.

Own framing (`records`), because the reader that ships with TensorBoard stops for ever at one bad checksum,
samples, and is some twenty times slower; its protocol messages for everything unusual (`event_scalars`);
columns for everything usual (`event_columns`).
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorboard.compat.proto import event_pb2

from lrwatch.formats.base import Block, choose, signal_name
from lrwatch.formats.event_columns import ColumnDecoder, Columns
from lrwatch.formats.event_scalars import Tags, scalars
from lrwatch.formats.records import Framing, Records
from lrwatch.model import Gap, Rejected, Scalars

_PIECE = 4 << 20
_FIRST_PIECE = 64 << 10  # short, for the tags whose kind only their first event tells


class EventFile:
    """Each scalar of each event, in the order of the file.

    Steps are kept as they come: equal, going back, negative, or 0 where an event has none. A start of
    session is ``Gap("restart", 0, step)``. Rejected are records with a bad checksum (``corrupt``, also a
    Gap), records that are no event (``proto``), tags beyond `MAX_NAME` (``name``), and records so long that
    they are not looked at (``oversize``, also a Gap).

    Parameters
    ----------
    bulk_from
        From how many events at a time on they are decoded by columns. The result is the same either way.
    """

    name = "tfevents"

    def __init__(self, *, bulk_from: int = 128) -> None:
        self._bulk_from = bulk_from
        self._framing = Framing()
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._framing.reset()
        self._tags = Tags()
        self._columns = ColumnDecoder(max(1, self._bulk_from // 8))
        self._step: int | None = None
        self._piece = _FIRST_PIECE

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        found: list[Scalars | Gap | Rejected] = []
        start = 0
        while start < len(data):
            piece = data[start : start + self._piece]
            start += self._piece
            self._piece = _PIECE
            found.extend(self._decode(self._framing.feed(piece)))
        return iter(found)

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Give a Gap for a record that was never completed."""
        found: list[Scalars | Gap | Rejected] = []
        for gap in self._framing.finish():
            found.append(Gap(gap.reason, gap.bytes, self._step))
            if gap.reason == "corrupt":
                found.append(Rejected("corrupt"))
        return iter(found)

    def _decode(self, records: Records) -> Iterator[Scalars | Gap | Rejected]:
        """Give the scalars of `records`, cut where there are gaps."""
        groups: list[Columns] = []
        if len(records) >= self._bulk_from:
            groups = list(self._columns.decode(records, self._tags))
        singly = _Singly(records, groups, self._tags)
        starts, block = _in_order(len(records), groups, singly)

        gaps = [(hole.before, 0, Gap(hole.reason, hole.bytes)) for hole in records.holes]
        gaps.extend((event, 1, Gap("restart", 0, step)) for event, step in singly.restarts)
        done = 0
        for before, _, gap in sorted(gaps, key=lambda item: item[:2]):
            here = int(starts[before])
            if here > done:
                yield choose(block, slice(done, here))
                self._step = int(block.steps[here - 1])
            done = here
            yield gap if gap.step is not None else Gap(gap.reason, gap.bytes, self._step)
        if done < len(block):
            yield choose(block, slice(done, None))
            self._step = int(block.steps[-1])

        singly.rejected.update(hole.reason for hole in records.holes)
        for reason, count in singly.rejected.items():
            yield Rejected(reason, count)


class _Singly:
    """Decodes the events that are in none of `groups` one by one.

    Attributes
    ----------
    events
        Shape (m,): the indices of the decoded events.
    counts
        Shape (m,): how many scalars each has.
    scalars
        All of them, one after another.
    restarts
        Index and step of each event that starts a session.
    rejected
        How many pieces were no record, by reason.
    """

    def __init__(self, records: Records, groups: list[Columns], tags: Tags) -> None:
        left = np.ones(len(records), np.bool_)
        for group in groups:
            left[group.events] = False
        self.events: NDArray[np.int64] = np.flatnonzero(left)
        self.restarts: list[tuple[int, int]] = []
        self.rejected: Counter[str] = Counter()
        # What the groups say of tags must be known here to events after theirs, and to no event before.
        settled = sorted((word for group in groups for word in group.labelled), reverse=True)
        counts: list[int] = []
        block = Block()
        for event in self.events.tolist():
            while settled and settled[-1][0] < event:
                tags.settle(settled.pop()[1], is_scalar=True)
            counts.append(self._decode(event, records[event], tags, block))
        while settled:
            tags.settle(settled.pop()[1], is_scalar=True)
        self.counts: NDArray[np.int64] = np.array(counts, np.int64)
        self.scalars: Scalars = next(block.take(), _NOTHING)

    def _decode(self, index: int, data: bytes, tags: Tags, block: Block) -> int:
        """Add the scalars of one event to `block` and return their number."""
        try:
            event = event_pb2.Event.FromString(data)
        except DecodeError:
            self.rejected["proto"] += 1
            return 0
        if event.HasField("session_log") and event.session_log.status == event_pb2.SessionLog.START:
            self.restarts.append((index, event.step))
        count = 0
        for tag, value in scalars(event.summary, tags):
            name = signal_name(tag)
            if name is None:
                self.rejected["name"] += 1
            else:
                block.add(name, event.step, value, event.wall_time)
                count += 1
        return count


_NOTHING = Scalars((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def _in_order(events: int, groups: list[Columns], singly: _Singly) -> tuple[NDArray[np.int64], Scalars]:
    """Bring everything into the order of the file.

    Returns
    -------
    starts
        Shape (events + 1,): where in the block the scalars of each event begin; last, its length.
    block
        All scalars.
    """
    if not groups:
        starts = np.zeros(events + 1, np.int64)
        np.cumsum(singly.counts, out=starts[1:])
        return starts, singly.scalars
    counts = np.zeros(events, np.int64)
    counts[singly.events] = singly.counts
    for group in groups:
        counts[group.events] = group.values.shape[1]
    starts = np.zeros(events + 1, np.int64)
    np.cumsum(counts, out=starts[1:])

    ids: dict[str, int] = {}
    which = np.empty(starts[-1], np.int32)
    steps = np.empty(starts[-1], np.int64)
    values = np.empty(starts[-1], np.float64)
    walls = np.empty(starts[-1], np.float64)
    for group in groups:
        first = starts[group.events]
        numbers = _renumber(group.names, ids)
        for index in range(group.values.shape[1]):
            at = first + index
            which[at] = numbers[group.tags[:, index]]
            steps[at] = group.steps
            values[at] = group.values[:, index]
            walls[at] = group.walls
    one = singly.scalars
    if len(one):
        before = np.cumsum(singly.counts) - singly.counts
        at = np.repeat(starts[singly.events] - before, singly.counts) + np.arange(len(one))
        which[at] = _renumber(one.names, ids)[one.which]
        steps[at], values[at], walls[at] = one.steps, one.values, one.walls
    return starts, Scalars(tuple(ids), which, steps, values, walls)


def _renumber(names: tuple[str, ...], ids: dict[str, int]) -> NDArray[np.int32]:
    """Return for each of `names` its number in `ids`, adding the new ones."""
    return np.array([ids.setdefault(name, len(ids)) for name in names], np.int32)
