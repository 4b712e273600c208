"""What is found at a path, and what it is taken for."""

import dataclasses
import json
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from lrwatch.config import Config, SignalsConfig
from lrwatch.errors import NotPossible
from lrwatch.inspect import Inspection, SignalReport, inspect, inspect_table
from lrwatch.testing.formats import event_record

FIELDS = [field.name for field in dataclasses.fields(SignalReport)]


def event(tag: str, step: int, value: float = 0.5) -> bytes:
    """Return the record of one scalar, logged at its step."""
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    return event_record(Event(wall_time=step, step=step, summary=summary).SerializeToString())


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two runs: one of lines, with all that can be counted, and one of event files."""
    one, other = tmp_path / "a", tmp_path / "b" / "validation"
    one.mkdir()
    other.mkdir(parents=True)
    steps = [1, 2, 3, 2, 3, 4]
    lines = [json.dumps({"step": step, "train/loss": float("nan") if step == 4 else 0.1, "lr": 0.1}) for step in steps]
    (one / "log.jsonl").write_text("\n".join([*lines, "noise", '{"step": 5, "accuracy": 0.9, "best": 1}']))
    (other / "events.tfevents").write_bytes(event("loss", 1) + event("loss", 2) + event("lrwatch/scale", 2))
    return tmp_path


def test_a_report_for_each_signal(logs: Path) -> None:
    """With the fields of the contract, ignored signals included, run by run and ordered by name."""
    reports = [report.to_json() for report in inspect(logs, Config())]

    assert [list(report) for report in reports] == [FIELDS] * 5
    assert [(report["run"], report["signal"]) for report in reports] == [
        ("a", "accuracy"),
        ("a", "best"),
        ("a", "lr"),
        ("a", "train/loss"),
        ("b", "validation/loss"),
    ]
    assert reports[3] == {  # the names are the contract's
        "run": "a",
        "path": str(logs / "a" / "log.jsonl"),
        "format": "jsonl",
        "signal": "train/loss",
        "role": "train",
        "goal": "minimize",
        "step_unit": "step",
        "records": 6,
        "first_step": 1,
        "last_step": 4,
        "nonfinite": 1,
        "restarts": 1,
        "rejected": 1,
    }
    assert [(report["role"], report["goal"]) for report in reports[:3]] == [
        ("train", "maximize"),
        ("ignore", "minimize"),
        ("lr", "minimize"),
    ]
    assert (reports[4]["role"], reports[4]["format"], reports[4]["rejected"]) == ("eval", "tfevents", 0)


def test_the_configuration_wins(logs: Path) -> None:
    """What a user has corrected is shown as corrected."""
    config = Config(signals=SignalsConfig(grad_norm=("best",)))

    assert {report.role for report in inspect(logs, config) if report.signal == "best"} == {"grad_norm"}


def test_one_file(logs: Path) -> None:
    """Given a file, only that file is read."""
    (report,) = inspect(logs / "b" / "validation" / "events.tfevents", Config())

    assert (report.run, report.signal, report.records) == ("validation", "loss", 2)


def test_a_start_that_the_log_tells_of(tmp_path: Path) -> None:
    """A training started again is a restart of each of its signals, also where its steps go on."""
    start = event_record(
        Event(wall_time=3, step=3, session_log=SessionLog(status=SessionLog.START)).SerializeToString()
    )
    (tmp_path / "events.tfevents").write_bytes(event("loss", 1) + event("loss", 2) + start + event("loss", 3))

    (report,) = inspect(tmp_path, Config())

    assert report.restarts == 1


def test_a_file_that_is_not_understood(logs: Path) -> None:
    """It is told of, and the others are reported."""
    (logs / "a" / "b.jsonl").write_bytes(bytes(1 << 16))
    inspection = Inspection(logs, Config())

    assert len(list(inspection.reports())) == 5
    assert list(inspection.problems) == [str(logs / "a" / "b.jsonl")]


def test_nothing_to_report(tmp_path: Path) -> None:
    """No path, no logs, no records, nothing readable: each is said in words."""
    with pytest.raises(NotPossible, match="no such file"):
        list(inspect(tmp_path / "none", Config()))
    with pytest.raises(NotPossible, match="no logs found"):
        list(inspect(tmp_path, Config()))
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(NotPossible, match="no records"):
        list(inspect(tmp_path, Config()))
    (tmp_path / "a.jsonl").write_bytes(bytes(1 << 16))
    with pytest.raises(NotPossible, match=r"nothing readable: .*a\.jsonl"):
        list(inspect(tmp_path, Config()))


def test_the_table(logs: Path) -> None:
    """A row for each signal; nothing in a name can move the cursor."""
    (logs / "a" / "log.jsonl").write_text('{"epoch": 3, "\\u001b[2Jloss": 1}\n')
    console = Console(width=200, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(inspect_table(inspect(logs, Config())))

    shown = capture.get()
    assert "\\x1b[2Jloss" in shown
    assert "validation/loss" in shown
    assert "\x1b[2J" not in shown
