"""Waiting between polls."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from lrwatch.tail.wake import Waker

LONG = 60.0
"""Seconds that no test lasts: a wait that is not ended early fails it."""


class FakeHints:
    """Hints that the test gives."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.alive = True
        self.watched: list[Path] = []
        self.closed = False
        self.error: Exception | None = None

    def watch(self, directory: Path) -> None:
        """Note the directory, or fail as told."""
        if self.error is not None:
            raise self.error
        self.watched.append(directory)

    def forget(self, directory: Path) -> None:
        """Note that it is watched no more."""
        self.watched.remove(directory)

    def close(self) -> None:
        """Note the end."""
        self.closed = True


class Scene:
    """A waker and the hints it was given."""

    def __init__(self, *directories: Path, error: Exception | None = None) -> None:
        self.given: list[FakeHints] = []
        self.error = error
        self.waker = Waker(directories, spacing=0.0, hints=self.make)

    def make(self, changed: Callable[[], None]) -> FakeHints:
        """Make the hints."""
        self.given.append(FakeHints(changed))
        self.given[0].error = self.error
        return self.given[0]

    @property
    def hints(self) -> FakeHints:
        """The hints."""
        return self.given[0]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A waker that watches one directory."""
    made = Scene(tmp_path)
    yield made
    made.waker.close()


@pytest.mark.parametrize("spacing", [0.0, LONG])
def test_a_wait_ends_by_itself(spacing: float) -> None:
    """The poll comes whether or not anything happens."""
    waker = Waker(spacing=spacing, hints=None)

    waker.wait(0.0)
    waker.wait(0.001)
    waker.close()


def test_a_hint_ends_a_wait(scene: Scene) -> None:
    """One that came before the wait counts, and only once."""
    scene.hints.changed()
    scene.hints.changed()
    began = time.monotonic()
    scene.waker.wait(LONG)

    assert time.monotonic() - began < LONG / 2
    scene.waker.wait(0.0)


def test_a_hint_from_another_thread_ends_a_wait(scene: Scene) -> None:
    """Hints come from the thread that watches."""
    thread = threading.Thread(target=scene.hints.changed)
    thread.start()
    scene.waker.wait(LONG)
    thread.join()


def test_hints_are_not_heard_all_the_time(tmp_path: Path) -> None:
    """A training that logs without pause makes one poll per spacing."""
    made: list[FakeHints] = []

    def make(changed: Callable[[], None]) -> FakeHints:
        made.append(FakeHints(changed))
        return made[0]

    waker = Waker([tmp_path], spacing=0.02, hints=make)
    made[0].changed()
    began = time.monotonic()
    waker.wait(LONG)

    assert time.monotonic() - began >= 0.02
    waker.close()


def test_wake_is_heard_at_once() -> None:
    """Neither the timeout nor the spacing holds up a shutdown, asked for before the wait or in it."""
    waker = Waker(spacing=LONG, hints=None)
    waker.wake()
    waker.wait(LONG)
    thread = threading.Thread(target=waker.wake)
    thread.start()
    waker.wait(LONG)
    thread.join()
    waker.close()


def test_wake_may_be_called_from_a_signal_handler() -> None:
    """No lock is held that the interrupted wait could hold."""
    waker = Waker(hints=None)

    def handle(_: int, __: FrameType | None) -> None:
        waker.wake()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        waker.wait(LONG)
    finally:
        signal.signal(signal.SIGUSR1, before)
        waker.close()


def test_a_thousand_calls_do_not_block(scene: Scene) -> None:
    """Nobody has to wait for a waker that is busy."""
    for _ in range(100_000):
        scene.hints.changed()
    scene.waker.wait(LONG)


@pytest.mark.parametrize(
    "error", [ImportError("no watchdog"), OSError(24, "EMFILE"), RuntimeError("can't start thread")]
)
def test_without_hints_there_is_polling(error: Exception) -> None:
    """What keeps watchdog from starting is counted and keeps nothing else."""

    def fail(_: Callable[[], None]) -> FakeHints:
        raise error

    waker = Waker([Path("/")], hints=fail)

    assert not waker.hints
    assert waker.failures == 1
    waker.wait(0.0)
    waker.close()


def test_watchdog_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With watchdog not installed the watcher polls."""
    monkeypatch.delitem(sys.modules, "lrwatch.tail.hints", raising=False)
    for name in [*sys.modules, "watchdog.events"]:
        if name.startswith("watchdog"):
            monkeypatch.setitem(sys.modules, name, None)
    waker = Waker([tmp_path])

    assert (waker.hints, waker.failures) == (False, 1)
    waker.close()


def test_the_limit_on_watches(tmp_path: Path) -> None:
    """A directory that cannot be watched is counted once and polled."""
    scene = Scene(tmp_path, error=OSError(28, "inotify watch limit reached"))
    scene.waker.wait(0.0)
    scene.waker.wait(0.0)

    assert (scene.waker.hints, scene.waker.failures) == (False, 1)
    scene.waker.close()


def test_a_thread_that_dies_is_told(scene: Scene) -> None:
    """Hints are there only as long as somebody watches."""
    assert scene.waker.hints
    scene.hints.alive = False
    assert not scene.waker.hints


def test_a_directory_may_come_late(tmp_path: Path) -> None:
    """A missing one is watched once it is there, and one that is replaced is watched anew."""
    late = tmp_path / "late"
    scene = Scene(late)
    assert not scene.waker.hints

    late.mkdir()
    scene.waker.wait(0.0)
    assert scene.hints.watched == [late]

    late.rename(tmp_path / "gone")
    scene.waker.wait(0.0)
    assert scene.hints.watched == []

    late.mkdir()
    scene.waker.wait(0.0)
    assert scene.hints.watched == [late]
    assert scene.waker.failures == 0
    scene.waker.close()


def test_after_close_nothing_is_touched(scene: Scene) -> None:
    """A late hint or signal does not write to a descriptor that may be somebody else's by now."""
    scene.waker.close()
    scene.waker.close()

    scene.waker.wake()
    scene.hints.changed()
    assert scene.hints.closed
