"""One run from its log to the training's learning rate and back, in one process, on a clock that stands still."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrwatch.config import Config, Mode, parse_config
from lrwatch.control.desk import FileDesk
from lrwatch.control.events import Event
from lrwatch.control.journal import Journal, read_journal
from lrwatch.protocol import Acknowledgement, Control, decode_acknowledgement, decode_control, document
from lrwatch.replay import Replay
from lrwatch.source import RunSource
from lrwatch.tail.discover import discover
from lrwatch.testing.clock import FakeClock
from lrwatch.testing.training import Form, ScriptedTrainer, Sinking
from lrwatch.watcher import RunWatcher

QUICK: Mapping[str, Any] = {"detect": {"plateau": {"gain": 0.1}}}
"""Sees a plateau after some hundred steps of `Sinking`, which is what takes time here."""


class Stage:
    """A run's directory with a training and a watcher that can be replaced at any time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.trainers: list[ScriptedTrainer] = []
        self.watcher: RunWatcher | None = None
        self.watchers = 0

    def trainer(self, curve: Callable[[int, float], Mapping[str, float]] | None = None, **options: Any) -> Any:
        """Begin a training in the directory."""
        trainer = ScriptedTrainer(self.directory, curve, clock=self.clock, **options)
        self.trainers.append(trainer)
        return trainer

    def watch(self, config: Mapping[str, Any] = QUICK, *, mode: Mode = "auto", limit: int | None = None) -> RunWatcher:
        """Begin to watch; an earlier watcher of the stage ends without a word."""
        self.stop()
        self.watchers += 1
        self.source = RunSource(discover(self.directory)[0])
        self.desk = FileDesk(self.home, self.clock, 5.0)
        self.watcher = RunWatcher(
            "exp",
            str(self.directory),
            self.source,
            self.desk,
            parse_config(config),
            self.clock,
            writer=f"watcher-{self.watchers}",
            mode=mode,
            live=True,
            catch_up=True,
            limit=limit,
        )
        return self.watcher

    def caught_up(self, config: Mapping[str, Any] = QUICK, *, mode: Mode = "auto") -> RunWatcher:
        """Begin to watch, and read what is there."""
        watcher = self.watch(config, mode=mode)
        while not watcher.armed:
            watcher.poll()
        return watcher

    def stop(self) -> None:
        """End the watcher."""
        if self.watcher is not None:
            self.watcher.close()
            self.watcher = None

    def go_on(self, steps: int = 20) -> None:
        """Let the newest training make some steps, in one second, and the watcher look."""
        if self.trainers:
            self.trainers[-1].train(steps)
        self.clock.advance(1.0)
        assert self.watcher is not None
        self.source.update(discover(self.directory)[0])
        self.watcher.poll()

    def until(self, event: str, *, at_most: int = 8000, **fields: Any) -> Event:
        """Go on until the journal holds such an event; return the first."""
        for _ in range(0, at_most, 20):
            found = self.events(event, **fields)
            if found:
                return found[0]
            self.go_on()
        raise AssertionError(f"no {event} {fields} within {at_most} steps, but {self.story}")

    def events(self, event: str, **fields: Any) -> list[Event]:
        """Return such events of the journal."""
        fields["event"] = event
        return [found for found in self.journal if all(found.get(key) == value for key, value in fields.items())]

    @property
    def home(self) -> Path:
        """Where the watcher writes."""
        return self.directory / "lrwatch"

    @property
    def journal(self) -> list[Event]:
        """The journal, after a check of what must hold for every journal."""
        events = read_journal(self.home / "journal.jsonl")
        seqs = [event["seq"] for event in events if event["event"] == "decision" and event["seq"] is not None]
        assert seqs == sorted(set(seqs))
        return events

    @property
    def story(self) -> list[tuple[Any, ...]]:
        """The journal in short."""
        keys = ("event", "state", "kind", "because", "refused_by", "seq", "step", "status")
        return [tuple(event[key] for key in keys if event.get(key) is not None) for event in self.journal]

    @property
    def decisions(self) -> list[Event]:
        """The decisions about verdicts that were granted."""
        return [event for event in self.events("decision") if event["seq"] is not None and "verdict_step" in event]

    @property
    def control(self) -> Control:
        """What a client reads."""
        return decode_control((self.home / "control.json").read_bytes())

    @property
    def ack(self) -> Acknowledgement:
        """What the client says."""
        return decode_acknowledgement((self.home / "ack.json").read_bytes())

    def write(self, lines: Sequence[Mapping[str, Any]], name: str = "train.jsonl") -> None:
        """Append lines to a log that nobody trains for."""
        self.directory.mkdir(exist_ok=True)
        with (self.directory / name).open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def close(self) -> None:
        """End everything."""
        self.stop()
        for trainer in self.trainers:
            trainer.crash()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return an empty stage."""
    stage = Stage(tmp_path / "exp")
    yield stage
    stage.close()


def steady(first: int, last: int, value: float = 1.0) -> list[Mapping[str, Any]]:
    """Return lines of a loss that is what it is."""
    return [{"step": step, "loss": value + 0.01 * math.sin(step * step)} for step in range(first, last)]


def nonfinite(first: int) -> list[Mapping[str, Any]]:
    """Return the three lines that make a divergence."""
    return [{"step": step, "loss": math.nan} for step in range(first, first + 3)]


# The whole road


@pytest.mark.parametrize("form", ["tfevents", "jsonl"])
def test_a_plateau_becomes_a_lower_learning_rate_and_an_outcome(stage: Stage, form: Form) -> None:
    """Log, verdict, decision, control file, client, acknowledgement, outcome: the whole road, with real parts."""
    trainer = stage.trainer(form=form)
    trainer.train(1)
    stage.caught_up()
    outcome = stage.until("outcome")

    verdict = stage.events("verdict", kind="plateau", state="raised")[0]
    decision = stage.decisions[0]
    begun = stage.events("acknowledged", plan_id=decision["seq"], status="applied")[0]
    assert (decision["because"], decision["signal"], decision["verdict_step"]) == (
        "plateau",
        "train/loss",
        verdict["step"],
    )
    assert decision["plan"]["segments"][-1]["to"] == 0.5
    assert verdict["step"] <= decision["step"] < begun["start_step"] <= begun["client_step"] < outcome["step"]
    assert outcome["seq"] == decision["seq"]
    assert outcome["verdict"] == "helped"
    start, steps = begun["start_step"], decision["plan"]["segments"][-1]["steps"]
    assert set(trainer.scales[:start]) == {1.0}
    assert set(trainer.scales[start + steps :]) == {0.5}
    assert trainer.scales == sorted(trainer.scales, reverse=True)


def test_the_journal_tells_the_story_in_order(stage: Stage) -> None:
    """Every event comes after what caused it."""
    stage.trainer().train(1)
    stage.caught_up()
    stage.until("outcome")

    order = [(event["event"], event.get("because")) for event in stage.journal]
    wanted = [
        ("decision", "start"),
        ("decision", "training"),
        ("verdict", None),
        ("decision", "plateau"),
        ("acknowledged", None),
        ("outcome", None),
    ]
    places = [order.index(step) for step in wanted if step != ("acknowledged", None)]
    assert places == sorted(places)
    assert all(event["run"] == "exp" for event in stage.journal)


def test_the_snapshot_shows_the_run_as_it_stands(stage: Stage) -> None:
    """What /metrics exports is what the journal and both files say."""
    stage.trainer().train(1)
    watcher = stage.caught_up()
    stage.until("outcome")
    stage.go_on()

    shown = watcher.snapshot
    assert (shown.run, shown.directory) == ("exp", str(stage.directory))
    assert (shown.step, shown.records) == (stage.trainers[0].step - 1, 2 * stage.trainers[0].step)
    assert shown.signals["lr"] == pytest.approx(0.1)
    assert shown.signals["train"] < 1.0
    assert (shown.seq, shown.scale) == (stage.control.seq, 0.5)
    assert (shown.ack_seq, shown.applied_scale) == (stage.ack.seq, 0.5)
    assert shown.verdicts["plateau"] >= 1
    assert shown.decisions == {"scale": len(stage.decisions)}
    assert shown.outcomes == {"helped": 1}
    assert shown.last_record_at == stage.clock.wall()
    assert not shown.finished


def test_only_the_main_training_loss_decides(stage: Stage) -> None:
    """Verdicts of other signals are told, and change nothing, unless the configuration names another signal."""
    stage.write([{**line, "val/loss": math.nan} for line in steady(0, 50)])
    stage.caught_up()
    assert [event["signal"] for event in stage.events("verdict")] == ["val/loss"]
    assert stage.decisions == []
    stage.caught_up({"signals": {"decide_on": "val/loss"}})

    assert [event["signal"] for event in stage.decisions] == ["val/loss"]


def test_what_is_no_record_is_counted(stage: Stage) -> None:
    """Rejected lines are counted by reason, and the records around them are read."""
    stage.write(steady(0, 10))
    with (stage.directory / "train.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n[1]\n" + b'{"step": -1, "loss": 1}\n')
    stage.write(steady(10, 20))
    watcher = stage.caught_up()

    assert watcher.snapshot.records == 20
    assert watcher.snapshot.rejected == {"json": 2, "step": 1}


# Catching up


def test_nothing_is_published_before_the_log_is_read(stage: Stage) -> None:
    """Old verdicts must not be acted on as if they were new: until the end of the log the watcher writes nothing."""
    stage.write(steady(0, 400) + nonfinite(400) + steady(403, 450))
    watcher = stage.watch(limit=1000)
    polls = 0
    while not watcher.armed:
        assert not stage.home.exists()
        watcher.poll()
        polls += 1

    assert polls > 10
    assert [event["event"] for event in stage.journal] == ["verdict", "verdict", "decision"]
    assert stage.control.plan.id == 1
    assert stage.decisions == []


def test_verdicts_found_while_catching_up_are_journaled_once(stage: Stage) -> None:
    """A restart finds them in the log again and in the journal already."""
    stage.write(steady(0, 50) + nonfinite(50) + steady(53, 100) + nonfinite(100) + steady(103, 150))
    for _ in range(3):
        stage.caught_up()

    assert [(event["state"], event["step"]) for event in stage.events("verdict")] == [
        ("raised", 52),
        ("cleared", 53),
        ("raised", 102),
        ("cleared", 103),
    ]


def test_verdicts_met_while_nobody_watched_are_journaled(stage: Stage) -> None:
    """What happened between two watchers is in the log, and comes into the journal with the second."""
    stage.write(steady(0, 50))
    stage.caught_up()
    stage.stop()
    stage.write(nonfinite(50) + steady(53, 100))
    stage.caught_up()

    assert [event["state"] for event in stage.events("verdict")] == ["raised", "cleared"]


def test_a_verdict_met_twice_at_one_step_is_two(stage: Stage) -> None:
    """A training that goes back and diverges at the same step again has two episodes, each journaled once."""
    once = [*steady(0, 50), *nonfinite(50)]
    stage.write(once + once)
    stage.caught_up()
    raised = [event["step"] for event in stage.events("verdict", state="raised")]
    stage.caught_up()

    assert raised == [52, 52]
    assert [event["step"] for event in stage.events("verdict", state="raised")] == raised


def test_what_still_holds_is_acted_on_after_arming(stage: Stage) -> None:
    """A condition at the end of the log is no old story: it is acted on, once, however often the watcher restarts."""
    stage.write(steady(0, 50) + nonfinite(50))
    for _ in range(3):
        stage.caught_up()
        stage.go_on()

    assert [(event["action"], event["because"]) for event in stage.decisions] == [("restore", "divergence")]
    assert stage.control.request.kind == "restore"
    assert stage.control.request.id == stage.decisions[0]["seq"]


@pytest.mark.parametrize("logged", ["before", "after"])
def test_an_episode_that_is_met_some_records_away_is_the_same(stage: Stage, logged: str) -> None:
    """With the scale known better the second time, a verdict may be settled elsewhere: it is not answered twice."""
    stage.write(steady(0, 50) + nonfinite(50))
    stage.caught_up()
    begun = Acknowledgement("t1", plan_id=stage.decisions[0]["seq"], start_step=53, step=53, status="applied")
    (stage.home / "ack.json").write_bytes(begun.encode())
    stage.go_on()
    stage.stop()
    journal = stage.home / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"step": 52', '"step": 51').replace('_step": 52', '_step": 51'))
    if logged == "after":
        (stage.directory / "train.jsonl").unlink()
        stage.write(steady(0, 50))
    stage.caught_up()
    if logged == "after":
        stage.write(nonfinite(50))
    stage.go_on()
    stage.go_on()

    assert [event["step"] for event in stage.events("verdict")] == [51, 52]
    assert [event["verdict_step"] for event in stage.decisions] == [51]


def test_holes_are_told_once(stage: Stage) -> None:
    """A line too long to be read is a gap in the journal, and a restart adds none."""
    stage.write(steady(0, 10))
    with (stage.directory / "train.jsonl").open("a") as file:
        file.write("x" * 2_000_000 + "\n")
    stage.write(steady(10, 20))
    for _ in range(2):
        watcher = stage.caught_up()

    assert [(event["reason"], event["bytes"], event["step"]) for event in stage.events("gap")] == [
        ("oversize", 2_000_000, 9)
    ]
    assert watcher.snapshot.gaps == {"oversize": 1}


# What was refused


REFUSALS: Mapping[str, Mapping[str, Any]] = {
    "budget": {"max_actions": 0},
    "bounds": {"min_scale": 1.0},
    "warmup": {"warmup_steps": 100_000},
}


@pytest.mark.parametrize("guardrail", REFUSALS)
def test_a_refusal_is_journaled_once(stage: Stage, guardrail: str) -> None:
    """What a guardrail refuses is told once per episode, also by the watchers that come after."""
    config = {**QUICK, "policy": REFUSALS[guardrail]}
    stage.trainer().train(1)
    stage.caught_up(config)
    refused = stage.until("decision", refused_by=guardrail)
    stage.go_on()
    stage.caught_up(config)
    stage.go_on()

    verdict = stage.events("verdict", state="raised")[0]
    assert (refused["seq"], refused["because"], refused["verdict_step"]) == (None, "plateau", verdict["step"])
    assert len(stage.events("decision", refused_by=guardrail, verdict_step=verdict["step"])) == 1
    assert stage.decisions == []


def test_who_must_ask_a_person_decides_nothing(stage: Stage) -> None:
    """In approve mode a wish is told and waits."""
    stage.trainer().train(1)
    stage.caught_up(mode="approve")
    stage.until("decision", refused_by="mode")
    stage.go_on()

    assert len(stage.events("decision", refused_by="mode")) == 1
    assert stage.decisions == []


@pytest.mark.parametrize(
    ("guardrail", "policy"),
    [("cooldown", {"cooldown_steps": 1_000_000}), ("budget", {"max_actions": 1, "cooldown_steps": 0})],
)
def test_after_one_action_the_next_waits(stage: Stage, guardrail: str, policy: Mapping[str, Any]) -> None:
    """Cooldown and budget count over restarts: the action that a watcher made binds those that come after it."""
    config = {**QUICK, "policy": policy}
    stage.trainer().train(1)
    stage.caught_up(config)
    stage.until("acknowledged", plan_id=stage.until("decision", because="plateau")["seq"], status="applied")
    stage.caught_up(config)
    stage.until("decision", refused_by=guardrail)
    stage.caught_up(config)
    stage.go_on()

    assert len(stage.events("decision", refused_by=guardrail)) == 1
    assert len(stage.decisions) == 1


def test_one_adjustment_is_in_flight_at_a_time(stage: Stage) -> None:
    """Without a client the first decision stands and every other waits for its acknowledgement."""
    curve = Sinking()
    stage.write([{"step": step, **curve(step, 1.0)} for step in range(1500)])
    stage.caught_up()
    assert len(stage.decisions) == 1
    stage.write([{"step": step, "train/loss": math.nan} for step in range(1500, 1503)])
    stage.go_on()
    stage.go_on()

    assert [event["because"] for event in stage.events("decision", refused_by="unacknowledged")] == ["divergence"]
    assert len(stage.decisions) == 1


def test_a_silent_client_is_not_steered(stage: Stage) -> None:
    """A training that has not said a word for a minute gets no decision until it speaks again."""
    curve = Sinking()
    trainer = stage.trainer(curve, form="jsonl")
    trainer.train(1500)
    stage.caught_up({**QUICK, "policy": {"warmup_steps": 1520}})
    stage.clock.advance(61)
    stage.trainers.clear()
    stage.write([{"step": step, **curve(step, 1.0)} for step in range(1500, 1600)])
    stage.go_on()
    stage.go_on()
    assert len(stage.events("decision", refused_by="stale")) == 1
    assert stage.decisions == []
    stage.trainers.append(trainer)
    trainer.step = 1600
    stage.go_on(1)
    stage.go_on(1)

    assert len(stage.events("decision", refused_by="stale")) == 1
    assert len(stage.decisions) == 1


def test_advice_changes_nothing(stage: Stage) -> None:
    """In advise mode the decision is told, with a seq of its own, and the client keeps its scale."""
    trainer = stage.trainer()
    trainer.train(1)
    stage.caught_up(mode="advise")
    stage.until("decision", because="plateau")
    for _ in range(5):
        stage.go_on()

    assert stage.control.mode == "advise"
    assert stage.decisions[0]["mode"] == "advise"
    assert set(trainer.scales) == {1.0}
    assert stage.ack.status == "held"


def test_a_training_that_has_ended_is_left_alone(stage: Stage) -> None:
    """After a clean end nothing is decided any more."""
    trainer = stage.trainer()
    trainer.train(1500)
    trainer.close()
    stage.trainers.clear()
    watcher = stage.caught_up()
    stage.go_on()

    assert stage.events("verdict", state="raised")
    assert stage.events("decision", because="plateau") == []
    assert watcher.snapshot.finished


# Logs and trainings that begin anew


def test_a_training_that_goes_back_is_told_once_and_judged_anew(stage: Stage) -> None:
    """A restart from a checkpoint is a gap, verdicts about what is undone are cleared, and the run goes on."""
    trainer = stage.trainer(min_scale=0.1)
    trainer.train(1)
    stage.caught_up({**QUICK, "policy": {"max_actions": 0}})
    raised = stage.until("verdict", state="raised")
    trainer.go_back(100)
    stage.go_on()

    gaps = stage.events("gap")
    assert [(gap["reason"], gap["step"]) for gap in gaps] == [("restart", 100)]
    cleared = stage.events("verdict", state="cleared")
    assert [(event["kind"], event["step"]) for event in cleared] == [("plateau", 100)]
    stage.caught_up({**QUICK, "policy": {"max_actions": 0}})
    assert (stage.events("gap"), stage.events("verdict", state="cleared")) == (gaps, cleared)
    assert raised["step"] > 100


@pytest.mark.parametrize("watched", [True, False])
def test_a_new_training_in_an_old_directory_begins_untouched(stage: Stage, *, watched: bool) -> None:
    """It holds 1.0, answers for nothing that its predecessor did, and has a budget of its own."""
    config = {**QUICK, "policy": {"max_actions": 1}}
    first = stage.trainer()
    first.train(1)
    stage.caught_up(config)
    stage.until("acknowledged", plan_id=stage.until("decision", because="plateau")["seq"], status="applied")
    stage.until("decision", refused_by="budget")
    assert stage.watcher is not None
    assert stage.watcher.snapshot.active
    first.crash()
    stage.trainers.remove(first)
    if not watched:
        stage.stop()
    second = stage.trainer(Sinking(1))
    second.train(1)
    if not watched:
        stage.caught_up(config)
    for _ in range(3):
        stage.go_on(1)
    assert stage.watcher is not None
    assert len(stage.decisions) == 1
    assert [event["training_id"] for event in stage.events("training")] == [second.client.training_id]
    decision = stage.until("decision", because="plateau", training_id=second.client.training_id)
    stage.until("acknowledged", plan_id=decision["seq"], status="applied")
    stage.go_on(200)

    assert set(second.scales[: decision["step"]]) == {1.0}
    assert second.scales[-1] == 0.5
    assert len(stage.decisions) == 2


def test_a_new_training_is_not_blamed_for_what_was_seen_before_it(stage: Stage) -> None:
    """A verdict that still stands from the old log is not acted on for a training that has not logged a thing."""
    first = stage.trainer()
    first.train(1500)
    stage.caught_up({**QUICK, "policy": {"warmup_steps": 100_000}})
    assert stage.watcher is not None
    assert [kind for kind, _ in stage.watcher.snapshot.active] == ["plateau"]
    first.crash()
    stage.trainers.clear()
    stage.home.joinpath("ack.json").write_bytes(Acknowledgement("another", step=0).encode())
    stage.go_on()
    stage.caught_up()
    stage.go_on()

    assert [event["training_id"] for event in stage.events("training")] == ["another"]
    assert stage.decisions == []


# Failures


def test_a_directory_that_cannot_be_written_is_counted_and_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be written nothing is lost: afterwards the decision has one line and one control file."""
    stage.write(steady(0, 50))
    stage.caught_up()
    desk = stage.desk
    stage.write(nonfinite(50))
    for failing in ("append", "replace"):
        with monkeypatch.context() as patch:
            module = Journal if failing == "append" else document
            patch.setattr(module, failing, _fail)
            for _ in range(5):
                stage.go_on()
            assert desk.problem == f"{stage.home}: No space left on device"
            assert stage.control.request.kind == "none"
    assert desk.failures == 10
    stage.go_on()

    assert desk.problem is None
    assert stage.control.request.kind == "restore"
    assert len(stage.decisions) == 1


def test_a_file_in_place_of_the_directory_is_counted_and_tried_again(stage: Stage) -> None:
    """Whoever moves the directory away and puts something else there is told, and nothing is lost once it is back."""
    stage.write(steady(0, 50))
    watcher = stage.caught_up()
    aside = stage.directory / "aside"
    stage.home.rename(aside)
    stage.home.write_bytes(b"")
    stage.write(nonfinite(50))
    for _ in range(5):
        stage.go_on()
    assert watcher.armed
    stage.home.unlink()
    aside.rename(stage.home)
    stage.go_on()

    assert [event["because"] for event in stage.decisions] == ["divergence"]
    assert [event["state"] for event in stage.events("verdict")] == ["raised"]


def test_a_watcher_that_dies_between_line_and_file_leaves_one_decision(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next watcher finds the line, publishes its plan under the same id, and does not decide again."""
    stage.write(steady(0, 50))
    stage.caught_up()
    stage.write(nonfinite(50))
    with monkeypatch.context() as patch:
        patch.setattr(document, "replace", _fail)
        stage.go_on()
    decided = stage.decisions
    assert len(decided) == 1
    assert stage.control.seq == 1
    stage.caught_up()
    stage.go_on()

    assert stage.decisions == decided
    assert stage.control.plan.to_json() == decided[0]["plan"]
    assert stage.control.request.id == decided[0]["seq"]


def test_a_lost_journal_does_not_repeat_what_the_control_file_tells(stage: Stage) -> None:
    """The control file says which verdict its plan answers: without the journal it is still not answered twice."""
    stage.write(steady(0, 50) + nonfinite(50))
    stage.caught_up()
    control = stage.control
    (stage.home / "journal.jsonl").unlink()
    stage.caught_up()
    stage.go_on()

    assert stage.decisions == []
    assert (stage.control.plan, stage.control.request) == (control.plan, control.request)


@pytest.mark.parametrize("spoilt", ["journal.jsonl", "control.json", "ack.json"])
def test_junk_in_any_file_stops_nobody(stage: Stage, spoilt: str) -> None:
    """A watcher comes up over whatever an accident has left in one of the files."""
    stage.write(steady(0, 50) + nonfinite(50))
    stage.home.mkdir()
    (stage.home / spoilt).write_bytes(os.urandom(5000))
    stage.caught_up()
    stage.go_on()

    assert len(stage.decisions) == 1
    assert stage.control.request.kind == "restore"


# Any chunking


def a_log() -> bytes:
    """Return a log with a plateau, a restart, a divergence and lines that are none."""
    curve = Sinking()
    lines: list[Mapping[str, Any]] = [{"step": step, **curve(step, 1.0)} for step in range(1400)]
    lines += [{"step": step, **curve(step, 1.0)} for step in range(1300, 1500)]
    lines += [{"step": step, "train/loss": math.nan} for step in range(1500, 1504)]
    lines += [{"step": step, **curve(step, 0.3)} for step in range(1504, 1700)]
    text = [json.dumps(line).encode() + b"\n" for line in lines]
    text.insert(700, b"\xff{\n")
    text.insert(900, b'{"step": 899, "train/loss": "x"}\r\n')
    return b"".join(text)


LOG = a_log()


def an_event_file() -> bytes:
    """Return the same kind of log as TensorBoard's writer writes it, with a spoilt record."""
    with tempfile.TemporaryDirectory() as directory:
        trainer = ScriptedTrainer(Path(directory), Sinking(), clock=FakeClock())
        trainer.train(1400)
        trainer.go_back(1300)
        trainer.train(200)
        trainer.crash()
        (path,) = Path(directory).glob("*tfevents*")
        data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    return bytes(data)


EVENTS = an_event_file()


@given(data=st.data(), form=st.sampled_from(["train.jsonl", "events.out.tfevents.1790000000.host.1.0"]))
@settings(max_examples=20, deadline=None)
def test_live_reading_in_any_chunking_says_what_replay_says(data: st.DataObject, form: str) -> None:
    """However the bytes arrive, and however few are read at a time, the verdicts and holes are those of a replay."""
    whole = LOG if form == "train.jsonl" else EVENTS
    cuts = sorted(data.draw(st.lists(st.integers(1, len(whole)), max_size=40)))
    limit = data.draw(st.none() | st.integers(500, 50_000))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "exp"
        directory.mkdir()
        path = directory / form
        path.touch()
        stage = Stage(directory)
        watcher = stage.watch(mode="advise", limit=limit)
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            with path.open("ab") as file:
                file.write(whole[start:end])
            stage.go_on()
        while stage.source.lag:
            stage.go_on()
        live = [event for event in stage.journal if event["event"] in ("verdict", "gap")]
        shown = watcher.snapshot
        stage.stop()
        shutil.rmtree(stage.home)
        replayed = list(Replay(directory, parse_config(QUICK)).events())

    assert live == [event for event in replayed if event["event"] in ("verdict", "gap")]
    assert {event.get("kind", event.get("reason")) for event in live} >= {"plateau", "restart"}
    assert (shown.records, sum(shown.rejected.values())) == (replayed[-1]["records"], replayed[-1]["rejected"])


def _fail(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_the_defaults_need_no_configuration(stage: Stage) -> None:
    """A run with no configuration is watched."""
    stage.write(steady(0, 50))

    assert stage.caught_up({}).armed
    assert parse_config({}) == Config()
