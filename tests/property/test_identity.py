"""A training, its crashes, its checkpoints and its watcher in any order."""

import dataclasses
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lrwatch.client import Client
from lrwatch.protocol import (
    Acknowledgement,
    Control,
    Plan,
    Request,
    Segment,
    decode_acknowledgement,
    hold,
    initial_control,
)
from lrwatch.protocol.document import replace

LOW, HIGH = 0.01, 2.0


class Life(RuleBasedStateMachine):
    """One directory over many processes; polls at every step, so that every step acknowledges its news.

    Invariants: a plan begins once per training, whatever is read, lost, restarted or restored; from its start
    on its scale belongs to the step; a request is handed over once; no scale leaves the training's bounds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="lrwatch-identity-"))
        (self.directory / "lrwatch").mkdir()
        self.now = 0.0
        self.step = 0
        self.client: Client | None = None
        self.control = initial_control("exp", "w")
        self.history: list[bytes] = []
        self.saved: list[tuple[int, dict[str, Any]]] = []
        self.starts: dict[tuple[str, int], set[int]] = {}
        self.values: dict[tuple[str, int, int, int], float] = {}
        self.handed_over: Counter[tuple[str, int]] = Counter()
        self.open_request = 0

    def teardown(self) -> None:
        """Leave nothing on the disk."""
        self.crash_now()
        shutil.rmtree(self.directory)

    @initialize(counted=st.booleans())
    def begin(self, counted: bool) -> None:
        """Choose whether the loop tells its steps or lets the client count."""
        self.counted = counted
        self.launch()

    # the training

    def launch(self, state: dict[str, Any] | None = None, *, resumed: bool = False) -> None:
        """Start a process."""
        self.client = Client(self.directory, min_scale=LOW, max_scale=HIGH, poll_seconds=0, clock=lambda: self.now)
        self.open_request = 0
        if state is not None:
            self.client.load_state_dict(state)
        if self.counted:
            self.client.resumed = self.client.resumed or resumed

    def ack(self) -> Acknowledgement:
        """Return what the watcher would read."""
        return decode_acknowledgement((self.directory / "lrwatch" / "ack.json").read_bytes())

    def crash_now(self) -> None:
        """End the process without a word."""
        if self.client is not None:
            self.client.__exit__(SystemExit, None, None)
            self.client = None

    @precondition(lambda self: self.client is not None)
    @rule(steps=st.integers(1, 12), look=st.booleans())
    def train(self, steps: int, look: bool) -> None:
        """Make some steps, and look at the requests or not."""
        client = self.client
        assert client is not None
        for _ in range(steps):
            self.now += 0.3
            scale = client.scale(None if self.counted else self.step)
            self.step += 1
            assert LOW <= scale <= HIGH
            asked = client._steering.request
            if asked.kind != "none" and asked.id != self.open_request:
                self.handed_over[client.training_id, asked.id] += 1
                assert self.ack().request_id == asked.id
            self.open_request = asked.id if asked.kind != "none" else 0
            if look:
                assert client.request in (asked, Request())
            track, at = client._steering.plan, client._steering.step
            if track.start is not None:
                self.starts.setdefault((client.training_id, track.id), set()).add(track.start)
                if client._steering.applies and at >= track.start and client._steering.base.plan is None:
                    order = client._steering.generation, client._steering.seq
                    assert self.values.setdefault((client.training_id, *order, at), scale) == scale

    @precondition(lambda self: self.client is not None)
    @rule()
    def checkpoint(self) -> None:
        """Save the state with the step that comes next."""
        assert self.client is not None
        self.saved.append((self.step, self.client.state_dict()))

    @precondition(lambda self: self.client is not None and self.saved)
    @rule(data=st.data(), report=st.booleans())
    def restore(self, data: st.DataObject, report: bool) -> None:
        """Go back to a checkpoint within the process."""
        assert self.client is not None
        self.step, state = data.draw(st.sampled_from(self.saved))
        self.client.load_state_dict(state)
        if report:
            self.client.restored(self.step)

    @precondition(lambda self: self.client is not None)
    @rule()
    def crash(self) -> None:
        """Kill the process."""
        self.crash_now()

    @precondition(lambda self: self.client is None and self.saved)
    @rule(data=st.data())
    def resume_with_state(self, data: st.DataObject) -> None:
        """Start again from a checkpoint that holds the client's state."""
        self.step, state = data.draw(st.sampled_from(self.saved))
        self.launch(state, resumed=True)

    @precondition(lambda self: self.client is None and self.step > 0)
    @rule(back=st.integers(0, 20))
    def resume_without_state(self, back: int) -> None:
        """Start again from a checkpoint that knows nothing of lrwatch."""
        self.step = max(1, self.step - back)
        self.launch(resumed=True)

    @precondition(lambda self: self.client is None)
    @rule()
    def start_anew(self) -> None:
        """Start another training in the same directory."""
        self.step = 0
        self.saved.clear()
        self.launch()

    # the watcher

    def publish(self, **changes: Any) -> None:
        """Write the next control file."""
        fields = {"seq": self.control.seq + 1, **changes}
        self.control = dataclasses.replace(self.control, **fields)
        self.put(self.control.encode())
        self.history.append(self.control.encode())

    def put(self, data: bytes) -> None:
        """Replace the control file."""
        replace(str(self.directory / "lrwatch" / "control.json"), data, durable=False)

    @rule(
        shape=st.sampled_from(["linear", "geometric", "cosine", "inverse"]),
        to=st.floats(1e-3, 10.0),
        steps=st.integers(0, 30),
        ahead=st.none() | st.integers(-10, 30),
        repeats=st.booleans(),
    )
    def new_plan(self, shape: str, to: float, steps: int, ahead: int | None, repeats: bool) -> None:
        """Want another scale, from the next look on or from a given step on."""
        start_step = None if ahead is None else max(0, self.step + ahead)
        segment = Segment(shape, None if start_step is None else 1.0, to, steps)
        back = Segment(shape, to, 1.0, steps)
        plan_id = self.control.seq + 1
        if repeats and steps:
            self.publish(plan=Plan(plan_id, (segment, back), start_step, 1))
        else:
            self.publish(plan=Plan(plan_id, (segment,), start_step))

    @rule(to=st.floats(0.1, 2.0), steps=st.integers(1, 50), off=st.booleans())
    def new_base(self, to: float, steps: int, off: bool) -> None:
        """Drive another base schedule, or none."""
        segment = Segment("linear", 1.0, to, steps)
        self.publish(base=None if off else Plan(self.control.seq + 1, (segment,)))

    @rule(mode=st.sampled_from(["auto", "approve", "advise", "paused"]))
    def change_mode(self, mode: str) -> None:
        """Pause or go on with the same plan."""
        self.publish(mode=mode)

    @rule(kind=st.sampled_from(["none", "restore", "stop"]))
    def ask(self, kind: str) -> None:
        """Ask for something, or withdraw it."""
        self.publish(request=Request(self.control.seq + 1, kind, before_step=self.step))

    @rule()
    def beat(self) -> None:
        """Rewrite the same state."""
        self.publish(seq=self.control.seq, beat=self.control.beat + 1)

    @rule(name=st.sampled_from(["nobody", "somebody", "this one"]))
    def address(self, name: str) -> None:
        """Name the training that is acknowledged, another one, or none."""
        known = (self.directory / "lrwatch" / "ack.json").exists()
        ours = self.ack().training_id if known else None
        self.publish(training_id={"nobody": None, "somebody": "f" * 32, "this one": ours}[name])

    @rule()
    def take_over(self) -> None:
        """Another watcher goes on above what it finds, with a plan of its own."""
        seq = self.control.seq + 1
        self.publish(seq=seq, generation=self.control.generation + 1, plan=hold(seq), writer="other")

    @precondition(lambda self: self.history)
    @rule(data=st.data(), cut=st.booleans())
    def disturb(self, data: st.DataObject, cut: bool) -> None:
        """Put an old file back, or a torn one, and then the right one."""
        old = data.draw(st.sampled_from(self.history))
        self.put(old[: len(old) // 2] if cut else old)
        if self.client is not None:
            self.train(1, look=False)
        self.put(self.control.encode())

    @rule()
    def lose(self) -> None:
        """Delete the control file."""
        (self.directory / "lrwatch" / "control.json").unlink(missing_ok=True)

    # what holds always

    @invariant()
    def plans_begin_once(self) -> None:
        """No plan has two starts in one training."""
        assert all(len(starts) == 1 for starts in self.starts.values()), self.starts

    @invariant()
    def requests_are_handed_over_once(self) -> None:
        """No request comes twice."""
        assert all(count == 1 for count in self.handed_over.values()), self.handed_over

    @invariant()
    def nothing_of_ours_fails(self) -> None:
        """No defect is counted."""
        assert self.client is None or not self.client.rejections["defect"]


def test_the_machine_publishes_documents_that_are_valid() -> None:
    """The states that the machine draws are such as a watcher writes."""
    life = Life()
    life.begin(counted=False)
    life.new_plan("linear", 0.5, 10, None, repeats=True)
    life.train(3, look=True)
    assert isinstance(life.control, Control)
    assert life.client is not None
    assert life.client.rejections == {}
    assert life.ack().plan_id == 1
    life.teardown()


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=40)
