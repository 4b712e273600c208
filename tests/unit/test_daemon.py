"""The daemon: many runs, one thread, and no run's trouble becomes another's."""

import dataclasses
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrwatch.config import parse_config
from lrwatch.control.journal import read_journal
from lrwatch.daemon import Daemon
from lrwatch.errors import NotPossible
from lrwatch.model import RunSnapshot
from lrwatch.protocol import Control, decode_control
from lrwatch.tail.wake import Waker
from lrwatch.testing.clock import FakeClock
from lrwatch.watcher import RunWatcher


class House:
    """A directory with runs, a daemon on it, and its clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.wakers: list[Waker] = []

    def daemon(self, *paths: Path, control_dir: Path | None = None, **watch: Any) -> Daemon:
        """Return a daemon; by default of the whole directory."""
        waker = Waker((), hints=None)
        self.wakers.append(waker)
        config = parse_config({"watch": watch})
        return Daemon(paths or (self.root,), config, control_dir=control_dir, clock=self.clock, waker=waker)

    def log(self, run: str, count: int = 10, *, first: int = 0, name: str = "train.jsonl") -> Path:
        """Append records to a run's log; return the run's directory."""
        directory = self.root / run
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / name).open("a") as file:
            file.writelines(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(first, first + count))
        return directory

    def diverge(self, run: str, first: int) -> None:
        """Append three records that are no numbers."""
        with (self.root / run / "train.jsonl").open("a") as file:
            file.writelines(json.dumps({"step": step, "loss": math.nan}) + "\n" for step in range(first, first + 3))

    def turn(self, daemon: Daemon, seconds: float = 0.0) -> dict[str, RunSnapshot]:
        """Let time pass and the daemon take a turn; return its runs by name."""
        self.clock.advance(seconds)
        daemon.turn()
        return {snapshot.run: snapshot for snapshot in daemon.snapshots()}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return an empty house."""
    root = tmp_path / "runs"
    root.mkdir()
    house = House(root)
    yield house
    for waker in house.wakers:
        waker.close()


def control(directory: Path) -> Control:
    """Return what a client reads in a run's directory."""
    return decode_control((directory / "lrwatch" / "control.json").read_bytes())


# Finding


def test_runs_and_files_that_come_later_are_found(house: House) -> None:
    """What appears is watched at the next search, without a restart."""
    house.log("a")
    daemon = house.daemon(discover_seconds=2.0)
    assert list(house.turn(daemon)) == ["a"]
    house.log("b/c")
    house.log("a", 5, first=10, name="more.jsonl")
    assert list(house.turn(daemon, 1.9)) == ["a"]
    runs = house.turn(daemon, 0.1)

    assert {name: run.records for name, run in runs.items()} == {"a": 15, "b/c": 10}
    assert control(house.root / "b" / "c").run == "b/c"


def test_a_missing_path_is_waited_for(house: House) -> None:
    """A directory that is not there, or holds nothing, is no error."""
    daemon = house.daemon(house.root / "later", discover_seconds=1.0)
    assert house.turn(daemon) == {}
    (house.root / "later").mkdir()
    assert house.turn(daemon, 1.0) == {}
    house.log("later")

    assert house.turn(daemon, 1.0)["later"].records == 10


def test_one_directory_by_two_paths_is_one_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often and however spelled a run is named, one watcher writes its control file."""
    directory = house.log("a")
    (house.root / "link").symlink_to("a")
    monkeypatch.chdir(directory)
    daemon = house.daemon(house.root, directory, Path("../a"), house.root / "link", directory / "train.jsonl")

    assert {name: run.records for name, run in house.turn(daemon).items()} == {"a": 10}
    assert control(directory).seq == 1


def test_files_named_one_by_one_are_one_run(house: House) -> None:
    """Two files of one directory make one run of both, also after it was set aside and opened again."""
    directory = house.log("a")
    house.log("a", 5, first=10, name="more.jsonl")
    house.log("a", 7, name="left-out.jsonl")
    spoil(directory)
    daemon = house.daemon(directory / "train.jsonl", directory / "more.jsonl", discover_seconds=1.0)
    house.turn(daemon)
    mend(directory)

    assert house.turn(daemon, 1.0)["a"].records == 15


def test_runs_of_one_name_below_two_paths_are_kept_apart(house: House, tmp_path: Path) -> None:
    """The second goes by its whole path, and neither gets the other's control directory, nor one outside it."""
    first, second = house.log("x/exp"), house.log("y/exp", 20)
    control_dir = tmp_path / "control"
    daemon = house.daemon(first.parent, second.parent, control_dir=control_dir)
    runs = house.turn(daemon)

    long_name = str(second).lstrip("/")
    assert {name: run.records for name, run in runs.items()} == {"exp": 10, long_name: 20}
    assert control(control_dir / "exp").run == "exp"
    assert control(control_dir / long_name).run == long_name


def test_names_that_are_no_text_are_kept_apart_too(house: House) -> None:
    """Two directories that differ in bytes that nobody can print are two runs with names that can be printed."""
    for name in (b"\xff", b"\xfe"):
        house.log(os.fsdecode(name))
    runs = house.turn(house.daemon())

    assert len(runs) == 2
    assert all(name.encode("utf-8") for name in runs)


def test_a_path_relative_to_elsewhere_stays_below_the_control_directory(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No `..` of a path on the command line leads out of the control directory."""
    house.log("x/exp")
    house.log("y/exp")
    (house.root / "z").mkdir()
    monkeypatch.chdir(house.root / "z")
    daemon = house.daemon(Path("../x"), Path("../y"), control_dir=tmp_path / "control")
    house.turn(daemon)

    written = {path.parent.parent for path in tmp_path.rglob("control.json")}
    assert len(written) == 2
    assert all(path.is_relative_to(tmp_path / "control") for path in written)


def test_with_a_control_directory_the_logs_stay_untouched(house: House, tmp_path: Path) -> None:
    """Read-only logs get no file beside them."""
    house.log("a")
    daemon = house.daemon(control_dir=tmp_path / "not" / "there")
    house.turn(daemon)

    assert [path.name for path in house.root.rglob("*")] == ["a", "train.jsonl"]
    assert control(tmp_path / "not" / "there" / "a").run == "a"


def test_a_run_that_is_deleted_is_gone(house: House) -> None:
    """It is not shown any more, not brought back by a beat, and watched as a new one if it comes again."""
    directory = house.log("a")
    house.log("b")
    daemon = house.daemon(discover_seconds=2.0, beat_seconds=1.0)
    house.turn(daemon)
    shutil.rmtree(directory)
    house.turn(daemon, 1.0)
    assert not directory.exists()
    assert list(house.turn(daemon, 1.0)) == ["b"]
    assert not directory.exists()
    house.log("a", 3)

    assert house.turn(daemon, 2.0)["a"].records == 3


# Setting aside


def spoil(directory: Path) -> None:
    """Put something in the place of a run's control file that must be left alone."""
    (directory / "lrwatch").mkdir(exist_ok=True)
    (directory / "lrwatch" / "control.json").unlink(missing_ok=True)
    (directory / "lrwatch" / "control.json").symlink_to("/nowhere")


def mend(directory: Path) -> None:
    """Take it away again."""
    (directory / "lrwatch" / "control.json").unlink()


def test_one_runs_trouble_is_its_own(house: House) -> None:
    """A run that cannot be watched is shown with its reason; the others go on, and it comes back when it can."""
    for run in ("a", "b", "c"):
        house.log(run)
    spoil(house.root / "b")
    daemon = house.daemon()
    runs = house.turn(daemon)
    assert runs["b"].set_aside is not None
    assert "symbolic link" in runs["b"].set_aside
    assert [control(house.root / run).seq for run in ("a", "c")] == [1, 1]
    mend(house.root / "b")
    assert house.turn(daemon, 0.9)["b"].set_aside is not None
    assert house.turn(daemon, 0.1)["b"].set_aside is None

    assert control(house.root / "b").seq == 1


def test_a_defect_is_set_aside_as_well(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever exception a run meets, the others are polled, and the run is begun anew from its log."""
    for run in ("a", "b"):
        house.log(run)
    daemon = house.daemon()
    house.turn(daemon)
    poll = RunWatcher.poll
    with monkeypatch.context() as patch:
        patch.setattr(RunWatcher, "poll", lambda self: 1 / 0 if self.name == "a" else poll(self))
        house.diverge("b", 10)
        runs = house.turn(daemon)
    assert runs["a"].set_aside == "ZeroDivisionError: division by zero"
    assert (runs["a"].records, runs["b"].records) == (10, 13)
    house.log("a", 5, first=10)

    assert house.turn(daemon, 1.0)["a"].records == 15
    assert control(house.root / "a").generation == 2


def test_it_is_tried_again_ever_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permanent trouble is looked at after 1, 2, 4 ... and then every 60 seconds."""
    spoil(house.log("a"))
    daemon = house.daemon()
    tried: list[float] = []
    open_run = daemon._open

    def opened(files: Any) -> Any:
        tried.append(house.clock.monotonic())
        return open_run(files)

    monkeypatch.setattr(daemon, "_open", opened)
    for _ in range(1200):
        house.turn(daemon, 0.25)

    waits = [round(after - before) for before, after in itertools.pairwise(tried)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_run_that_fails_soon_after_each_return_is_not_returned_to_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a long log again and again is no cure: only a minute of health makes the waiting short again."""
    house.log("a")
    daemon = house.daemon()
    polls = 0
    poll = RunWatcher.poll

    def failing(self: RunWatcher) -> None:
        nonlocal polls
        polls += 1
        if polls % 3 == 0:
            raise ValueError("again")
        poll(self)

    def waited() -> float:
        began = house.clock.monotonic()
        while house.turn(daemon, 0.25)["a"].set_aside is None:
            pass
        while house.turn(daemon, 0.25)["a"].set_aside is not None:
            pass
        return house.clock.monotonic() - began

    with monkeypatch.context() as patch:
        patch.setattr(RunWatcher, "poll", failing)
        assert [round(waited()) for _ in range(4)] == [2, 2, 4, 8]
    house.turn(daemon, 61.0)
    polls = 0
    monkeypatch.setattr(RunWatcher, "poll", failing)
    assert round(waited()) == 2


def test_who_was_taken_over_stops_writing_for_good(house: House) -> None:
    """Of two daemons the younger one goes on; the older one says why it does not, and leaves the others alone."""
    house.log("a")
    house.log("b")
    older = house.daemon(house.root)
    house.turn(older)
    younger = house.daemon(house.root / "a")
    house.turn(younger)
    runs = house.turn(older, 5.0)
    assert "taken over" in str(runs["a"].set_aside)
    assert runs["b"].set_aside is None
    house.diverge("a", 10)
    for _ in range(100):
        house.turn(older, 10.0)
        house.turn(younger)

    lines = read_journal(house.root / "a" / "lrwatch" / "journal.jsonl")
    assert [event["because"] for event in lines if event["event"] == "decision"] == ["start", "takeover", "divergence"]
    assert sum(event["event"] == "verdict" for event in lines) == 1
    assert control(house.root / "a").generation == 2


# Showing


def test_health_is_that_polls_complete(house: House) -> None:
    """Before the first turn it is well, then as long as no poll takes half a minute, and again once one completes."""
    daemon = house.daemon()
    house.log("a")
    assert daemon.health().ok
    house.turn(daemon)
    house.clock.advance(30.0)
    assert (daemon.health().ok, daemon.health().seconds_since_poll) == (True, 30.0)
    house.clock.advance(0.5)
    assert not daemon.health().ok
    assert daemon.health().reason == "no poll completed for 30 s"
    daemon.turn()
    assert daemon.health().ok


def test_many_runs_that_each_take_their_time_are_healthy(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn may be long as long as every poll in it is not."""
    for number in range(10):
        house.log(f"run{number}")
    daemon = house.daemon()
    seen = []
    poll = RunWatcher.poll

    def slow(self: RunWatcher) -> None:
        house.clock.advance(20.0)
        seen.append(daemon.health().ok)
        poll(self)

    monkeypatch.setattr(RunWatcher, "poll", slow)
    house.turn(daemon)

    assert seen == [True] * 10


def test_snapshots_are_finished_values(house: House) -> None:
    """What another thread holds does not change under its hands, and counts the acknowledgement's faults too."""
    directory = house.log("a")
    daemon = house.daemon()
    before = daemon.snapshots()
    (directory / "lrwatch").mkdir()
    (directory / "lrwatch" / "ack.json").write_bytes(b"{")
    held = house.turn(daemon)["a"]
    shown = dataclasses.asdict(held)
    house.log("a", 5, first=10)
    after = house.turn(daemon)["a"]

    assert before == ()
    assert dataclasses.asdict(held) == shown
    assert (held.records, after.records) == (10, 15)
    assert held.rejected == {"ack_json": 1}
    assert (held.control_writes, held.control_write_failures) == (1, 0)


def test_a_run_that_is_set_aside_keeps_its_numbers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its counters do not fall to zero in every scrape until it is back."""
    house.log("a")
    daemon = house.daemon()
    house.turn(daemon)
    monkeypatch.setattr(RunWatcher, "poll", lambda _: 1 / 0)
    run = house.turn(daemon)["a"]

    assert (run.records, run.seq, run.control_writes) == (10, 1, 1)


# Lifecycle


def test_once_reads_everything_and_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as many turns as the log needs, and what still holds at its end is decided about."""
    for limit in ("_FIRST_READ", "_LEAST_READ", "READ_LIMIT"):
        monkeypatch.setattr(f"lrwatch.daemon.{limit}", 1000)
    house.log("a", 500)
    house.diverge("a", 500)
    daemon = house.daemon()
    daemon.once()

    assert daemon.snapshots()[0].records == 503
    assert control(house.root / "a").request.kind == "restore"


def test_no_poll_takes_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much is read at a time as takes half a second: what is slow to read does not hold up a signal."""
    house.log("a", 30_000)
    daemon = house.daemon()
    polls: list[tuple[int, float]] = []
    poll = RunWatcher.poll

    def timed(self: RunWatcher) -> None:
        before = self.snapshot.records
        poll(self)
        records = self.snapshot.records - before
        house.clock.advance(records / speed)
        polls.append((records, records / speed))

    monkeypatch.setattr(RunWatcher, "poll", timed)
    speed = 6000.0
    while sum(records for records, _ in polls) < 20_000:
        daemon.turn()
    slow = len(polls)
    speed = 1_000_000.0
    while sum(records for records, _ in polls) < 30_000:
        daemon.turn()

    assert max(seconds for _, seconds in polls) < 2.0
    assert max(seconds for _, seconds in polls[1:slow]) < 1.0
    assert polls[-2][0] > polls[slow - 1][0]


def test_once_says_that_there_was_nothing(house: House) -> None:
    """No path, no log and no record are all nothing."""
    with pytest.raises(NotPossible, match="no records found"):
        house.daemon(house.root / "nowhere").once()
    with pytest.raises(NotPossible, match="no records found"):
        house.daemon().once()
    house.log("a", 0)
    with pytest.raises(NotPossible, match="no records found"):
        house.daemon().once()


def test_once_says_what_it_could_not_write(house: House) -> None:
    """A control file that could not be written is no success, whatever was read."""
    directory = house.log("a")
    house.log("b")
    (directory / "lrwatch").write_bytes(b"")

    with pytest.raises(NotPossible, match=r"a: .*Not a directory"):
        house.daemon().once()
    assert control(house.root / "b").seq == 1


def test_stop_ends_after_the_run_that_is_being_polled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal waits for one run's poll and not for all of them; what was noted is on the disk."""
    for run in ("a", "b", "c"):
        house.log(run)
    daemon = house.daemon()
    poll = RunWatcher.poll

    def interrupted(self: RunWatcher) -> None:
        poll(self)
        if self.name == "b":
            daemon.stop()

    monkeypatch.setattr(RunWatcher, "poll", interrupted)
    daemon.run()

    assert control(house.root / "b").seq == 1
    assert not (house.root / "c" / "lrwatch").exists()


def test_once_that_is_stopped_says_so(house: House) -> None:
    """An interrupted reading is not reported as complete."""
    house.log("a")
    daemon = house.daemon()
    daemon.stop()

    with pytest.raises(NotPossible, match="stopped before"):
        daemon.once()


def test_a_daemon_without_runs_is_quiet(house: House) -> None:
    """Metrics and snapshots are there before anything else is."""
    daemon = house.daemon()
    house.turn(daemon)

    assert daemon.metrics.registry.get_sample_value("lrwatch_runs") == 0.0
    assert daemon.snapshots() == ()
