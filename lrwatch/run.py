"""A training started and watched: its output passed through, its logs read, its learning rate steered.

`run_training` is ``lrwatch run``. The main thread passes bytes and signals on and does nothing else, so that a
slow disk does not hold up what the user sees; a second thread owns the road from the logs to the control file.
Nothing that goes wrong with watching touches the training.
"""

import contextlib
import dataclasses
import fcntl
import logging
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lrwatch.clock import Clock, SystemClock
from lrwatch.config import Config
from lrwatch.control.desk import FileDesk
from lrwatch.control.publisher import TakenOver
from lrwatch.daemon import live_snapshot, live_watcher, log_event
from lrwatch.errors import NotPossible
from lrwatch.formats import HEAD, recognise
from lrwatch.formats.base import Format
from lrwatch.model import Gap, Rejected, RunSnapshot, Scalars
from lrwatch.source import RunSource
from lrwatch.tail.discover import OWN, STANDARD_INPUT, LogFile, RunFiles, discover
from lrwatch.tail.wake import Waker
from lrwatch.telemetry import logs
from lrwatch.telemetry.metrics import WatcherMetrics
from lrwatch.telemetry.server import Health, Server
from lrwatch.telemetry.text import printable
from lrwatch.watcher import RunWatcher

DIRECTORY = "LRWATCH_DIR"
"""The environment variable in which the training finds its directory."""

NOT_FOUND, NOT_EXECUTABLE, KILLED = 127, 126, 128
"""Exit statuses as shells have them; `KILLED` plus the number of the signal."""

_READ_LIMIT = 1 << 20  # of the logs in one poll: the output of the training must not wait for it
_CHUNK = 1 << 20
_MOST_HELD = 16 << 20
_LOOK_SECONDS = 0.2  # after the end of the training a process that it left behind may hold its output open
_LEFT_SECONDS = 2.0
_END_SECONDS = 10.0
_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 60.0
_TO_ALL = (signal.SIGINT, signal.SIGQUIT)
_TO_IT = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_log = logging.getLogger(__name__)


def run_training(
    command: Sequence[str], logdir: Path | None, config: Config, *, listen: tuple[str, int] | None = None
) -> int:
    """Run `command` to its end, watched, and return the exit status to end with.

    The training finds its directory in ``LRWATCH_DIR``. Its output appears as it comes, byte for byte; where
    standard output or error is a terminal, it writes to one too, of the same size, and progress bars work.
    SIGINT and SIGQUIT are passed on to it and all it has started in its session, as a terminal does it;
    SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 to it alone.

    Parameters
    ----------
    command
        The program and its arguments.
    logdir
        Where the training logs; made if it is missing. All that it writes below is taken for one run. None: a
        new directory ``lrwatch-runs/<time>`` below the current one.
    listen
        Host and port of the HTTP side; None: there is none.

    Returns
    -------
    int
        The training's; 128 and the number of the signal that ended it; 127 where there is no such program, 126
        where it cannot be executed.

    Raises
    ------
    NotPossible
        The directory cannot be made, or listened to cannot be; nothing was started.
    """
    if not command:
        raise NotPossible("no command to run")
    _fill_standard_streams()
    if shutil.which(command[0]) is None and not os.path.lexists(command[0]):
        _say(f"{command[0]}: command not found")
        return NOT_FOUND
    directory = _make_directory(logdir)
    road = Road(directory, config, SystemClock())
    with contextlib.ExitStack() as stack:
        if listen is not None:
            server = Server(*listen, registry=road.metrics.registry, health=road.health, runs=road.snapshots)
            stack.enter_context(server)
            _say("watching at {}:{}".format(*server.start()))
        try:
            return _Child(command, {DIRECTORY: str(directory)}, road).run()
        except OSError as error:
            _say(f"{command[0]}: {error.strerror}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


class OutputSource:
    """What a training prints, as records; filled by one thread and read by another.

    Text that is no record is no error: nobody said that the output is a log. What comes faster than it is
    read, beyond 16 MiB, is a Gap.

    Parameters
    ----------
    formats
        Recognises a format by the first bytes of a stream.
    """

    def __init__(self, formats: Callable[[Path, bytes], Format | None] = recognise) -> None:
        self._formats = formats
        self._lock = threading.Lock()
        self._held: list[tuple[int, bytes]] = []
        self._size = 0
        self._lost = 0
        self._streams: dict[int, _Stream] = {}

    @property
    def lag(self) -> int:
        """Bytes that wait to be read."""
        with self._lock:
            return self._size

    def put(self, stream: int, data: bytes) -> None:
        """Take what was printed on a stream, such as 1 or 2."""
        with self._lock:
            if self._size + len(data) > _MOST_HELD:
                self._lost += len(data)
            else:
                self._held.append((stream, data))
                self._size += len(data)

    def read(self) -> Iterator[Scalars | Gap]:
        """Yield what was printed since the last read."""
        with self._lock:
            held, self._held, self._size = self._held, [], 0
            lost, self._lost = self._lost, 0
        for stream, data in held:
            if stream not in self._streams:
                self._streams[stream] = _Stream(self._formats)
            yield from self._streams[stream].feed(data)
        if lost:
            yield Gap("oversize", lost)

    def finish(self) -> Iterator[Scalars | Gap]:
        """Yield what is left: last lines without an end."""
        for stream in self._streams.values():
            yield from stream.finish()


class _Stream:
    """One stream of the output, and the format it is in once that is known."""

    def __init__(self, formats: Callable[[Path, bytes], Format | None]) -> None:
        self._formats = formats
        self._format: Format | None = None
        self._head = b""

    def feed(self, data: bytes) -> Iterator[Scalars | Gap]:
        if self._format is None:
            data = self._head + data
            self._format = self._formats(STANDARD_INPUT, data[:HEAD])
            # A training may print anything before it begins to log, so that looking never ends.
            self._head = b"" if self._format else data[-HEAD // 2 :]
        if self._format is not None:
            yield from _records(self._format.feed(data))

    def finish(self) -> Iterator[Scalars | Gap]:
        if self._format is not None:
            yield from _records(self._format.finish())


class TrainingSource:
    """The logs of a training, or else its output: a signal is not to be judged twice, nor on two axes.

    The output counts as long as no log has grown since the training was started.

    Parameters
    ----------
    files, output
        Where the records come from.
    """

    def __init__(self, files: RunSource, output: OutputSource) -> None:
        self._files, self._output = files, output
        self._is_caught_up = False
        self._is_logged = False
        self._is_printed = False
        self._has_ended = False

    @property
    def lag(self) -> int:
        """Bytes that are there and not yet read."""
        return self._files.lag + self._output.lag

    @property
    def errors(self) -> Mapping[str, str]:
        """What keeps a log from being read, by its path."""
        return self._files.errors

    def update(self, files: RunFiles) -> None:
        """Add logs that have come."""
        self._files.update(files)

    def end(self) -> None:
        """Say that the training has ended: the next read gives all that is left."""
        self._has_ended = True

    def read(self, limit: int | None = None) -> Iterator[Scalars | Gap | Rejected]:
        """Yield what is new."""
        yield from self._logged(self._files.read(limit))
        if self._has_ended:
            yield from self._logged(self._files.finish())
        self._is_caught_up = self._is_caught_up or self._files.lag == 0
        yield from self._printed(self._output.read())
        if self._has_ended:
            yield from self._printed(self._output.finish())

    def close(self) -> None:
        """Let go of the files."""
        self._files.close()

    def _logged(self, found: Iterator[Scalars | Gap | Rejected]) -> Iterator[Scalars | Gap | Rejected]:
        for item in found:
            if isinstance(item, Scalars) and self._is_caught_up and not self._is_logged:
                self._is_logged = True
                if self._is_printed:
                    yield Gap("replaced")
            yield item

    def _printed(self, found: Iterator[Scalars | Gap]) -> Iterator[Scalars | Gap]:
        for item in found:
            if not self._is_logged:
                self._is_printed = True
                yield item


class Road:
    """From the logs and the output of one training to its control file, in a thread of its own.

    Parameters
    ----------
    directory
        The run's.

    Attributes
    ----------
    output
        Where the training's output goes.
    metrics
        What ``/metrics`` renders.
    """

    def __init__(self, directory: Path, config: Config, clock: Clock) -> None:
        self._directory, self._config, self._clock = directory, config, clock
        self.output = OutputSource()
        self._before = {path: _state(path) for path in (log.path for log in _below(directory))}
        self._waker: Waker | None = None
        self._stopping = threading.Event()
        self._open: tuple[RunWatcher, TrainingSource, FileDesk] | None = None
        self._discovered_at = self._moved_at = self._retry_at = clock.monotonic()
        self._backoff = _FIRST_BACKOFF
        self._is_over = False  # another watcher has the run
        self._last = RunSnapshot(_name(directory), str(directory))
        self._snapshots: tuple[RunSnapshot, ...] = (self._last,)
        self.metrics = WatcherMetrics(self.snapshots)
        self._thread = threading.Thread(target=self._run, name="lrwatch road", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._waker = Waker([self._directory])
        self._thread.start()

    def end(self) -> None:
        """Read what is left, the training having ended, and return; after ten seconds in any case."""
        self._stopping.set()
        if self._waker is not None:
            self._waker.wake()
            self._thread.join(_END_SECONDS)

    def snapshots(self) -> Sequence[RunSnapshot]:
        """Return the run as it stood after the last turn; may be called from any thread."""
        return self._snapshots

    def health(self) -> Health:
        """Say whether polls still complete; may be called from any thread."""
        age = self._clock.monotonic() - self._moved_at
        is_stuck = age > max(30.0, 10 * self._config.watch.poll_seconds)
        return Health(ok=not is_stuck, reason=f"no poll for {age:.0f} s" if is_stuck else "", seconds_since_poll=age)

    def _run(self) -> None:
        waker = self._waker
        while waker is not None and not self._stopping.is_set():
            self._turn()
            waker.wait(self._config.watch.poll_seconds)
        self._discovered_at = -math.inf
        self._turn()
        deadline = self._clock.monotonic() + _END_SECONDS / 2
        while self._open is not None and self._open[1].lag and self._clock.monotonic() < deadline:
            self._turn()
        if self._open is not None:
            self._open[1].end()
            self._turn()
        if self._open is not None:
            self._open[0].close()
        if waker is not None:
            waker.close()

    def _turn(self) -> None:
        """Poll once; whatever goes wrong is told, and tried again later."""
        began = self._clock.monotonic()
        if self._open is None and (self._is_over or began < self._retry_at):
            self._moved_at = began
            return
        try:
            self._poll(began)
        except TakenOver as event:
            self._is_over = True
            self._set_aside(str(event))
        except (NotPossible, OSError) as error:
            self._set_aside(str(error))
        except Exception as error:  # noqa: BLE001 - a defect of lrwatch is no reason to disturb a training
            _log.exception("a defect of lrwatch: this training goes on unwatched for now")
            self._set_aside(f"{type(error).__name__}: {error}")
        self._moved_at = self._clock.monotonic()
        self.metrics.observe(self._moved_at - began)

    def _poll(self, now: float) -> None:
        if self._open is None:
            self._open = self._opened()
            self._discovered_at = now
        watcher, source, desk = self._open
        if now - self._discovered_at >= self._config.watch.discover_seconds:
            source.update(self._files())
            self._discovered_at = now
        watcher.poll()
        for path, why in source.errors.items():
            _log.warning("cannot read a log", extra=logs.fields(key=f"log {path}", path=path, why=why))
        if desk.problem is not None:
            _log.error("cannot write", extra=logs.fields(key="write", why=desk.problem))
        self._last = live_snapshot(watcher, desk)
        self._snapshots = (self._last,)

    def _opened(self) -> tuple[RunWatcher, TrainingSource, FileDesk]:
        desk = FileDesk(self._directory / OWN, self._clock, self._config.watch.beat_seconds, log_event)
        source = TrainingSource(RunSource(self._files()), self.output)
        name = _name(self._directory)
        watcher = live_watcher(name, self._directory, source, desk, self._config, self._clock, _READ_LIMIT)
        return watcher, source, desk

    def _set_aside(self, why: str) -> None:
        if self._open is not None:
            self._open[0].close()
            self._open = None
        self._retry_at = self._clock.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        self._snapshots = (dataclasses.replace(self._last, set_aside=why),)
        _log.error("the training goes on unwatched", extra=logs.fields(key="aside", why=why))

    def _files(self) -> RunFiles:
        """Find the run's logs: those of its directory, and of runs below it what the training writes."""
        own = discover(self._directory)[:1]
        files = {log.path: log for run in own if run.directory == self._directory for log in run.files}
        for log in _below(self._directory):
            if log.path not in files and self._before.get(log.path) != _state(log.path):
                files[log.path] = log
        return RunFiles(_name(self._directory), self._directory, tuple(files[path] for path in sorted(files)))


class _Child:
    """The training as a process, and the passing on of bytes and signals."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], road: Road) -> None:
        self._command, self._environment, self._road = command, environment, road
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._terminals: list[int] = []  # our ends of the terminals that the training has
        self._readers: dict[int, int] = {}  # from what it writes to where that goes
        self._keyboard: int | None = None

    def run(self) -> int:
        """Start the training, pass everything on, and return the exit status; raises OSError where it cannot start."""
        with contextlib.ExitStack() as stack:
            for number in (*_TO_ALL, *_TO_IT):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it, for the training too
                    stack.callback(signal.signal, number, signal.signal(number, self._pass_on))
            stack.callback(signal.signal, signal.SIGWINCH, signal.signal(signal.SIGWINCH, self._resize))
            stack.callback(self._close)
            process = self._start(stack)
            self._road.start()
            try:
                self._pump(process)
                status = process.wait()
            finally:
                self._road.end()
        return status if status >= 0 else KILLED - status

    def _start(self, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        """Start the process, before the road has its threads: it may have to run code of ours in the fork."""
        theirs: list[int] = []
        is_terminal = [_is_terminal(number) for number in (0, 1, 2)]
        is_typed = is_terminal[0] and is_terminal[1] and _is_in_front(0)
        try:
            output = self._channel(1, is_terminal[1], theirs, is_raw=not is_typed)
            if is_terminal[1] and is_terminal[2]:
                error = output
            else:
                error = self._channel(2, is_terminal[2], theirs, is_raw=not is_typed)
            self._process = subprocess.Popen(  # noqa: S603 - what the user wants
                self._command,
                # A job in the background must not take from the shell what is typed there.
                stdin=output if is_typed else subprocess.DEVNULL if is_terminal[0] and not _is_in_front(0) else None,
                stdout=output,
                stderr=error,
                env={**os.environ, **self._environment},
                start_new_session=True,
                preexec_fn=_take_terminal if is_typed else None,
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        for number in self._early:
            self._pass_on(number, None)
        if is_typed:
            self._keyboard = self._terminals[0]
            stack.callback(_restore, 0, termios.tcgetattr(0))
            tty.setraw(0)
            _end_lines("\r\n")
            stack.callback(_end_lines, "\n")
        return self._process

    def _channel(self, number: int, is_terminal: bool, theirs: list[int], *, is_raw: bool) -> int:
        """Make what the training writes to in place of our descriptor `number`."""
        if not is_terminal:
            ours, other = os.pipe()
            with contextlib.suppress(OSError):  # not allowed to everybody
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _CHUNK)
        else:
            ours, other = os.openpty()
            with contextlib.suppress(termios.error):
                modes = termios.tcgetattr(number)
                if is_raw:
                    modes[1] &= ~termios.OPOST  # our own terminal makes of line feeds what it needs
                termios.tcsetattr(other, termios.TCSANOW, modes)
            self._terminals.append(ours)
            _copy_size(number, ours)
        self._readers[ours] = number
        theirs.append(other)
        return other

    def _pump(self, process: subprocess.Popen[bytes]) -> None:
        """Pass bytes on until the output has ended, or the process has and nothing more is there."""
        poll = select.poll()
        for descriptor in self._readers:
            poll.register(descriptor, select.POLLIN)
        if self._keyboard is not None:
            poll.register(0, select.POLLIN)
        deadline = math.inf
        while self._readers and time.monotonic() < deadline:
            has_ended = process.poll() is not None
            if has_ended and deadline == math.inf:
                deadline = time.monotonic() + _LEFT_SECONDS
            ready = [descriptor for descriptor, _ in poll.poll(0 if has_ended else 1000 * _LOOK_SECONDS)]
            if 0 in ready and self._keyboard is not None:
                ready.remove(0)
                if not self._type():
                    poll.unregister(0)
            if has_ended and not ready:
                return
            for descriptor in ready:
                if not self._show(descriptor):
                    poll.unregister(descriptor)
                    del self._readers[descriptor]
                    if descriptor not in self._terminals:
                        os.close(descriptor)

    def _type(self) -> bool:
        """Pass on what was typed; returns whether more can come."""
        data = _read(0)
        if data and self._keyboard is not None:
            with contextlib.suppress(OSError):
                _write(self._keyboard, data)
        return bool(data)

    def _show(self, descriptor: int) -> bool:
        """Pass on what was printed; returns whether more is wanted and can come."""
        data = _read(descriptor)
        if not data:
            return False
        number = self._readers[descriptor]
        self._road.output.put(number, data)
        try:
            _write(number, data)
        except OSError:  # nobody reads any more, which a training that writes to a pipe is to notice
            return descriptor in self._terminals
        return True

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._process is None:
            self._early.append(number)
        elif self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if number in _TO_ALL else os.kill)(self._process.pid, number)

    def _resize(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        for terminal in self._terminals:
            _copy_size(self._readers.get(terminal, 1), terminal)

    def _close(self) -> None:
        for descriptor in {*self._terminals, *self._readers}:
            os.close(descriptor)
        self._terminals.clear()
        self._readers.clear()


def _make_directory(logdir: Path | None) -> Path:
    """Make the run's directory, and return its absolute path."""
    try:
        if logdir is not None:
            logdir.mkdir(parents=True, exist_ok=True)
            return logdir.absolute()
        parent = Path("lrwatch-runs").absolute()
        parent.mkdir(exist_ok=True)
        name = time.strftime("%Y%m%d-%H%M%S")
        for count in range(1000):
            directory = parent / (name if count == 0 else f"{name}-{count}")
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                _say(f"the directory of this run is {directory}")
                return directory
    except OSError as error:
        raise NotPossible(f"{error.filename}: cannot be made: {error.strerror}") from error
    raise NotPossible(f"{parent}: too many runs")


def _below(directory: Path) -> list[LogFile]:
    return [log for run in discover(directory) for log in run.files]


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _name(directory: Path) -> str:
    return os.fsencode(directory.resolve().name or "root").decode("utf-8", "replace")


def _records(found: Iterator[Scalars | Gap | Rejected]) -> Iterator[Scalars | Gap]:
    return (item for item in found if not isinstance(item, Rejected))


def _say(message: str) -> None:
    """Say something of our own on standard error, which is the training's too."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"lrwatch: {printable(message)}\n")
        sys.stderr.flush()


def _end_lines(terminator: str) -> None:
    """Let log lines end so: a raw terminal does not go back to the first column by itself."""
    for handler in logging.getLogger("lrwatch").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.terminator = terminator


def _fill_standard_streams() -> None:
    """Open what is closed of the standard streams, or a pipe of ours would get its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def _is_in_front(number: int) -> bool:
    """Say whether we may read from the terminal; a job in the background would be stopped."""
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:
        return False


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _copy_size(number: int, terminal: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(number, termios.TIOCGWINSZ, bytes(8)))


def _restore(number: int, modes: list[Any]) -> None:
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(termios.error):
        termios.tcsetattr(number, termios.TCSADRAIN, modes)
    signal.signal(signal.SIGTTOU, before)


def _read(descriptor: int) -> bytes:
    """Read what is there; nothing at the end, which is an error at a terminal whose other end has closed."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it, also where the descriptor does not wait; raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
