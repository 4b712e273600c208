"""The desk: the journal before the control file that follows from it, whatever fails, and nothing twice."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.desk import FileDesk, MemoryDesk, make_directory
from lrwatch.control.events import Event
from lrwatch.control.journal import Journal, read_journal
from lrwatch.control.publisher import Publisher, TakenOver
from lrwatch.errors import NotPossible
from lrwatch.protocol import Acknowledgement, Control, decode_control, document, ramp
from lrwatch.testing.clock import FakeClock

BEAT = 5.0


def control(seq: int, *, generation: int = 1, writer: str = "me") -> Control:
    """Return a desired state."""
    return Control("exp", writer, generation, seq, ramp(seq, 0.5, 10))


def line(seq: int) -> Event:
    """Return the decision line of a seq."""
    return {"event": "decision", "seq": seq}


def seqs(home: Path) -> list[int]:
    """Return the seqs of the journal's decision lines."""
    return [event["seq"] for event in read_journal(home / "journal.jsonl")]


def on_disk(home: Path) -> Control:
    """Return what a reader of the control file sees."""
    return decode_control((home / "control.json").read_bytes())


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the `lrwatch` directory of a run, which is not there yet."""
    return tmp_path / "lrwatch"


@pytest.fixture
def desk(home: Path, clock: FakeClock) -> FileDesk:
    """Return a desk in it."""
    return FileDesk(home, clock, BEAT)


def publish(desk: FileDesk | MemoryDesk, seq: int) -> None:
    """Note and publish a seq as the helm does."""
    desk.note(line(seq))
    desk.publish(control(seq))
    desk.flush()


def test_the_journal_is_on_the_disk_before_the_control_file_is_replaced(desk: FileDesk, calls: list[str]) -> None:
    """A control file whose decision line is lost would be a change that nobody can explain."""
    publish(desk, 1)

    kept = [call for call in calls if ".tmp" in call or ".jsonl" in call]
    temporary = f"control.json.{os.getpid()}.tmp"
    assert kept == [
        "pwrite journal.jsonl",
        "fsync journal.jsonl",
        f"write {temporary}",
        f"fsync {temporary}",
        f"replace {temporary} control.json",
    ]


def test_nothing_to_say_touches_nothing(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """A desk at which nothing was said makes no directory, however much time passes."""
    desk.flush()
    clock.advance(100)
    desk.flush()

    assert not home.exists()
    assert (desk.writes, desk.failures, desk.problem) == (0, 0, None)


def test_beats_at_its_interval(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """An unchanged control file is rewritten when it is due, and only then."""
    publish(desk, 1)
    beats = []
    for _ in range(12):
        clock.advance(1)
        desk.flush()
        beats.append(on_disk(home).beat)

    assert beats == [1] * 4 + [2] * 5 + [3] * 3
    assert on_disk(home).issued_at == clock.wall() - 2


def test_the_wall_clock_decides_nothing(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """A wall clock that is set brings no beat forward and holds none back."""
    publish(desk, 1)
    clock.set_wall(0.0)
    clock.advance(BEAT)
    desk.flush()
    clock.set_wall(4e9)
    desk.flush()

    assert on_disk(home).beat == 2


@pytest.mark.parametrize("module", [os, document])
def test_what_fails_is_counted_and_tried_again(
    desk: FileDesk, home: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any], module: Any
) -> None:
    """Neither a failing journal nor a failing control file loses or repeats a decision line."""
    failing = "pwrite" if module is os else "replace"
    with monkeypatch.context() as patch:
        patch.setattr(module, failing, broken(errno.EROFS))
        publish(desk, 1)
        for _ in range(3):
            desk.flush()
        assert (desk.writes, desk.failures) == (0, 4)
        assert desk.problem == f"{home}: injected"
        assert not (home / "control.json").exists()

    desk.flush()

    assert (desk.writes, desk.failures) == (1, 4)
    assert desk.problem is None
    assert seqs(home) == [1]
    assert on_disk(home).seq == 1


def test_only_the_newest_state_is_published_after_a_failure(
    desk: FileDesk, home: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """Each seq has its line, also one that was overtaken before it could be written."""
    with monkeypatch.context() as patch:
        patch.setattr(document, "replace", broken(errno.ENOSPC))
        publish(desk, 1)
        publish(desk, 2)
    desk.flush()

    assert seqs(home) == [1, 2]
    assert on_disk(home).seq == 2


def test_a_beat_that_fails_is_tried_again(
    desk: FileDesk, home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """A client that counts on the beat waits no longer than the fault lasts."""
    publish(desk, 1)
    clock.advance(BEAT)
    with monkeypatch.context() as patch:
        patch.setattr(document, "replace", broken(errno.EIO))
        desk.flush()
    assert desk.failures == 1
    desk.flush()

    assert on_disk(home).beat == 2


def test_a_file_in_the_place_of_the_directory_is_a_failure_until_it_is_gone(desk: FileDesk, home: Path) -> None:
    """What stands in the way is named, and once it is gone everything is written."""
    home.write_bytes(b"")
    publish(desk, 1)
    assert desk.problem == f"{home / 'lock'}: Not a directory"
    home.unlink()

    desk.flush()

    assert (seqs(home), on_disk(home).seq) == ([1], 1)


def test_who_was_taken_over_writes_nothing_any_more(desk: FileDesk, home: Path) -> None:
    """Not even a journal line: the journal is the other watcher's now."""
    publish(desk, 1)
    (home / "control.json").write_bytes(control(2, generation=2, writer="other").encode())

    with pytest.raises(TakenOver):
        publish(desk, 2)

    assert seqs(home) == [1]
    assert on_disk(home).writer == "other"


def test_taking_looks_again_and_keeps_others_out(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """Between the look and the first write of a younger watcher the older one cannot write."""
    older = FileDesk(home, clock, BEAT)
    publish(older, 1)
    assert (list(desk.history), desk.found) == ([], None)

    desk.take()
    older.note(line(2))
    older.flush()
    assert older.problem == f"{home}: Resource temporarily unavailable"
    assert desk.found is not None
    assert (list(desk.history), desk.found.seq) == ([line(1)], 1)
    desk.note(line(2))
    desk.publish(control(2, generation=2, writer="younger"))
    desk.flush()

    with pytest.raises(TakenOver):
        older.flush()
    assert seqs(home) == [1, 2]


def test_closing_lets_others_write(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """A watcher that gives up between its look and its write holds nobody up."""
    desk.take()
    desk.close()

    publish(FileDesk(home, clock, BEAT), 1)

    assert on_disk(home).seq == 1


def test_taking_what_cannot_be_written_looks_all_the_same(
    desk: FileDesk, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """A read-only directory is told by the write that fails, not by a watcher that never begins."""
    monkeypatch.setattr(os, "mkdir", broken(errno.EROFS))

    desk.take()
    assert (list(desk.history), desk.found) == ([], None)
    publish(desk, 1)

    assert desk.failures == 1


def test_what_went_on_while_nobody_could_lock_is_looked_at_first(
    desk: FileDesk, home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """Where the lock could not be had, a seq that the older watcher used meanwhile is not used again."""
    older = FileDesk(home, clock, BEAT)
    publish(older, 1)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", broken(errno.EIO))
        desk.take()
    publish(older, 2)
    desk.note(line(2))
    desk.publish(control(2, generation=2, writer="younger"))

    with pytest.raises(NotPossible, match="went on to seq 2"):
        desk.flush()
    assert seqs(home) == [1, 2]
    assert on_disk(home).writer == "me"


def test_a_run_that_was_deleted_stays_deleted(tmp_path: Path, clock: FakeClock) -> None:
    """Beside the logs only the `lrwatch` directory is made: a beat must not bring a deleted run back."""
    run = tmp_path / "run"
    run.mkdir()
    desk = FileDesk(run / "lrwatch", clock, BEAT)
    publish(desk, 1)
    shutil.rmtree(run)
    clock.advance(BEAT)
    desk.flush()

    assert not run.exists()
    assert desk.problem == f"{run / 'lrwatch'}: No such file or directory"


def test_a_directory_that_was_removed_is_made_again(desk: FileDesk, home: Path, clock: FakeClock) -> None:
    """Whoever removes the `lrwatch` directory of a run that is watched gets it back with the present state."""
    publish(desk, 1)
    shutil.rmtree(home)
    clock.advance(BEAT)
    desk.flush()

    assert on_disk(home).seq == 1


def test_a_control_directory_is_made_with_all_above_it(tmp_path: Path, clock: FakeClock) -> None:
    """`--control-dir` need not exist, and each directory that is made survives a power cut with its name."""
    synced: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "sync_directory", synced.append)
        make_directory(tmp_path / "a" / "b" / "c", parents=True)
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]

    desk = FileDesk(tmp_path / "x" / "exp" / "lrwatch", clock, BEAT, parents=True)
    publish(desk, 1)

    assert on_disk(tmp_path / "x" / "exp" / "lrwatch").seq == 1


def test_tells_of_every_event_once(home: Path, clock: FakeClock) -> None:
    """Who listens hears of an event when it is noted, not each time it is tried to be written."""
    told: list[Event] = []
    desk = FileDesk(home, clock, BEAT, told.append)
    home.write_bytes(b"")
    publish(desk, 1)
    home.unlink()
    desk.flush()

    assert told == [line(1)]


def test_hears_the_training(desk: FileDesk, home: Path) -> None:
    """The newest acknowledgement is given at every look, and called news once."""
    home.mkdir()
    ack = Acknowledgement("t1", generation=1, seq=1)
    (home / "ack.json").write_bytes(ack.encode())

    assert desk.hear() == (ack, True)
    assert desk.hear() == (ack, False)
    (home / "ack.json").write_bytes(b"{")
    assert desk.hear() == (ack, False)
    assert desk.rejected == {"json": 1}


def test_memory_needs_no_disk() -> None:
    """The desk of an engine that writes nothing keeps what was said, and calls an acknowledgement news once."""
    desk = MemoryDesk()
    desk.take()
    publish(desk, 1)
    desk.acknowledgement = Acknowledgement("t1")

    assert (desk.events, desk.control) == ([line(1)], control(1))
    assert [desk.hear()[1], desk.hear()[1]] == [True, False]
    desk.close()


class Killed(BaseException):
    """The process ends here; nothing catches it."""


STOPS = (
    (os, "mkdir"),
    (os, "open"),
    (os, "write"),
    (os, "pwrite"),
    (os, "fsync"),
    (os, "ftruncate"),
    (os, "replace"),
    (fcntl, "flock"),
)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("first_ever", [True, False])
def test_killed_at_any_system_call_nothing_is_torn(
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    descriptors: Callable[[], list[str]],
    *,
    after: bool,
    first_ever: bool,
) -> None:
    """Dying before or after any call leaves the old or the new state, and never a state without its line."""
    outcomes = set()
    at = 0
    while True:
        home = tmp_path / f"{at}" / "lrwatch"
        home.parent.mkdir()
        desk = FileDesk(home, clock, BEAT)
        seq = 1
        if not first_ever:
            publish(desk, 1)
            seq = 2
        before = descriptors()
        try:
            with monkeypatch.context() as patch:
                kill_at(patch, at, after=after)
                publish(desk, seq)
        except Killed:
            pass
        else:
            break
        for leaked in set(descriptors()) - set(before):  # with a process its locks go
            with contextlib.suppress(OSError):
                os.close(int(leaked))
        again = FileDesk(home, clock, BEAT)
        found = 0 if again.found is None else again.found.seq
        journaled = [event["seq"] for event in again.history]
        assert found in (seq - 1, seq)
        assert journaled in (list(range(1, seq)), list(range(1, seq + 1)))
        assert found <= len(journaled)
        publish(again, len(journaled) + 1)
        assert seqs(home) == list(range(1, len(journaled) + 2))
        assert not list(home.glob("*.tmp"))
        outcomes.add((found, len(journaled)))
        at += 1

    assert outcomes == {(seq - 1, seq - 1), (seq - 1, seq), (seq, seq)}
    assert at > 8


def kill_at(patch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
    """Let the process die at the call number `at` of those in STOPS."""
    count = 0

    def mortal(original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            is_last = count == at + 1
            if is_last and not after:
                raise Killed
            try:
                return original(*arguments, **options)
            finally:
                if is_last:
                    raise Killed

        return call

    for module, name in STOPS:
        patch.setattr(module, name, mortal(getattr(module, name)))


def test_reading_fails_loudly_where_it_must(home: Path, clock: FakeClock) -> None:
    """A desk in which something lies that must be left alone is not opened."""
    home.mkdir()
    (home / "control.json").symlink_to("/nowhere")
    with pytest.raises(NotPossible):
        FileDesk(home, clock, BEAT)
    (home / "control.json").unlink()
    (home / "journal.jsonl").mkdir()
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        FileDesk(home, clock, BEAT)


def test_the_parts_are_the_files_of_the_contract(desk: FileDesk, home: Path) -> None:
    """What lies in the directory is control.json, journal.jsonl and a lock."""
    publish(desk, 1)

    assert sorted(path.name for path in home.iterdir()) == ["control.json", "journal.jsonl", "lock"]
    assert Journal(home).read() == [line(1)]
    assert Publisher(home).found() == on_disk(home)
