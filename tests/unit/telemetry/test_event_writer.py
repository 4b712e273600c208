"""What lrwatch says, as TensorBoard reads it."""

import errno
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing import event_accumulator

from lrwatch.control.events import verdict_event
from lrwatch.model import Verdict
from lrwatch.protocol.plan import hold, ramp
from lrwatch.source import RunSource
from lrwatch.tail.discover import LogFile, RunFiles, discover
from lrwatch.telemetry import event_writer
from lrwatch.telemetry.event_writer import MOST_OPEN, EventWriter
from lrwatch.testing.clock import FakeClock
from lrwatch.testing.process import eventually

DECISION = {"event": "decision", "run": "exp", "seq": 1, "step": 0, "plan": hold().to_json(), "text": None}


def verdict(signal: str, kind: Any, state: Any, step: int) -> dict[str, Any]:
    """Return the event of a verdict."""
    return verdict_event("exp", Verdict(state, signal, kind, step, 0, "warning", f"{signal} is flat"))


def written(directory: Path) -> event_accumulator.EventAccumulator:
    """Return a run as TensorBoard reads it."""
    return event_accumulator.EventAccumulator(str(directory), {"scalars": 0, "tensors": 0}).Reload()


def scalars(directory: Path, tag: str) -> list[tuple[int, float]]:
    """Return step and value of each scalar of a tag."""
    return [(event.step, event.value) for event in written(directory).Scalars(tag)]


def story(directory: Path) -> list[str]:
    """Return the texts of a run."""
    read: Any = written(directory)
    return [event.tensor_proto.string_val[0].decode() for event in read.Tensors("lrwatch/story")]


def tell(directory: Path, *events: dict[str, Any]) -> EventWriter:
    """Write events, and return the writer when all is on the disk."""
    with EventWriter(directory, FakeClock()) as writer:
        for event in events:
            writer.tell(event)
    return writer


def test_verdicts(tmp_path: Path) -> None:
    """A kind is 1 while it holds for any signal."""
    tell(
        tmp_path,
        verdict("train/loss", "plateau", "raised", 10),
        verdict("val/loss", "plateau", "raised", 12),
        verdict("train/loss", "plateau", "cleared", 15),
        verdict("val/loss", "plateau", "cleared", 20),
    )

    directory = tmp_path / "exp" / "lrwatch"
    assert scalars(directory, "lrwatch/verdict/plateau") == [(10, 1.0), (12, 1.0), (15, 1.0), (20, 0.0)]
    assert story(directory)[0] == "warning: plateau raised: train/loss is flat"


def test_scales_and_outcomes(tmp_path: Path) -> None:
    """Desired and applied scale at the steps of the log, and what became of it; refusals are told in words."""
    tell(
        tmp_path,
        DECISION,
        {**DECISION, "seq": 2, "step": 100, "plan": ramp(2, 0.5, 20).to_json(), "text": "cut to 0.5"},
        {**DECISION, "seq": None, "step": 110, "plan": ramp(3, 0.1, 20).to_json(), "refused_by": "cooldown"},
        {"event": "acknowledged", "run": "exp", "seq": 2, "step": 101, "status": "applied", "scale": 0.75},
        {
            "event": "acknowledged",
            "run": "exp",
            "step": 102,
            "status": "refused",
            "refused_because": "no",
            "scale": 0.5,
        },
        {"event": "outcome", "run": "exp", "seq": 2, "step": 300, "verdict": "hurt", "text": "higher than before"},
        {"event": "gap", "run": "exp", "reason": "truncated", "step": None},
        {"event": "summary", "runs": 1},
    )

    directory = tmp_path / "exp" / "lrwatch"
    assert scalars(directory, "lrwatch/scale") == [(0, 1.0), (100, 0.5)]
    assert scalars(directory, "lrwatch/applied_scale") == [(101, 0.75), (102, 0.5)]
    assert scalars(directory, "lrwatch/outcome") == [(300, -1.0)]
    assert story(directory) == [
        "decision 1: None because of None",
        "decision 2: cut to 0.5",
        "refused by cooldown: None because of None",
        "the training refused: no",
        "outcome of decision 2: hurt: higher than before",
        "gap in the log: truncated",
    ]


def test_it_is_never_read_as_a_training(tmp_path: Path) -> None:
    """The watcher finds no run there, and no signal even if it is led there."""
    tell(tmp_path, DECISION, verdict("train/loss", "plateau", "raised", 10))
    (path,) = (tmp_path / "exp" / "lrwatch").iterdir()

    assert discover(tmp_path) == []
    assert list(RunSource(RunFiles("exp", path.parent, (LogFile(path, ""),)), whole=True).read()) == []


def test_it_is_on_the_disk_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an end, and without another event."""
    monkeypatch.setattr(event_writer, "FLUSH_SECONDS", 0.01)
    with EventWriter(tmp_path, FakeClock()) as writer:
        writer.tell(DECISION)
        eventually(lambda: [path for path in tmp_path.rglob("*tfevents*") if path.stat().st_size > 100])


@pytest.mark.parametrize("run", ["../../up", "/absolute", "a/./b", "", "a\0b", "größe"])
def test_names_lead_nowhere_else(tmp_path: Path, run: str) -> None:
    """Whatever a run is called, its file lies below the directory."""
    home = tmp_path / "home" / "tensorboard"
    writer = tell(home, {**DECISION, "run": run})

    (path,) = tmp_path.rglob("*tfevents*")
    assert path.is_relative_to(home)
    assert (writer.errors, path.parent.name) == (0, "lrwatch")


def test_many_runs(tmp_path: Path) -> None:
    """No more files are open than the limit, and nothing is lost."""
    runs = [f"run{number}" for number in range(MOST_OPEN + 5)]
    writer = tell(tmp_path, *({**DECISION, "run": run} for run in runs), {**DECISION, "run": "run0", "step": 5})

    assert writer.errors == 0
    assert len(list(tmp_path.iterdir())) == len(runs)
    assert scalars(tmp_path / "run0" / "lrwatch", "lrwatch/scale") == [(0, 1.0), (5, 1.0)]


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """Nothing is raised, and it goes on when it can."""
    (tmp_path / "exp").touch()
    with EventWriter(tmp_path, FakeClock()) as writer:
        writer.tell(DECISION)
        eventually(lambda: writer.errors)
        assert writer.problem is not None
        assert "exp" in writer.problem
        (tmp_path / "exp").unlink()
        writer.tell(DECISION)
    writer.tell(DECISION)

    assert writer.errors == 1
    assert scalars(tmp_path / "exp" / "lrwatch", "lrwatch/scale") == [(0, 1.0)]


def test_a_disk_that_fails_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that fails is counted, and another file is begun."""
    monkeypatch.setattr(event_writer, "FLUSH_SECONDS", 0.01)

    def fail(_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with EventWriter(tmp_path, FakeClock()) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(event_writer._Run, "flush", fail)
            writer.tell(DECISION)
            eventually(lambda: writer.errors)
        writer.tell({**DECISION, "step": 7})

    assert writer.errors == 1
    assert len(list((tmp_path / "exp" / "lrwatch").iterdir())) == 2


def test_more_than_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher never waits: what is too much is counted; a replay waits, and loses nothing."""
    monkeypatch.setattr(event_writer, "_MOST_WAITING", 8)
    events = [{**DECISION, "step": step} for step in range(400)]
    with (
        EventWriter(tmp_path / "a", FakeClock()) as hasty,
        EventWriter(tmp_path / "b", FakeClock(), patient=True) as patient,
    ):
        for event in events:
            hasty.tell(event)
            patient.tell(event)

    assert len(scalars(tmp_path / "a" / "exp" / "lrwatch", "lrwatch/scale")) == 400 - hasty.errors
    assert len(scalars(tmp_path / "b" / "exp" / "lrwatch", "lrwatch/scale")) == 400
    assert patient.errors == 0


@pytest.mark.parametrize(
    "event", [{}, {"event": "decision", "seq": 1, "plan": {"x": 1}}, {"event": "verdict", "step": "x"}]
)
def test_strange_events(tmp_path: Path, event: dict[str, Any]) -> None:
    """A journal of another version breaks nothing."""
    assert tell(tmp_path, event).errors == 0
