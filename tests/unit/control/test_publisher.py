"""The control file: whole at every moment, on the disk when `write` returns, and one writer's at a time."""

import dataclasses
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.publisher import LOCK_NAME, Publisher, TakenOver
from lrwatch.errors import NotPossible
from lrwatch.protocol import Control, decode_control, document, ramp


def control(seq: int = 1, *, generation: int = 1, writer: str = "me", beat: int = 0) -> Control:
    """Return a desired state."""
    return Control("exp", writer, generation, seq, ramp(seq, 0.5, 10), beat=beat)


def on_disk(directory: Path) -> Control:
    """Return what a reader sees; fails where that is nothing whole."""
    return decode_control((directory / "control.json").read_bytes())


def lay(directory: Path, there: Control) -> bytes:
    """Put a control file down as another watcher would."""
    (directory / "control.json").write_bytes(there.encode())
    return there.encode()


def without_beat(state: Control) -> Control:
    """Return a state as far as it is not the publisher's own affair."""
    return dataclasses.replace(state, beat=0, issued_at=0.0)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """Return the publisher of an empty directory."""
    return Publisher(tmp_path)


def test_a_reader_finds_what_was_written(publisher: Publisher, tmp_path: Path) -> None:
    """The file says what was asked, and readers of other users may read it."""
    publisher.write(control())

    assert without_beat(on_disk(tmp_path)) == control()
    assert (tmp_path / "control.json").stat().st_mode & 0o777 == 0o644
    assert publisher.found() == publisher.written == on_disk(tmp_path)


def test_the_order_is_lock_write_sync_rename_sync(publisher: Publisher, tmp_path: Path, calls: list[str]) -> None:
    """The document is on the disk before it gets its name, and that before `write` returns: power may fail any time."""
    publisher.write(control())

    temporary = f"control.json.{os.getpid()}.tmp"
    assert calls == [
        "flock lock",
        f"write {temporary}",
        f"fsync {temporary}",
        f"replace {temporary} control.json",
        f"fsync {tmp_path.name}",
    ]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, broken: Callable[[int], Any]
) -> None:
    """Whatever fails, the file is the old one, no temporary stays, the lock is free, and the next try works."""
    publisher.write(control(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, broken(errno.ENOSPC))
        with pytest.raises(OSError, match="injected"):
            publisher.write(control(2))

    assert on_disk(tmp_path).seq == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control.json", LOCK_NAME]
    publisher.write(control(2))
    assert on_disk(tmp_path).seq == 2


def test_a_directory_that_cannot_be_synced_means_not_published(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """Without the sync the new name may be gone after a power cut: the caller must write anew."""
    with monkeypatch.context() as patch:
        patch.setattr(document, "sync_directory", broken(errno.EIO))
        with pytest.raises(OSError, match="injected"):
            publisher.write(control(1))
    assert publisher.written is None

    publisher.write(control(1))
    assert on_disk(tmp_path).seq == 1


def test_the_beat_rises_and_nothing_else_changes(publisher: Publisher, tmp_path: Path) -> None:
    """A rewrite that says nothing new differs in `beat` and `issued_at` alone."""
    publisher.write(control())
    before = on_disk(tmp_path)

    publisher.beat(5.0)
    publisher.beat(6.0)

    after = on_disk(tmp_path)
    assert after == dataclasses.replace(before, beat=before.beat + 2, issued_at=6.0)


def test_the_beat_rises_over_changes_and_watchers(publisher: Publisher, tmp_path: Path) -> None:
    """A client can tell a living watcher by the beat alone: it never falls, not even where a run changes hands."""
    lay(tmp_path, control(writer="dead", generation=0, seq=0, beat=41))
    publisher.write(control(1))
    publisher.beat(0.0)
    publisher.write(control(2))
    Publisher(tmp_path).write(control(3, writer="next", generation=2))

    assert on_disk(tmp_path).beat == 45


def test_no_beat_before_the_first_write(publisher: Publisher, tmp_path: Path) -> None:
    """A watcher that has published nothing has nothing to repeat."""
    publisher.beat(0.0)

    assert not (tmp_path / "control.json").exists()


@pytest.mark.parametrize("generation", [3, 4, 1000])
def test_a_younger_watcher_is_left_the_run(publisher: Publisher, tmp_path: Path, generation: int) -> None:
    """A foreign writer with this generation or a higher one has taken over: nothing is written, nothing is repeated."""
    there = lay(tmp_path, control(7, writer="other", generation=generation))

    with pytest.raises(TakenOver, match="other"):
        publisher.write(control(8, generation=3))

    assert (tmp_path / "control.json").read_bytes() == there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control.json", LOCK_NAME]


def test_a_beat_sees_the_younger_watcher_too(publisher: Publisher, tmp_path: Path) -> None:
    """A watcher with nothing to say steps down no later than at its next beat."""
    publisher.write(control(1))
    there = lay(tmp_path, control(2, writer="other", generation=2))

    with pytest.raises(TakenOver):
        publisher.beat(0.0)

    assert (tmp_path / "control.json").read_bytes() == there


def test_an_older_watcher_is_taken_over(publisher: Publisher, tmp_path: Path) -> None:
    """A foreign writer with a lower generation is overwritten: it will see that and step down."""
    lay(tmp_path, control(7, writer="other", generation=2))

    publisher.write(control(8, generation=3))

    assert on_disk(tmp_path).writer == "me"


@pytest.mark.parametrize("seq", [8, 9])
def test_an_older_watcher_that_went_on_is_looked_at_first(publisher: Publisher, tmp_path: Path, seq: int) -> None:
    """Seq never falls: what the older one published after this one looked must be taken up before it is replaced."""
    there = lay(tmp_path, control(seq, writer="other", generation=2))

    with pytest.raises(NotPossible, match=f"went on to seq {seq}"):
        publisher.write(control(8, generation=3))

    assert (tmp_path / "control.json").read_bytes() == there


@pytest.mark.parametrize("torn", [b"", b"{", b'{"schema": "lrwatch.control/1"', b"\0" * 300, b"x" * 100_000])
def test_what_is_nothing_whole_is_replaced(publisher: Publisher, tmp_path: Path, torn: bytes) -> None:
    """A torn file binds nobody."""
    (tmp_path / "control.json").write_bytes(torn)

    assert publisher.found() is None
    publisher.write(control())
    assert on_disk(tmp_path).seq == 1


def test_a_later_version_is_left_alone(publisher: Publisher, tmp_path: Path) -> None:
    """A file of a schema that this version does not know is some newer watcher's: it is neither read nor replaced."""
    later = control().encode().replace(b"lrwatch.control/1", b"lrwatch.control/2")
    (tmp_path / "control.json").write_bytes(later)

    with pytest.raises(NotPossible, match="left alone"):
        publisher.found()
    with pytest.raises(NotPossible, match=r"lrwatch\.control/2"):
        publisher.write(control())
    assert (tmp_path / "control.json").read_bytes() == later


def test_a_link_is_left_alone(publisher: Publisher, tmp_path: Path) -> None:
    """A symbolic link in the file's place is somebody's trick or mistake: neither it nor its target is touched."""
    victim = tmp_path / "victim"
    victim.write_bytes(control().encode())
    (tmp_path / "control.json").symlink_to(victim)

    with pytest.raises(NotPossible, match="symbolic link"):
        publisher.write(control(2))

    assert (tmp_path / "control.json").is_symlink()
    assert victim.read_bytes() == control().encode()


def test_a_strangers_file_is_left_alone(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a user who is not trusted is not carried on, and not taken away from them."""
    there = lay(tmp_path, control())
    monkeypatch.setattr(document, "trusted_uids", frozenset)

    with pytest.raises(NotPossible, match="uid"):
        publisher.write(control(2))

    assert (tmp_path / "control.json").read_bytes() == there


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_left_alone(publisher: Publisher, tmp_path: Path, make: Any) -> None:
    """A pipe or a directory is refused, without waiting for anybody."""
    make(tmp_path / "control.json")

    with pytest.raises(NotPossible, match="not a regular file"):
        publisher.write(control())


def test_temporaries_of_the_dead_are_removed(publisher: Publisher, tmp_path: Path) -> None:
    """What a watcher left that was killed in the middle of a write goes with the first write; the client's stays."""
    for name in ("control.json.1.tmp", f"control.json.{os.getpid()}.tmp", "ack.json.7.tmp"):
        (tmp_path / name).write_bytes(b"{")

    publisher.write(control())

    assert sorted(path.name for path in tmp_path.iterdir()) == ["ack.json.7.tmp", "control.json", LOCK_NAME]


def test_one_watcher_waits_for_no_other(publisher: Publisher, tmp_path: Path) -> None:
    """A watcher that hangs while it holds the lock costs the others a try, never their time."""
    other = Publisher(tmp_path)
    other.lock()

    with pytest.raises(BlockingIOError):
        publisher.write(control())
    other.unlock()
    publisher.write(control())


def test_a_held_lock_stays_held_over_a_write(publisher: Publisher, tmp_path: Path) -> None:
    """Looking and writing can be one act."""
    publisher.lock()
    publisher.lock()
    publisher.write(control())

    with pytest.raises(BlockingIOError):
        Publisher(tmp_path).lock()
    publisher.unlock()
    publisher.unlock()
    Publisher(tmp_path).lock()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_the_generations_must_do(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, broken: Callable[[int], Any]
) -> None:
    """A file system without locks is no reason not to publish."""
    monkeypatch.setattr(fcntl, "flock", broken(number))

    publisher.write(control())

    assert on_disk(tmp_path).seq == 1


def test_holds_no_descriptor(publisher: Publisher, descriptors: Callable[[], list[str]]) -> None:
    """Thousands of runs must not use up the descriptors of one process."""
    before = descriptors()
    publisher.write(control())

    assert descriptors() == before
