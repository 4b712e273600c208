"""What lrwatch says, as a run that TensorBoard shows beside the training's own.

In ``<directory>/<run>/lrwatch/``: where `directory` is the log directory itself, that is beside the control
file, and TensorBoard lists it as ``<run>/lrwatch``. The watcher looks for logs in no directory of that name, and
every tag begins with ``lrwatch/``, which it takes for nobody's training. Steps are those of the training's log.

===========================  ============================================================================
``lrwatch/verdict/<kind>``   1 while a verdict of the kind holds for any signal, else 0; written at changes
``lrwatch/scale``            the scale that a decision leads to, a ratio to the script's own learning rate
``lrwatch/applied_scale``    the scale that the training last said it uses
``lrwatch/outcome``          1 helped, 0 neutral, -1 hurt
``lrwatch/story``            verdicts, decisions, refusals, answers and outcomes in words (text plugin)
===========================  ============================================================================
"""

import contextlib
import itertools
import math
import os
import queue
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter

from lrwatch.clock import Clock
from lrwatch.errors import ProtocolError
from lrwatch.protocol.plan import MAX_STEP, plan_from_json
from lrwatch.tail.discover import OWN
from lrwatch.telemetry.text import bounded

FLUSH_SECONDS = 5.0
MOST_OPEN = 64
"""Runs whose files are open at one time; the one longest silent makes room, and later begins another file."""

_NUMBERS = itertools.count()
_MOST_WAITING = 4096
_END_SECONDS = 5.0
_MOST_TEXT = 2000
_MOST_SIGNALS = 4096
_OUTCOMES = {"helped": 1.0, "neutral": 0.0, "hurt": -1.0}


class EventWriter:
    """Writes the events of every run to event files, in a thread of its own.

    Nothing here raises or waits for a disk: what cannot be written is counted and lost. What was told is on the
    disk `FLUSH_SECONDS` later.

    Parameters
    ----------
    directory
        Where the runs' directories are, or are made.
    clock
        Dates what is written.
    patient
        Whether `tell` waits where more is told than can be written, as a replay wants it; a watcher does not.

    Attributes
    ----------
    errors
        Events that were lost.
    problem
        The newest reason for that, for people; None where there was none.
    """

    def __init__(self, directory: Path, clock: Clock, *, patient: bool = False) -> None:
        self.errors = 0
        self.problem: str | None = None
        self._directory, self._clock, self._patient = directory, clock, patient
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._told: queue.Queue[tuple[float, Mapping[str, Any]] | None] = queue.Queue(_MOST_WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lrwatch tensorboard", daemon=True)
        self._thread.start()

    def tell(self, event: Mapping[str, Any]) -> None:
        """Write an event as `lrwatch.control.events` makes them; those that say nothing to TensorBoard are left out."""
        if self._ending.is_set():
            return
        try:
            self._told.put((self._clock.wall(), dict(event)), block=self._patient)
        except queue.Full:
            self._lose("the disk is slower than what is told")

    def close(self) -> None:
        """Write what was told and end; after five seconds in any case."""
        if not self._ending.is_set():
            self._ending.set()
            with contextlib.suppress(queue.Full):
                self._told.put(None, timeout=_END_SECONDS)
            self._thread.join(_END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        due = math.inf
        while True:
            try:
                item = self._told.get(timeout=max(0.0, min(FLUSH_SECONDS, due - time.monotonic())))
            except queue.Empty:
                pass
            else:
                if item is None:
                    break
                self._write(*item)
                due = min(due, time.monotonic() + FLUSH_SECONDS)
            if time.monotonic() >= due:
                due = math.inf
                for name in list(self._runs):
                    self._try(name, _Run.flush)
        for name in list(self._runs):
            self._try(name, _Run.close)

    def _write(self, wall: float, event: Mapping[str, Any]) -> None:
        name = str(event.get("run"))
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = _Run(self._directory.joinpath(*_parts(name), OWN))
        self._runs.move_to_end(name)
        try:
            run.write(wall, event)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the thread
            self._lose(str(error))
            run.close_quietly()
        while len(self._runs) > MOST_OPEN:
            oldest = next(iter(self._runs))
            self._try(oldest, _Run.close)
            del self._runs[oldest]

    def _try(self, name: str, what: Callable[["_Run"], None]) -> None:
        """Flush or close a run's file; one that fails is given up, and another is begun at the next event."""
        run = self._runs[name]
        try:
            what(run)
        except OSError as error:
            self._lose(str(error))
            run.close_quietly()

    def _lose(self, why: str) -> None:
        self.errors += 1
        self.problem = why


class _Run:
    """The event file of one run, and what holds in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: BinaryIO | None = None
        self._active: dict[tuple[str, str], None] = {}
        self._scale = 1.0
        self._step = 0

    def write(self, wall: float, event: Mapping[str, Any]) -> None:
        """Write what an event changes."""
        step = event.get("step")
        if isinstance(step, int) and 0 <= step <= MAX_STEP:
            self._step = step
        values = [Summary.Value(tag=f"{OWN}/{tag}", simple_value=value) for tag, value in self._scalars(event)]
        told = _told(event)
        if told is not None:
            values.append(_text(f"{OWN}/story", told))
        if values:
            self._put(Event(wall_time=wall, step=self._step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Bring to the disk what was written; raises OSError."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Bring everything to the disk, and let go of the file; raises OSError."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def close_quietly(self) -> None:
        """Let go of a file that cannot be written; another is begun at the next event."""
        with contextlib.suppress(OSError):
            self.close()

    def _put(self, event: Event) -> None:
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            parts = f"{int(time.time()):010d}", socket.gethostname(), os.getpid(), next(_NUMBERS)
            name = ".".join(["events.out.tfevents", *map(str, parts)])
            self._file = (self._directory / name).open("xb")
            RecordWriter(self._file).write(
                Event(wall_time=event.wall_time, file_version="brain.Event:2").SerializeToString()
            )
        RecordWriter(self._file).write(event.SerializeToString())

    def _scalars(self, event: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        what = event.get("event")
        if what == "verdict":
            key = str(event.get("signal")), str(event.get("kind"))
            if event.get("state") == "raised" and len(self._active) < _MOST_SIGNALS:
                self._active[key] = None
            elif event.get("state") != "raised":
                self._active.pop(key, None)
            holds = any(kind == key[1] for _, kind in self._active)
            yield f"verdict/{key[1]}", float(holds)
        elif what == "decision" and event.get("seq") is not None and event.get("plan") is not None:
            with contextlib.suppress(ProtocolError):
                plan = plan_from_json(event["plan"])
                self._scale = plan.scale_at(plan.steps, self._scale)
            yield "scale", self._scale
        elif what == "acknowledged" and isinstance(event.get("scale"), int | float):
            yield "applied_scale", float(event["scale"])
        elif what == "outcome" and event.get("verdict") in _OUTCOMES:
            yield "outcome", _OUTCOMES[event["verdict"]]


def _told(event: Mapping[str, Any]) -> str | None:
    """Return the event in words, or None where there is nothing to say."""
    what = event.get("event")
    text = event.get("text")
    if what == "verdict":
        return f"{event.get('severity')}: {event.get('kind')} {event.get('state')}: {text}"
    if what == "decision":
        refused = event.get("refused_by")
        told = text or f"{event.get('action')} because of {event.get('because')}"
        return f"refused by {refused}: {told}" if refused else f"decision {event.get('seq')}: {told}"
    if what == "acknowledged" and event.get("status") == "refused":
        return f"the training refused: {event.get('refused_because')}"
    if what == "outcome":
        return f"outcome of decision {event.get('seq')}: {event.get('verdict')}: {text}"
    if what == "gap":
        return f"gap in the log: {event.get('reason')}"
    return None


def _text(tag: str, text: str) -> Summary.Value:
    """Return a value that TensorBoard shows as text."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(
        dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=[bounded(text, _MOST_TEXT).encode("utf-8")]
    )
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    return Summary.Value(tag=tag, tensor=tensor, metadata=SummaryMetadata(plugin_data=plugin))


def _parts(run: str) -> list[str]:
    """Return the directories that a run's name consists of, none of which leads out."""
    return [part for part in run.replace("\0", "").split("/") if part not in ("", ".", "..")] or ["root"]
