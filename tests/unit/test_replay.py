"""Replay: what would have been said about a finished log, and when; nothing is written."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrwatch.config import Config, parse_config
from lrwatch.control.events import Event
from lrwatch.errors import NotPossible
from lrwatch.replay import Replay
from lrwatch.source import NOT_UNDERSTOOD
from lrwatch.testing.clock import FakeClock
from lrwatch.testing.training import ScriptedTrainer, Sinking

Lines = Sequence[Mapping[str, Any]]


def write(path: Path, lines: Lines) -> Path:
    """Write a log of JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def replay(path: Path, config: Mapping[str, Any] | None = None) -> list[Event]:
    """Return the events of a replay."""
    return list(Replay(path, parse_config(config or {})).events())


def story() -> Lines:
    """Return a training that flattens out, goes back, diverges and recovers."""
    curve = Sinking()
    lines: list[Mapping[str, Any]] = [{"step": step, **curve(step, 1.0)} for step in range(1400)]
    lines += [{"step": step, **curve(step, 0.5)} for step in range(1300, 1400)]
    lines += [{"step": step, "train/loss": math.nan} for step in range(1400, 1403)]
    return [*lines, *({"step": step, **curve(step, 0.5)} for step in range(1403, 1500))]


STORY = story()


def test_the_last_line_sums_up(tmp_path: Path) -> None:
    """Runs, records of whatever role, what was rejected, and how long it took."""
    path = write(tmp_path / "a" / "train.jsonl", [{"step": step, "loss": 1.0, "lr": 0.1} for step in range(10)])
    with path.open("a") as file:
        file.write("junk\n")
    write(tmp_path / "b" / "train.jsonl", [{"step": 1, "loss": math.inf}])

    *events, summary = replay(tmp_path)

    assert events == []
    assert list(summary) == ["event", "runs", "records", "rejected", "seconds"]
    assert [summary[key] for key in ("event", "runs", "records", "rejected")] == ["summary", 2, 21, 1]
    assert summary["seconds"] >= 0.0


def test_tells_verdicts_and_what_would_have_been_decided(tmp_path: Path) -> None:
    """A decision of a replay is advice: its seq counts what a watcher would have published."""
    write(tmp_path / "exp" / "train.jsonl", STORY)

    events = replay(tmp_path)

    told = [(event["event"], event.get("kind", event.get("because", event.get("reason")))) for event in events]
    assert told[:2] == [("verdict", "plateau"), ("decision", "plateau")]
    assert ("gap", "restart") in told
    assert ("verdict", "divergence") in told
    assert [event["seq"] for event in events if event["event"] == "decision"] == [1, 2]
    assert all(event["run"] == "exp" for event in events[:-1])


def test_an_advised_cut_is_not_believed_to_have_happened(tmp_path: Path) -> None:
    """The log shows what the training did by itself: each piece of advice starts from the untouched scale."""
    write(tmp_path / "train.jsonl", STORY)

    decisions = [event for event in replay(tmp_path) if event["event"] == "decision"]

    assert {event["plan"]["segments"][-1]["to"] for event in decisions} == {0.5}


def test_no_decision_waits_for_a_client_or_a_clock(tmp_path: Path) -> None:
    """A finished log has no client: nothing is refused for the want of one, and nothing has stalled."""
    write(tmp_path / "train.jsonl", STORY)

    events = replay(tmp_path)

    assert {event["refused_by"] for event in events if event["event"] == "decision"} == {None}
    assert {event["kind"] for event in events if event["event"] == "verdict"} == {"plateau", "divergence"}


def test_twice_the_same(tmp_path: Path) -> None:
    """A replay depends on nothing but the log and the configuration."""
    write(tmp_path / "train.jsonl", STORY)

    assert replay(tmp_path)[:-1] == replay(tmp_path)[:-1]


@given(length=st.integers(1, len(STORY)))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_said_at_a_step_does_not_depend_on_what_comes_later(tmp_path: Path, length: int) -> None:
    """The events of the beginning of a log are the beginning of the events of the log."""
    write(tmp_path / "whole" / "run" / "train.jsonl", STORY)
    write(tmp_path / "cut" / "run" / "train.jsonl", STORY[:length])

    begun = replay(tmp_path / "cut")[:-1]

    assert replay(tmp_path / "whole")[: len(begun)] == begun


def test_writes_nothing(tmp_path: Path) -> None:
    """The directory is afterwards what it was, and a read-only one would do."""
    write(tmp_path / "exp" / "train.jsonl", STORY[:100])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    replay(tmp_path)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_given_a_file_it_reads_only_that(tmp_path: Path) -> None:
    """Its neighbours belong to the run when the directory is asked for."""
    path = write(tmp_path / "exp" / "train.jsonl", STORY[:10])
    write(tmp_path / "exp" / "more.jsonl", STORY[10:30])

    assert replay(path)[-1]["records"] == 20
    assert replay(path.parent)[-1]["records"] == 60


def test_reads_event_files(tmp_path: Path) -> None:
    """What TensorBoard's own writer wrote is read, scalars of every tag."""
    trainer = ScriptedTrainer(tmp_path / "exp", clock=FakeClock())
    trainer.train(50)
    trainer.close()

    assert replay(tmp_path)[-1]["records"] == 100


def test_the_runs_as_they_ended(tmp_path: Path) -> None:
    """Snapshots are in the order of the runs' names."""
    for run in ("b", "a/c", "a"):
        write(tmp_path / run / "train.jsonl", STORY[:10])
    replayed = Replay(tmp_path, Config())
    list(replayed.events())

    assert [(run.run, run.step) for run in replayed.snapshots] == [("a", 9), ("a/c", 9), ("b", 9)]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("absent", None, "no such file or directory"),
        ("empty", {}, "no logs found; looked for TensorBoard event files"),
        ("other", {"notes.pdf": b"hello\n"}, "no logs found"),
        ("void", {"train.jsonl": b""}, "the logs hold no records"),
        ("junk", {"train.jsonl": b"\n\nhello\n[1]\n"}, "the logs hold no records"),
        ("binary", {"train.jsonl": bytes(range(256)) * 400}, NOT_UNDERSTOOD),
        ("torn", {"events.out.tfevents.1.x": b"\x18\0\0\0\0\0\0\0\xa3"}, "nothing readable|no records"),
    ],
)
def test_nothing_readable_is_said_with_the_reason(
    tmp_path: Path, name: str, content: Mapping[str, bytes] | None, complaint: str
) -> None:
    """Whoever points at the wrong place is told what was there, and what was looked for."""
    path = tmp_path / name
    if content is not None:
        path.mkdir()
        for file, data in content.items():
            (path / file).write_bytes(data)

    with pytest.raises(NotPossible, match=complaint) as raised:
        replay(path)
    assert str(path) in str(raised.value)


def test_a_file_that_cannot_be_read_is_named_beside_those_that_can(tmp_path: Path) -> None:
    """The rest of the run is judged, and the problem is told."""
    write(tmp_path / "train.jsonl", STORY[:10])
    (tmp_path / "other.jsonl").write_bytes(bytes(range(256)) * 400)
    replayed = Replay(tmp_path, Config())

    assert list(replayed.events())[-1]["records"] == 20
    assert replayed.problems == {str(tmp_path / "other.jsonl"): NOT_UNDERSTOOD}
