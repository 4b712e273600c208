"""Which changes count, and that watchdog tells of them."""

import threading
from pathlib import Path

import pytest
from watchdog.events import (
    DirModifiedEvent,
    FileClosedEvent,
    FileClosedNoWriteEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)

from lrwatch.tail.hints import ChangeHandler, WatchdogHints


def counts(event: FileSystemEvent, directory: str = "/lrwatch/runs") -> bool:
    """Say whether an event is a change."""
    changes: list[None] = []
    ChangeHandler(Path(directory), lambda: changes.append(None)).dispatch(event)
    return bool(changes)


@pytest.mark.parametrize("event", [FileCreatedEvent, FileModifiedEvent, FileDeletedEvent, FileMovedEvent])
def test_changes_count(event: type[FileSystemEvent]) -> None:
    """Whatever is done to a log is worth a look, also below a directory that happens to be called lrwatch."""
    assert counts(event("/lrwatch/runs/exp1/log.jsonl"))


@pytest.mark.parametrize("event", [FileOpenedEvent, FileClosedEvent, FileClosedNoWriteEvent])
def test_reading_does_not_count(event: type[FileSystemEvent]) -> None:
    """Our own reading must not wake us."""
    assert not counts(event("/lrwatch/runs/exp1/log.jsonl"))


def test_a_kind_of_event_unknown_here_does_not_count() -> None:
    """A later watchdog may tell of more."""
    event = FileModifiedEvent("/lrwatch/runs/log")
    event.event_type = "admired"

    assert not counts(event)


@pytest.mark.parametrize("path", ["/lrwatch/runs/lrwatch", "/lrwatch/runs/exp1/lrwatch/control.json"])
def test_the_watcher_s_own_files_do_not_count(path: str) -> None:
    """Publishing must not wake the publisher."""
    assert not counts(FileModifiedEvent(path))
    assert not counts(DirModifiedEvent(path.encode()))


def test_watchdog_tells_of_a_change(tmp_path: Path) -> None:
    """The real thing, as far as it works here: a file that is written below the directory is told of."""
    changed = threading.Event()
    hints = WatchdogHints(changed.set)
    (tmp_path / "run").mkdir()
    hints.watch(tmp_path)
    assert hints.alive

    (tmp_path / "run" / "log").write_bytes(b"x")
    assert changed.wait(20)

    hints.forget(tmp_path)
    hints.close()
    assert not hints.alive


def test_a_missing_directory_cannot_be_watched(tmp_path: Path) -> None:
    """The waker relies on the error."""
    hints = WatchdogHints(lambda: None)
    with pytest.raises(OSError, match="No such file"):
        hints.watch(tmp_path / "missing")
    hints.close()
