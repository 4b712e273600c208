"""The daemon: finds runs, polls each in turn, and lets no run's trouble become another's.

One thread owns the road. HTTP runs beside it and reads finished snapshots.
"""

import dataclasses
import logging
import os
import select
import socket
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from lrwatch.clock import Clock
from lrwatch.config import Config
from lrwatch.control.desk import FileDesk
from lrwatch.control.events import Event
from lrwatch.control.publisher import TakenOver
from lrwatch.errors import NotPossible
from lrwatch.model import RunSnapshot
from lrwatch.source import RunSource
from lrwatch.tail.discover import OWN, STANDARD_INPUT, LogFile, RunFiles, discover
from lrwatch.tail.wake import Waker
from lrwatch.telemetry.logs import fields
from lrwatch.telemetry.metrics import WatcherMetrics
from lrwatch.telemetry.server import Health
from lrwatch.watcher import RunWatcher, Source

READ_LIMIT = 16 << 20
"""Bytes of one run that are read in one poll at most; fewer where that would take longer than `POLL_SECONDS`."""

POLL_SECONDS = 0.5

_FIRST_READ = 1 << 18
_LEAST_READ = 1 << 16
_BEHIND_SECONDS = 0.01
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 60.0
_STUCK_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Daemon:
    """Watches every run below some paths.

    Parameters
    ----------
    paths
        Log directories or files; what is missing or empty is waited for.
    control_dir
        Where to keep control files when they do not belong beside the logs; None: beside them.
    waker
        Waits between two turns.
    tell
        Told of every event of every run, as it is noted.

    Attributes
    ----------
    metrics
        What `/metrics` renders.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        config: Config,
        *,
        control_dir: Path | None,
        clock: Clock,
        waker: Waker,
        tell: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self._paths, self._config, self._control_dir = paths, config, control_dir
        self._clock, self._waker = clock, waker
        self._slots: dict[str, _Slot] = {}
        self._discovered_at: float | None = None
        self._moved_at: float | None = None
        self._stopping = False
        self._snapshots: tuple[RunSnapshot, ...] = ()
        self.metrics = WatcherMetrics(lambda: self._snapshots)

    def run(self) -> None:
        """Take turns until `stop`, or until standard input has ended where there is nothing else to watch."""
        endless = any(path != STANDARD_INPUT for path in self._paths)
        while not self._stopping:
            self.turn()
            if not endless and self._is_through():
                break
            self._waker.wait(_BEHIND_SECONDS if self._is_behind() else self._config.watch.poll_seconds)
        self.close()

    def once(self) -> None:
        """Take turns until everything that is there has been read and answered; standard input to its end.

        Raises
        ------
        NotPossible
            There was nothing to read, what was decided could not be written, or `stop` came first.
        """
        self.turn()
        while not self._stopping and not self._is_through():
            if not self._is_behind():
                self._waker.wait(self._config.watch.poll_seconds)
            self.turn()
        problems = [f"{slot.name}: {slot.problem}" for slot in self._slots.values() if slot.problem is not None]
        self.close()
        if problems:
            raise NotPossible("; ".join(problems))
        if self._stopping:
            raise NotPossible("stopped before everything was read")
        if not any(snapshot.records for snapshot in self._snapshots):
            raise NotPossible(f"no records found in {', '.join(str(path) for path in self._paths)}")

    def turn(self) -> None:
        """Look for new files if it is time, and poll every run once."""
        began = self._clock.monotonic()
        if self._discovered_at is None or began - self._discovered_at >= self._config.watch.discover_seconds:
            self._discover()
            self._discovered_at = began
        for slot in self._slots.values():
            if self._stopping:
                break
            slot.poll()
            self._moved_at = self._clock.monotonic()
        self._snapshots = tuple(slot.snapshot for slot in self._slots.values())
        self._moved_at = self._clock.monotonic()
        self.metrics.observe(self._moved_at - began)

    def stop(self) -> None:
        """Let `run` return after the run that it is at; may be called from a signal handler."""
        self._stopping = True
        self._waker.wake()

    def close(self) -> None:
        """Let go of every run's files, and say how much was read."""
        for slot in self._slots.values():
            slot.close()
        records = sum(slot.snapshot.records for slot in self._slots.values())
        _log.info("stopped", extra=fields(runs=len(self._slots), records=records))

    def snapshots(self) -> Sequence[RunSnapshot]:
        """Return the runs as they stood after the last turn; may be called from any thread."""
        return self._snapshots

    def health(self) -> Health:
        """Say whether polls still complete; may be called from any thread."""
        if self._moved_at is None:
            return Health(ok=True, reason="reading for the first time")
        age = self._clock.monotonic() - self._moved_at
        longest = max(_STUCK_SECONDS, 10 * self._config.watch.poll_seconds)
        if age > longest:
            return Health(ok=False, reason=f"no poll completed for {age:.0f} s", seconds_since_poll=age)
        return Health(ok=True, seconds_since_poll=age)

    def _is_behind(self) -> bool:
        return any(slot.behind for slot in self._slots.values())

    def _is_through(self) -> bool:
        """Say whether nothing more is to be read for now, and standard input, if it is watched, has ended.

        Standard input that has ended stays readable, and nobody but its run reads from it.
        """
        has_ended = STANDARD_INPUT not in self._paths or _is_readable(0)
        return has_ended and not self._is_behind()

    def _discover(self) -> None:
        """Find runs that have come, files that have come to runs, and runs that are gone."""
        found: dict[str, RunFiles] = {}
        for path in self._paths:
            for files in discover(path):
                place = os.path.realpath(files.directory)
                before = found.setdefault(place, files)
                if before is not files:
                    found[place] = dataclasses.replace(before, files=_union(before.files, files.files))
        for place, files in found.items():
            if place in self._slots:
                self._slots[place].update(files)
            else:
                named = self._with_own_name(files, place)
                _log.info("found a run", extra=fields(run=named.name, directory=str(named.directory)))
                self._slots[place] = _Slot(named, self._open, self._clock)
        for place in self._slots.keys() - found.keys():
            if not os.path.lexists(place):
                _log.warning("a run is gone", extra=fields(run=self._slots[place].name, directory=place))
                self._slots.pop(place).close()

    def _note(self, event: Event) -> None:
        log_event(event)
        self._tell(event)

    def _with_own_name(self, files: RunFiles, place: str) -> RunFiles:
        """Keep apart runs of one name below several paths; a name is also where a control directory has them."""
        taken = {slot.name for slot in self._slots.values()}
        name = files.name.strip("/") or "root"
        if name in taken:
            name = os.fsencode(place).decode("utf-8", "replace").strip("/")
        while name in taken:  # two that differ in what is no UTF-8
            name += "~"
        return dataclasses.replace(files, name=name)

    def _open(self, files: RunFiles) -> tuple[RunWatcher, RunSource, FileDesk]:
        home = files.directory if self._control_dir is None else self._control_dir / files.name
        desk = FileDesk(
            home / OWN, self._clock, self._config.watch.beat_seconds, self._note, parents=self._control_dir is not None
        )
        source = RunSource(files)
        watcher = live_watcher(files.name, files.directory, source, desk, self._config, self._clock, _FIRST_READ)
        return watcher, source, desk


class _Slot:
    """One run's place in the daemon: it is polled, or set aside with a reason and tried again later."""

    def __init__(
        self,
        files: RunFiles,
        opened: Callable[[RunFiles], tuple[RunWatcher, RunSource, FileDesk]],
        clock: Clock,
    ) -> None:
        self._files, self._opener, self._clock = files, opened, clock
        self._open: tuple[RunWatcher, RunSource, FileDesk] | None = None
        self._opened_at = clock.monotonic()
        self._set_aside: str | None = None
        self._rejected = 0
        self._retry_at: float | None = self._opened_at
        self._backoff = _FIRST_BACKOFF
        self._last = RunSnapshot(files.name, str(files.directory))

    @property
    def name(self) -> str:
        """The run's name."""
        return self._files.name

    @property
    def behind(self) -> bool:
        """Whether there are bytes that this run has not yet read, and could."""
        return self._open is not None and (self._open[1].lag > 0 or not self._open[0].armed)

    @property
    def problem(self) -> str | None:
        """Why the run is set aside, or what cannot be written; None while all is well."""
        return self._set_aside if self._open is None else self._open[2].problem

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as it stands, or stood when it was set aside."""
        if self._open is not None:
            watcher, _, desk = self._open
            self._last = live_snapshot(watcher, desk)
        return dataclasses.replace(self._last, set_aside=self._set_aside)

    def update(self, files: RunFiles) -> None:
        """Take note of files that have appeared."""
        self._files = dataclasses.replace(files, name=self._files.name)
        if self._open is not None:
            self._open[1].update(self._files)

    def poll(self) -> None:
        """Poll the run; whatever goes wrong with it is this run's alone."""
        try:
            if self._open is None:
                if self._retry_at is None or self._clock.monotonic() < self._retry_at:
                    return
                self._open = self._opener(self._files)
                self._opened_at = self._clock.monotonic()
                self._set_aside = None
            watcher, source, desk = self._open
            began = self._clock.monotonic()
            watcher.poll()
            watcher.limit = _next_limit(watcher.limit, self._clock.monotonic() - began)
        except TakenOver as event:
            self._put_aside(str(event), retry=False)
        except NotPossible as error:
            self._put_aside(str(error), retry=True)
        except OSError as error:
            self._put_aside(f"{error.filename}: {error.strerror}" if error.filename else str(error), retry=True)
        except Exception as error:  # noqa: BLE001 - a defect met in one run must not stop the others
            _log.exception("a defect of lrwatch stopped this run", extra=fields(run=self.name))
            self._put_aside(f"{type(error).__name__}: {error}", retry=True)
        else:
            for path, why in source.errors.items():
                _log.warning("cannot read a log", extra=fields(key=f"log {path}", run=self.name, path=path, why=why))
            rejected = watcher.rejected
            if sum(rejected.values()) > self._rejected:
                self._rejected = sum(rejected.values())
                _log.warning(
                    "parts of the log are no records",
                    extra=fields(key=f"no record {self.name}", run=self.name, **rejected),
                )
            if desk.problem is not None:
                _log.error("cannot write", extra=fields(key=f"write {self.name}", run=self.name, why=desk.problem))

    def close(self) -> None:
        """Let go of the run's files."""
        if self._open is not None:
            self._last = self.snapshot
            self._open[0].close()
            self._open = None

    def _put_aside(self, why: str, *, retry: bool) -> None:
        """Close the run; it is opened again ever later, unless it had gone well for a while in between."""
        now = self._clock.monotonic()
        if self._open is not None and now - self._opened_at > _LONGEST_BACKOFF:
            self._backoff = _FIRST_BACKOFF
        self.close()
        self._set_aside = why
        self._retry_at = now + self._backoff if retry else None
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        _log.error("set a run aside", extra=fields(key=f"aside {self.name}", run=self.name, why=why))


def _union(known: tuple[LogFile, ...], more: tuple[LogFile, ...]) -> tuple[LogFile, ...]:
    """Return the files of both, each once, however its path is spelled."""
    files = {os.path.realpath(file.path): file for file in (*more, *known)}
    return tuple(sorted(files.values(), key=lambda file: file.path))


def _next_limit(limit: int | None, seconds: float) -> int:
    """Return how much to read in the next poll where the last took `seconds`; a signal must not wait for it long."""
    wanted = limit or _FIRST_READ
    if seconds > POLL_SECONDS:
        wanted = int(wanted * POLL_SECONDS / seconds)
    elif seconds < POLL_SECONDS / 2:
        wanted *= 2
    return min(max(wanted, _LEAST_READ), READ_LIMIT)


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def live_watcher(
    name: str, directory: Path, source: Source, desk: FileDesk, config: Config, clock: Clock, limit: int
) -> RunWatcher:
    """Return a watcher that reads what is there, takes the run over, and goes on under a name of its own."""
    return RunWatcher(
        name,
        str(directory),
        source,
        desk,
        config,
        clock,
        writer=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        mode=config.watch.mode,
        live=True,
        catch_up=True,
        limit=limit,
    )


def live_snapshot(watcher: RunWatcher, desk: FileDesk) -> RunSnapshot:
    """Return the run as it stands, with what only its desk knows."""
    snapshot = watcher.snapshot
    return dataclasses.replace(
        snapshot,
        rejected={**snapshot.rejected, **{f"ack_{key}": value for key, value in desk.rejected.items()}},
        control_writes=desk.writes,
        control_write_failures=desk.failures,
    )


def log_event(event: Event) -> None:
    """Log what a person who reads along wants to know."""
    told = {key: event[key] for key in ("run", "seq", "step", "kind", "action", "refused_by") if event.get(key)}
    if event["event"] == "verdict":
        level = logging.WARNING if event["state"] == "raised" else logging.INFO
        _log.log(level, f"{event['kind']} {event['state']}: {event['text']}", extra=fields(**told))
    elif event["event"] == "decision" and "text" in event:
        what = "advice" if event.get("mode") == "advise" else "decision"
        _log.warning(f"{what}: {event['text']}", extra=fields(**told))
    elif event["event"] == "acknowledged":
        _log.info(f"the training answers: {event['status']}, scale now {event['scale']:g}", extra=fields(**told))
    elif event["event"] == "outcome":
        _log.info(f"outcome: {event['verdict']}: {event['text']}", extra=fields(**told))
    elif event["event"] == "gap":
        _log.warning(f"gap in the log: {event['reason']}", extra=fields(bytes=event["bytes"], **told))
