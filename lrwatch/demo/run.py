"""Runs the demo: starts the daemon as its own process, trains twice, and tells what happened."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from lrwatch.client import Client
from lrwatch.control.journal import FILE_NAME, read_journal
from lrwatch.demo.logs import EventLog
from lrwatch.demo.show import Outcome, Progress, introduce, tell
from lrwatch.demo.training import LEARNING_RATE, Training
from lrwatch.errors import NotPossible

STEPS = 8_000
POLL_SECONDS = 0.05

_DAEMON_START_SECONDS = 20.0
_DAEMON_STOP_SECONDS = 5.0
_CONFIG = f"[watch]\npoll_seconds = {POLL_SECONDS}\ndiscover_seconds = {POLL_SECONDS}\n"


def run_demo(seed: int, keep: Path | None, console: Console) -> Outcome:
    """Train twice, once watched, and show both.

    Parameters
    ----------
    keep
        A new directory in which logs, control file and journal stay; None: a temporary one.

    Raises
    ------
    NotPossible
        The daemon did not start.
    """
    with _directory(keep) as directory:
        introduce(console, seed, STEPS, LEARNING_RATE)
        with _daemon(directory):
            watched, unwatched, curves = _train(seed, directory, console)
        journal = read_journal(directory / "watched" / "lrwatch" / FILE_NAME)
    outcome = Outcome(watched, unwatched, curves, journal)
    tell(console, outcome, keep)
    return outcome


def _train(seed: int, directory: Path, console: Console) -> tuple[float, float, tuple[list[float], list[float]]]:
    """Return the final losses over all examples, watched and unwatched, and both on the way."""
    watched, unwatched = Training(seed), Training(seed)
    watched_log, unwatched_log = EventLog(directory / "watched"), EventLog(directory / "unwatched")
    with (
        Client(directory / "watched", poll_seconds=POLL_SECONDS, optimizer="SGD", total_steps=STEPS) as client,
        Progress(console, STEPS) as progress,
    ):
        for step in range(STEPS):
            scale = client.scale(step)
            watched_loss = watched.step(LEARNING_RATE * scale)
            unwatched_loss = unwatched.step(LEARNING_RATE)
            watched_log.write(step, watched_loss, LEARNING_RATE)
            unwatched_log.write(step, unwatched_loss, LEARNING_RATE)
            progress.advance(step, watched_loss, unwatched_loss, scale)
        watched_log.close()
        unwatched_log.close()
    return watched.loss(), unwatched.loss(), progress.curves


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="lrwatch-demo-") as directory:
            yield Path(directory)
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise NotPossible(f"{keep}: cannot be made: {error.strerror}") from error
    yield keep


@contextmanager
def _daemon(directory: Path) -> Iterator[None]:
    """Watch `directory`/watched from a process of its own, with free choice of the port."""
    config, log = directory / "lrwatch.toml", directory / "daemon.log"
    config.write_text(_CONFIG)
    command = [sys.executable, "-m", "lrwatch", "watch", str(directory / "watched")]
    command += ["--listen", "127.0.0.1:0", "--config", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait_until_watching(process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_DAEMON_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_watching(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _DAEMON_START_SECONDS
    while b"watching" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotPossible(f"the daemon did not start: {log.read_text(errors='replace').strip()[-2000:]}")
        time.sleep(0.02)
