"""Status: what the files of a run say, without any daemon, whatever lies in them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.events import Event
from lrwatch.control.journal import Journal
from lrwatch.protocol import Acknowledgement, Control, Plan, Segment, document, hold, ramp
from lrwatch.status import RunStatus, status_of, statuses

RAISED: Event = {
    "event": "verdict",
    "state": "raised",
    "run": "exp",
    "signal": "loss",
    "kind": "plateau",
    "step": 900,
    "since": 500,
    "severity": "info",
    "text": "loss is flat",
    "evidence": {},
}
CLEARED: Event = {**RAISED, "state": "cleared", "step": 1000}
DECISION: Event = {"event": "decision", "seq": 2, "because": "plateau", "refused_by": None, "text": "halve it"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the `lrwatch` directory of a run."""
    home = tmp_path / "exp" / "lrwatch"
    home.mkdir(parents=True)
    return home


def publish(home: Path, plan: Plan, **fields: Any) -> None:
    """Put a control file down."""
    control = Control("exp", "w", 1, 2, plan, **fields)
    (home / "control.json").write_bytes(control.encode())


def test_tells_verdicts_control_state_and_acknowledgement(home: Path) -> None:
    """One object per run has what holds, what is desired, and what the training said."""
    publish(home, ramp(2, 0.5, 100), training_id="t1")
    ack = Acknowledgement("t1", 1, 2, 2, status="applied", step=950, start_step=910, from_scale=1.0, scale=0.8)
    (home / "ack.json").write_bytes(ack.encode())
    Journal(home).append([RAISED, DECISION])

    shown = status_of(home).to_json()

    assert (shown["run"], shown["directory"], shown["problems"]) == ("exp", str(home.parent), [])
    assert [verdict["kind"] for verdict in shown["verdicts"]] == ["plateau"]
    assert (shown["control"]["seq"], shown["control"]["scale"], shown["control"]["mode"]) == (2, 0.5, "auto")
    assert (shown["ack"]["status"], shown["ack"]["scale"], shown["ack"]["step"]) == ("applied", 0.8, 950)
    assert shown["last_decision"] == DECISION
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_what_is_cleared_does_not_hold(home: Path) -> None:
    """Only verdicts that were raised and not cleared since are shown."""
    Journal(home).append([RAISED, CLEARED])

    assert status_of(home).verdicts == ()


def test_only_the_newest_training_is_shown(home: Path) -> None:
    """What was said of the training before it says nothing of this one."""
    Journal(home).append([RAISED, DECISION, {"event": "training", "training_id": "t2"}])

    shown = status_of(home)
    assert (shown.verdicts, shown.last_decision) == ((), None)


def test_a_hold_is_where_the_training_stands(home: Path) -> None:
    """The desired scale of a plan that holds is the one at which the training began it, without a schedule's factor."""
    publish(home, hold(2), base=Plan(1, (Segment("constant", 0.5, None, 1),), start_step=0))
    assert scale(status_of(home)) == 1.0
    ack = Acknowledgement("t1", 1, 2, 2, status="applied", step=5, start_step=0, from_scale=0.8, scale=0.4)
    (home / "ack.json").write_bytes(ack.encode())

    assert scale(status_of(home)) == 0.8


def scale(status: RunStatus) -> Any:
    """Return the desired scale as it is shown."""
    return status.to_json()["control"]["scale"]


def test_finds_every_watched_run_below(tmp_path: Path) -> None:
    """One file of the three is enough, and other directories of that name are passed over."""
    for run, name in (("b", "control.json"), ("a/c", "journal.jsonl"), ("a", "ack.json")):
        directory = tmp_path / run / "lrwatch"
        directory.mkdir(parents=True)
        (directory / name).write_bytes(b"")
    (tmp_path / "src" / "lrwatch").mkdir(parents=True)

    found = [status.directory.relative_to(tmp_path).as_posix() for status in statuses(tmp_path)]

    assert found == ["a", "a/c", "b"]


def test_a_run_without_a_control_file_goes_by_its_directory(home: Path) -> None:
    """The name that the watcher gave it is in the control file only."""
    (home / "journal.jsonl").touch()

    assert status_of(home).run == "exp"


def distrust(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file belong to somebody who is not trusted."""
    inode, stat, seen = path.stat().st_ino, os.fstat, []

    def recorded(descriptor: int) -> os.stat_result:
        seen.append(stat(descriptor).st_ino)
        return stat(descriptor)

    monkeypatch.setattr(os, "fstat", recorded)
    monkeypatch.setattr(
        document, "trusted_uids", lambda: frozenset() if seen[-1] == inode else frozenset({os.getuid()})
    )


@pytest.mark.parametrize("name", ["control.json", "ack.json", "journal.jsonl"])
@pytest.mark.parametrize("kind", ["torn", "link", "pipe", "directory", "stranger"])
def test_what_cannot_be_read_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    """It is named with its reason, and the rest of the run is shown; nothing is waited for."""
    publish(home, hold(2))
    (home / "ack.json").write_bytes(Acknowledgement("t1").encode())
    Journal(home).append([RAISED])
    path = home / name
    if kind == "stranger":
        distrust(monkeypatch, path)
    else:
        data = path.read_bytes()
        path.unlink()
        if kind == "torn":
            path.write_bytes(data[:-10])
        elif kind == "link":
            path.symlink_to("/etc/hostname")
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()

    shown = status_of(home)

    if (name, kind) == ("journal.jsonl", "torn"):
        assert shown.problems == ()
    else:
        (problem,) = shown.problems
        assert str(path) in problem
    assert (shown.control is None) == (name == "control.json")
    assert (shown.ack is None) == (name == "ack.json")
    assert (shown.verdicts == ()) == (name == "journal.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        {"event": "verdict", "state": "raised", "signal": ["x"], "kind": {"y": 1}, "severity": []},
        {"event": "verdict"},
        {"event": "decision", "text": 7},
        {"event": "training"},
    ],
)
def test_strange_events_harm_nobody(home: Path, line: Event) -> None:
    """A journal of another version, or one that somebody edited, is shown as far as it goes."""
    Journal(home).append([line])

    json.dumps(status_of(home).to_json(), allow_nan=False)
