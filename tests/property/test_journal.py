"""What journal, control file and acknowledgement hold after any life, and what is made of any part of them."""

import dataclasses
import functools
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lrwatch.config import Config, parse_config
from lrwatch.control.desk import FileDesk
from lrwatch.control.events import Event
from lrwatch.control.helm import Helm
from lrwatch.control.journal import read_journal
from lrwatch.control.past import Past
from lrwatch.control.publisher import TakenOver
from lrwatch.detect.rates import Rates
from lrwatch.errors import NotPossible
from lrwatch.model import Verdict
from lrwatch.policy.base import Decision
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, Segment, decode_control, document, ramp
from lrwatch.protocol.plan import MAX_STEP
from lrwatch.source import RunSource
from lrwatch.tail.discover import discover
from lrwatch.testing.clock import FakeClock
from lrwatch.testing.training import ScriptedTrainer
from lrwatch.watcher import RunWatcher

QUICK = parse_config({"detect": {"plateau": {"gain": 0.1}}})
SCHEDULED = dataclasses.replace(Config(), schedule=Plan(0, (Segment("linear", 1.0, 0.5, 100),), start_step=0))
FILES = ("journal.jsonl", "control.json", "ack.json")


def watched(directory: Path, writer: str) -> RunWatcher:
    """Return a watcher of a run that has read its log and has armed."""
    clock = FakeClock()
    watcher = RunWatcher(
        "exp",
        str(directory),
        RunSource(discover(directory)[0]),
        FileDesk(directory / "lrwatch", clock, 5.0),
        QUICK,
        clock,
        writer=writer,
        mode="auto",
        live=True,
        catch_up=True,
    )
    while not watcher.armed:
        watcher.poll()
    return watcher


@functools.cache
def real_run() -> Mapping[str, bytes]:
    """Return the files of a training that was watched, cut, acknowledged, and watched again after two restarts."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "exp"
        clock = FakeClock()
        with ScriptedTrainer(directory, form="jsonl", clock=clock) as trainer:
            trainer.train(1)
            for life in range(3):
                watcher = watched(directory, f"watcher-{life}")
                for _ in range(45):
                    trainer.train(20)
                    watcher.poll()
                watcher.close()
            trainer.train(1)
            found = [directory / "lrwatch" / name for name in FILES] + [directory / "train.jsonl"]
            files = {path.name: path.read_bytes() for path in found}
    events = [json.loads(line) for line in files["journal.jsonl"].splitlines()]
    assert [event["because"] for event in events if event["event"] == "decision"].count("plateau") >= 1
    assert "acknowledged" in [event["event"] for event in events]
    return files


# Any prefix of a real journal


@given(
    kept=st.floats(0.0, 1.0),
    others=st.lists(st.sampled_from(["whole", "torn", "lost"]), min_size=2, max_size=2),
)
@settings(max_examples=25, deadline=None)
def test_any_prefix_of_a_journal_can_be_gone_on_from(kept: float, others: list[str]) -> None:
    """Whatever is left of the journal and of the other files, nothing goes back and nothing comes twice."""
    files = real_run()
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "exp"
        home = directory / "lrwatch"
        home.mkdir(parents=True)
        (directory / "train.jsonl").write_bytes(files["train.jsonl"])
        journal = files["journal.jsonl"]
        (home / "journal.jsonl").write_bytes(journal[: round(kept * len(journal))])
        for name, state in zip(("control.json", "ack.json"), others, strict=True):
            if state != "lost":
                (home / name).write_bytes(files[name][: -20 if state == "torn" else None])
        before = read_journal(home / "journal.jsonl")
        past = Past(before, FileDesk(home, FakeClock(), 5.0).found)
        highest = (past.generation, past.seq)
        if others[1] == "whole":
            ack = json.loads(files["ack.json"])
            highest = (max(highest[0], ack["generation"]), max(highest[1], ack["seq"]))
        for life in range(2):
            watcher = watched(directory, f"later-{life}")
            watcher.poll()
            watcher.close()
        control = decode_control((home / "control.json").read_bytes())
        after = read_journal(home / "journal.jsonl")

    assert control.generation > highest[0]
    assert control.seq > highest[1]
    assert after[: len(before)] == before
    check(after)
    assert len({key(event) for event in after if event["event"] == "verdict"}) == sum(
        event["event"] == "verdict" for event in after
    )
    (last,) = (event for event in after if event["event"] == "decision" and event["seq"] == control.seq)
    assert last["plan"] == control.plan.to_json()
    newest = past.control
    if newest is not None and control.plan.id <= highest[1]:
        assert control.plan == newest.plan


def key(event: Event) -> tuple[Any, ...]:
    """Return what tells a verdict from another."""
    return event["state"], event["signal"], event["kind"], event["step"]


def check(events: list[Event]) -> None:
    """Make sure that each seq has one line, in order, and each episode one decision."""
    decisions = [event for event in events if event["event"] == "decision" and event["seq"] is not None]
    seqs = [event["seq"] for event in decisions]
    assert seqs == sorted(set(seqs))
    about = [
        (event["signal"], event["because"], event["verdict_step"]) for event in decisions if "verdict_step" in event
    ]
    assert len(about) == len(set(about))


# A journal that somebody has edited


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([MAX_STEP, MAX_STEP + 1, -1, 10**30])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_edited_journal_keeps_a_watcher_from_beginning(data: st.DataObject) -> None:
    """Whatever stands in any field of any event, it is understood or left out, and what is published can be read."""
    events = [json.loads(line) for line in real_run()["journal.jsonl"].splitlines()]
    for _ in range(data.draw(st.integers(1, 6))):
        event = data.draw(st.sampled_from(events))
        field = data.draw(st.sampled_from(sorted(event.keys() - {"event"})))
        event[field] = data.draw(JUNK)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        (home / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        desk = FileDesk(home, FakeClock(), 5.0)
        helm = begin(desk, Rates(), "me", QUICK)
        helm.take_over(0)
        desk.flush()
        assert desk.problem is None
        control = decode_control((home / "control.json").read_bytes())

    assert control.seq == helm.control.seq
    assert math.isfinite(helm.goal)


def begin(desk: FileDesk, rates: Rates, writer: str, config: Config) -> Helm:
    """Return the helm of a watcher that has just read what lies at the desk."""
    past = Past(desk.history, desk.found)
    return Helm("exp", desk, past, rates, config, FakeClock(), writer=writer, mode="auto", live=True)


# Any life


class Life(RuleBasedStateMachine):
    """Watchers and trainings that come, die and lose files, in any order.

    Invariants, for whoever reads the control file: it is whole; (generation, seq) never goes back; a plan keeps
    its content under its id; what it says stands in the journal on a line of its own seq.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="lrwatch-journal-")) / "lrwatch"
        self.clock = FakeClock()
        self.watchers: list[tuple[FileDesk, Helm]] = []
        self.count = 0
        self.step = 0
        self.trainings = 1
        self.seen = (0, 0)
        self.plans: dict[int, Any] = {}
        self.has_journal = True
        self.config = Config()

    def teardown(self) -> None:
        """Leave nothing on the disk."""
        for desk, _ in self.watchers:
            desk.close()
        shutil.rmtree(self.home.parent)

    @initialize(scheduled=st.booleans())
    def choose(self, scheduled: bool) -> None:
        """Have a base schedule or not."""
        self.config = SCHEDULED if scheduled else Config()

    @rule()
    def take_over(self) -> None:
        """Let another watcher come; the one before knows nothing of it yet."""
        self.count += 1
        desk = FileDesk(self.home, self.clock, 5.0)
        desk.take()
        helm = begin(desk, Rates(), f"watcher-{self.count}", self.config)
        helm.take_over(self.step)
        self.watchers.append((desk, helm))
        self.flush(-1)

    @precondition(lambda self: self.watchers)
    @rule(which=st.integers(0, 3), scale=st.floats(0.001, 1.0), asked=st.sampled_from([None, "restore", "stop"]))
    def decide(self, which: int, scale: float, asked: str | None) -> None:
        """Let some watcher decide, also one that was taken over and does not know."""
        self.step += 10
        verdict = Verdict("raised", "loss", "plateau", self.step, 0, "info", "flat")
        request = None if asked is None else Request(kind=asked, before_step=0 if asked == "restore" else None)
        desk_and_helm = self.watchers[which % len(self.watchers)]
        desk_and_helm[1].carry_out(Decision(self.step, "scale", verdict, ramp(0, scale, 5), request, None, "cut"))
        self.flush(which % len(self.watchers))

    @precondition(lambda self: self.watchers)
    @rule(which=st.integers(0, 3), at=st.integers(0, 12))
    def die_in_mid_write(self, which: int, at: int) -> None:
        """Let some watcher decide and be killed at one of its system calls."""
        self.step += 10
        desk, helm = self.watchers.pop(which % len(self.watchers))
        verdict = Verdict("raised", "loss", "plateau", self.step, 0, "info", "flat")
        helm.carry_out(Decision(self.step, "scale", verdict, ramp(0, 0.5, 5), None, None, "cut"))
        calls = [at]
        originals = {name: getattr(os, name) for name in ("pwrite", "write", "fsync", "replace", "ftruncate")}

        def mortal(name: str) -> Any:
            def call(*arguments: Any) -> Any:
                calls[0] -= 1
                if calls[0] < 0:
                    if name == "pwrite":
                        originals[name](arguments[0], bytes(arguments[1])[:30], arguments[2])
                    raise KeyboardInterrupt
                return originals[name](*arguments)

            return call

        try:
            for name in originals:
                setattr(os, name, mortal(name))
            desk.flush()
        except (KeyboardInterrupt, TakenOver, NotPossible):
            pass
        finally:
            for name, original in originals.items():
                setattr(os, name, original)
            desk.close()

    @precondition(lambda self: self.home.exists())
    @rule(known=st.booleans(), lag=st.integers(0, 3))
    def acknowledge(self, known: bool, lag: int) -> None:
        """Let a training speak: one that follows the control file, or a new one."""
        self.trainings += not known
        control = self.control
        ack = Acknowledgement(f"training-{self.trainings}", step=self.step)
        if known and control is not None and control.training_id in (None, ack.training_id) and not lag:
            ack = dataclasses.replace(
                ack,
                generation=control.generation,
                seq=control.seq,
                plan_id=control.plan.id,
                status="applied",
                start_step=self.step,
                from_scale=1.0,
                scale=control.scale_at(self.step),
            )
        document.replace(str(self.home / "ack.json"), ack.encode(), durable=False)

    @precondition(lambda self: self.watchers)
    @rule()
    def hear(self) -> None:
        """Let the newest watcher listen."""
        self.watchers[-1][1].hear(self.step)
        self.flush(-1)

    @precondition(lambda self: self.watchers)
    @rule()
    def beat(self) -> None:
        """Let time pass: every watcher that thinks it is its turn repeats itself."""
        self.clock.advance(6.0)
        for which in reversed(range(len(self.watchers))):
            self.flush(which)

    @precondition(lambda self: self.home.exists() and self.has_journal)
    @rule(name=st.sampled_from(["control.json", "ack.json"]), torn=st.booleans())
    def lose(self, name: str, torn: bool) -> None:
        """Lose one of the files that the journal can stand for, with all watchers dead."""
        path = self.home / name
        if path.exists():
            for desk, _ in self.watchers:
                desk.close()
            self.watchers.clear()
            data = path.read_bytes()
            path.unlink()
            if torn:
                path.write_bytes(data[: len(data) // 2])

    def flush(self, which: int) -> None:
        """Let a watcher write; if it may not, it steps down."""
        desk, _ = self.watchers[which]
        try:
            desk.flush()
        except (TakenOver, NotPossible):
            desk.close()
            del self.watchers[which]
        else:
            assert desk.problem is None

    @property
    def control(self) -> Control | None:
        """What a reader sees; None where there is nothing whole."""
        return FileDesk(self.home, self.clock, 5.0).found

    @invariant()
    def what_is_published_is_in_order_and_explained(self) -> None:
        """Look at the control file as a client does, and at the journal as a person does."""
        control = self.control
        events = read_journal(self.home / "journal.jsonl")
        check_seqs(events)
        if control is None:
            return
        assert control.order >= self.seen
        assert control.seq >= self.seen[1]
        self.seen = control.order
        assert self.plans.setdefault(control.plan.id, control.plan) == control.plan
        (line,) = (event for event in events if event["event"] == "decision" and event["seq"] == control.seq)
        assert line["plan"] == control.plan.to_json()
        assert line["request"] == control.request.to_json()
        assert (line["training_id"], line["generation"]) == (control.training_id, control.generation)


def check_seqs(events: list[Event]) -> None:
    """Make sure that each seq has exactly one line, in order."""
    seqs = [event["seq"] for event in events if event["event"] == "decision" and event["seq"] is not None]
    assert seqs == sorted(set(seqs))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
