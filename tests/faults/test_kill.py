"""A daemon that is killed at any moment leaves files from which the next one goes on as if nothing had happened."""

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.events import Event
from lrwatch.control.journal import read_journal
from lrwatch.protocol import Control, decode_acknowledgement, decode_control
from lrwatch.testing.process import Daemon, eventually
from lrwatch.testing.training import ScriptedTrainer, Sinking

KILLS = 24
LOWEST = 0.2

CONFIG = """
[watch]
poll_seconds = 0.02
discover_seconds = 0.05
beat_seconds = 0.1
[detect.plateau]
gain = 0.1
[policy]
max_actions = 3
"""


class Scene:
    """A training that never stops, and what a reader of its control file sees at every moment."""

    def __init__(self, place: Path, *, steps_per_second: float) -> None:
        place.mkdir()
        self.pace = steps_per_second
        self.directory = place / "runs" / "exp"
        self.config = place / "lrwatch.toml"
        self.config.write_text(CONFIG)
        self.trainer = ScriptedTrainer(self.directory, Sinking(), min_scale=LOWEST)
        self.began = time.monotonic()
        self.seen = (0, 0)

    def daemon(self) -> Daemon:
        """Start a daemon."""
        return Daemon(self.directory.parent, "--config", self.config)

    def go_on(self) -> None:
        """Make the steps that are due, and read the control file: it is whole, and never goes back."""
        due = int((time.monotonic() - self.began) * self.pace) - self.trainer.step
        self.trainer.train(max(min(due, 20), 0))
        control = self.control
        if control is not None:
            assert control.order >= self.seen
            assert control.seq >= self.seen[1]
            self.seen = control.order

    def until(self, look: Callable[[], Any], *, seconds: float = 90.0) -> None:
        """Go on until `look` returns something true."""
        eventually(look, seconds=seconds, also=self.go_on)

    @property
    def control(self) -> Control | None:
        """The control file, which must be whole if it is there."""
        path = self.directory / "lrwatch" / "control.json"
        return decode_control(path.read_bytes()) if path.exists() else None

    def belongs_to(self, daemon: Daemon) -> bool:
        """Say whether a daemon has taken the run over."""
        control = self.control
        return control is not None and f"-{daemon.process.pid}-" in control.writer

    @property
    def journal(self) -> list[Event]:
        """The journal, after a check of what holds at every moment: whole lines, no seq twice, no episode twice."""
        path = self.directory / "lrwatch" / "journal.jsonl"
        if not path.exists():
            return []
        for line in path.read_bytes().split(b"\n")[:-1]:
            json.loads(line)
        events = read_journal(path)
        decisions = [event for event in events if event["event"] == "decision" and event["seq"] is not None]
        seqs = [event["seq"] for event in decisions]
        assert seqs == sorted(set(seqs))
        answered = [
            (event["signal"], event["because"], event["verdict_step"]) for event in decisions if "verdict_step" in event
        ]
        assert len(answered) == len(set(answered))
        return events

    @property
    def actions(self) -> list[tuple[str, str, float]]:
        """What was decided about verdicts: why, what, and to which scale."""
        return [
            (event["because"], event["action"], event["plan"]["segments"][-1]["to"])
            for event in self.journal
            if event["event"] == "decision" and event["seq"] is not None and "verdict_step" in event
        ]

    def has_come_to_rest(self) -> bool:
        """Say whether the training has begun the last plan that its budget allows."""
        actions = self.actions
        if len(actions) < 3:
            return False
        path = self.directory / "lrwatch" / "ack.json"
        control, ack = self.control, decode_acknowledgement(path.read_bytes())
        return control is not None and ack.plan_id == control.plan.id and ack.scale == LOWEST


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_killed_at_random_moments_it_decides_what_it_would_have_decided(tmp_path: Path, seed: int) -> None:
    """SIGKILL at two dozen moments of one training changes none of its decisions, and no reader ever notices.

    Which decisions: the cause, the action and the scale of each, in their order. Not at which step: a verdict is
    answered when a daemon is there to answer it, and by then the training is some steps further.
    """
    chance = random.Random(seed)  # noqa: S311 - which moment
    undisturbed = Scene(tmp_path / "undisturbed", steps_per_second=500)
    with undisturbed.daemon() as daemon:
        undisturbed.until(undisturbed.has_come_to_rest)
        assert daemon.stop() == 0
    undisturbed.trainer.close()

    scene = Scene(tmp_path / "killed", steps_per_second=80)
    generations = []
    for _ in range(KILLS):
        with scene.daemon() as daemon:
            if chance.random() < 0.75:
                scene.until(lambda: scene.belongs_to(daemon))
            scene.until(passed(chance.uniform(0.0, 0.8)))
            assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        generations.append(scene.seen[0])
        assert len(scene.actions) <= 3
    with scene.daemon() as daemon:
        scene.until(lambda: scene.belongs_to(daemon) and scene.has_come_to_rest())
        assert daemon.stop() == 0
    last = scene.control
    scene.trainer.close()

    assert scene.actions == undisturbed.actions
    assert [to for _, _, to in scene.actions] == [0.5, 0.25, 0.125]
    assert generations == sorted(generations)
    assert len(set(generations)) > KILLS // 2
    assert last is not None
    assert last.generation > generations[-1]
    assert min(scene.trainer.scales) == LOWEST
    assert max(scene.trainer.scales) == 1.0
    assert scene.trainer.scales == sorted(scene.trainer.scales, reverse=True)
    assert not [path for path in (scene.directory / "lrwatch").iterdir() if path.suffix == ".tmp"]
    verdicts = [
        (event["state"], event["kind"], event["step"]) for event in scene.journal if event["event"] == "verdict"
    ]
    assert len(verdicts) == len(set(verdicts))


def passed(seconds: float) -> Callable[[], bool]:
    """Return what is true after so many seconds."""
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment
