"""The helm: one desired state per run, one decision line per seq, whoever stops, restarts or comes anew."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from lrwatch.config import Config, Mode
from lrwatch.control.desk import FileDesk
from lrwatch.control.events import Event
from lrwatch.control.helm import STALE_SECONDS, Helm
from lrwatch.control.journal import read_journal
from lrwatch.control.past import Past
from lrwatch.detect.rates import Rates
from lrwatch.errors import NotPossible
from lrwatch.model import Action, Verdict
from lrwatch.policy.base import Decision
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, Segment, decode_control, hold, ramp
from lrwatch.protocol.plan import MAX_STEP
from lrwatch.testing.clock import FakeClock

SCHEDULE = Plan(0, (Segment("linear", 1.0, 0.5, 1000),), start_step=0)


class Bench:
    """A run's directory, and one watcher's helm after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.rates = Rates()
        self.desk: FileDesk | None = None
        self.writers = (f"watcher-{number}" for number in itertools.count())

    def helm(self, step: int | None = 0, *, mode: Mode = "auto", config: Config | None = None) -> Helm:
        """Take the run over as a new watcher does once it has read the log up to `step`."""
        if self.desk is not None:
            self.desk.close()
        self.desk = desk = FileDesk(self.home, self.clock, 5.0)
        past = Past(desk.history, desk.found)
        writer = next(self.writers)
        helm = Helm("exp", desk, past, self.rates, config or Config(), self.clock, writer=writer, mode=mode, live=True)
        helm.take_over(step)
        self.flush()
        return helm

    def flush(self) -> None:
        """Write what was said."""
        assert self.desk is not None
        self.desk.flush()
        assert self.desk.problem is None

    def say(self, ack: Acknowledgement) -> None:
        """Let the training acknowledge."""
        self.home.mkdir(exist_ok=True)
        (self.home / "ack.json").write_bytes(ack.encode())

    @property
    def control(self) -> Control:
        """What a client reads."""
        return decode_control((self.home / "control.json").read_bytes())

    @property
    def journal(self) -> list[Event]:
        """What was noted, after a check that no seq has two lines, or goes back."""
        events = read_journal(self.home / "journal.jsonl")
        seqs = [event["seq"] for event in events if event["event"] == "decision" and event["seq"] is not None]
        assert seqs == sorted(set(seqs))
        return events

    def scale_at(self, *steps: int) -> list[float]:
        """Return the scales that the judges believe in."""
        return [round(scale, 6) for scale in self.rates.scale_at(np.asarray(steps)).tolist()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return the directory of a run that was never watched."""
    return Bench(tmp_path / "lrwatch")


def cut(
    step: int, to: float = 0.5, *, steps: int = 100, action: Action = "scale", request: Request | None = None
) -> Decision:
    """Return a granted decision about a plateau raised at `step`."""
    verdict = Verdict("raised", "loss", "plateau", step, 0, "info", "flat")
    return Decision(step, action, verdict, ramp(0, to, steps), request, None, "halve it")


def applied(seq: int, plan_id: int, step: int, start: int, scale: float, **more: object) -> Acknowledgement:
    """Return what a client says that follows a plan."""
    ack = Acknowledgement(
        "t1", 1, seq, plan_id, step=step, start_step=start, from_scale=1.0, scale=scale, status="applied"
    )
    return dataclasses.replace(ack, **more)  # type: ignore[arg-type]


def test_a_run_that_was_never_watched_starts_with_a_hold(bench: Bench) -> None:
    """The first state asks for nothing: every client stays where it stands."""
    bench.helm()

    assert (bench.control.seq, bench.control.generation, bench.control.training_id) == (1, 1, None)
    assert bench.control.plan == hold(1)
    assert [(event["seq"], event["because"]) for event in bench.journal] == [(1, "start")]


def test_each_publish_has_the_next_seq_and_one_line(bench: Bench) -> None:
    """A plan's id is the seq that introduced it, and stays while other things change."""
    helm = bench.helm()
    assert helm.carry_out(cut(100)) == 2
    bench.flush()
    assert (bench.control.seq, bench.control.plan) == (2, ramp(2, 0.5, 100))
    bench.say(applied(2, 2, 110, 105, 0.9))
    helm.hear(110)
    bench.flush()
    assert (bench.control.seq, bench.control.plan.id, bench.control.training_id) == (3, 2, "t1")
    helm.carry_out(cut(900, 0.25))
    bench.flush()

    assert (bench.control.seq, bench.control.plan.id) == (4, 4)
    decisions = [event for event in bench.journal if event["event"] == "decision"]
    assert [(event["seq"], event["because"]) for event in decisions] == [
        (1, "start"),
        (2, "plateau"),
        (3, "training"),
        (4, "plateau"),
    ]


def test_a_decision_line_says_why(bench: Bench) -> None:
    """Line and control file tell a person which verdict of which signal is answered, and how."""
    bench.helm().carry_out(cut(100))
    bench.flush()

    line = bench.journal[-1]
    assert (line["action"], line["because"], line["signal"], line["verdict_step"], line["text"]) == (
        "scale",
        "plateau",
        "loss",
        100,
        "halve it",
    )
    assert line["plan"] == bench.control.plan.to_json()
    assert line["refused_by"] is None
    why = bench.control.why
    assert why is not None
    assert (why.kind, why.signal, why.step, why.text) == ("plateau", "loss", 100, "halve it")


def test_a_request_has_the_seq_that_introduced_it(bench: Bench) -> None:
    """It keeps its id while other things change, and is spoken in the client's steps."""
    helm = bench.helm()
    bench.say(applied(1, 1, 20_000, 0, 1.0))
    helm.hear(20)
    helm.carry_out(cut(30, action="restore", request=Request(kind="restore", before_step=25)))
    bench.flush()
    assert bench.control.request == Request(3, "restore", before_step=25_000)
    bench.helm()

    assert bench.control.request == Request(3, "restore", before_step=25_000)
    assert bench.control.seq == 4


def test_the_first_training_is_named_and_nothing_else_happens(bench: Bench) -> None:
    """Null means not known yet: the plan stays, and the journal opens no new segment."""
    helm = bench.helm()
    helm.carry_out(cut(100))
    bench.say(Acknowledgement("t1", status="held"))

    assert not helm.hear(100)
    bench.flush()

    assert (bench.control.training_id, bench.control.plan.id) == ("t1", 2)
    assert "training" not in [event["event"] for event in bench.journal]


def test_another_training_in_an_old_directory_is_met(bench: Bench) -> None:
    """It gets a journal segment, a control file that names it, a plan that holds, and nothing that was asked before."""
    helm = bench.helm()
    bench.say(applied(1, 1, 10, 0, 1.0))
    helm.hear(10)
    helm.carry_out(cut(100, action="restore", request=Request(kind="restore", before_step=0)))
    bench.say(applied(3, 3, 200, 110, 0.5))
    helm.hear(200)
    assert bench.scale_at(300) == [0.5]
    bench.say(Acknowledgement("t2", status="refused", refused_because="training"))

    assert helm.hear(200)
    bench.flush()

    assert (bench.control.training_id, bench.control.plan, bench.control.request) == ("t2", hold(4), Request())
    kinds = [event["event"] for event in bench.journal]
    assert kinds[-3:] == ["training", "decision", "acknowledged"]
    assert not helm.in_flight
    assert bench.scale_at(300) == [1.0]


def test_another_training_may_have_come_while_nobody_watched(bench: Bench) -> None:
    """The take-over carries the old state on and then meets the new training, each with a seq of its own."""
    helm = bench.helm()
    bench.say(applied(1, 1, 10, 0, 1.0))
    helm.hear(10)
    helm.carry_out(cut(100))
    bench.flush()
    bench.say(Acknowledgement("t2"))
    bench.helm()

    assert (bench.control.training_id, bench.control.plan) == ("t2", hold(5))
    assert [event["because"] for event in bench.journal if event["event"] == "decision"][-2:] == [
        "takeover",
        "training",
    ]


@pytest.mark.parametrize("lost", ["", "c", "j", "a", "cj", "ca", "ja"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_take_over_begins_above_everything_that_is_left(bench: Bench, lost: str, *, torn: bool) -> None:
    """Whichever one or two of control file, journal and acknowledgement are gone or torn, nothing goes back."""
    first = bench.helm()
    first.carry_out(cut(100))
    bench.flush()
    bench.helm().carry_out(cut(900, 0.25))
    bench.flush()
    bench.say(applied(bench.control.seq, 4, 1000, 900, 0.25, generation=2))
    highest = bench.control.order
    assert highest == (2, 4)
    names = {"c": "control.json", "j": "journal.jsonl", "a": "ack.json"}
    for name in (names[letter] for letter in lost):
        path = bench.home / name
        if torn:
            path.write_bytes(path.read_bytes()[:-20])
        else:
            path.unlink()

    bench.helm(1000)

    assert bench.control.generation > highest[0]
    assert bench.control.seq > highest[1]
    assert bench.control.training_id in (None, "t1")
    if "a" not in lost:
        assert bench.control.training_id == "t1"


@pytest.mark.parametrize("request_kind", [None, "stop"])
def test_what_was_journaled_and_not_published_is_published_after_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, request_kind: str | None
) -> None:
    """A watcher that dies between the line and the file leaves its plan, its id and its request to the next one."""
    helm = bench.helm(config=dataclasses.replace(Config(), schedule=SCHEDULE))
    helm.carry_out(cut(50, 0.7))
    bench.flush()
    asked = None if request_kind is None else Request(kind=request_kind)
    helm.carry_out(cut(100, request=asked))
    with monkeypatch.context() as patch:
        patch.setattr("lrwatch.control.publisher.Publisher.write", _die)
        with pytest.raises(KeyboardInterrupt):
            bench.flush()
    assert bench.control.seq == 2

    bench.helm(config=dataclasses.replace(Config(), schedule=SCHEDULE))

    assert (bench.control.seq, bench.control.plan) == (4, ramp(3, 0.5, 100))
    assert bench.control.request.id == (0 if request_kind is None else 3)
    assert bench.control.base == dataclasses.replace(SCHEDULE, id=1)
    assert bench.control.why is not None
    assert bench.control.why.text == "halve it"
    past = Past(bench.journal, bench.control)
    assert past.acted == [(("loss", "plateau", 50), 50), (("loss", "plateau", 100), 100)]
    assert past.decided_plan == 3


def test_the_base_schedule_keeps_its_id(bench: Bench) -> None:
    """A restart does not begin the schedule anew, even without the control file; another one has its own id."""
    config = dataclasses.replace(Config(), schedule=SCHEDULE)
    bench.helm(config=config)
    bench.helm(config=config)
    assert bench.control.base == dataclasses.replace(SCHEDULE, id=1)
    (bench.home / "control.json").unlink()
    bench.helm(config=config)
    assert bench.control.base == dataclasses.replace(SCHEDULE, id=1)

    other = Plan(0, (Segment("cosine", 1.0, 0.1, 1000),), start_step=0)
    bench.helm(config=dataclasses.replace(config, schedule=other))
    assert bench.control.base == dataclasses.replace(other, id=bench.control.seq)
    bench.helm()
    assert bench.control.base is None


def test_advice_is_marked_as_such(bench: Bench) -> None:
    """In advise mode the control file says so, and scales are those at which the training really is."""
    helm = bench.helm(mode="advise")
    bench.say(applied(1, 1, 10, 0, 0.8, status="held"))
    helm.hear(10)
    helm.carry_out(cut(100, 0.4))
    bench.flush()

    assert bench.control.mode == "advise"
    assert helm.held
    assert (helm.scale, helm.goal) == (0.8, 0.4)
    bench.helm(mode="auto")
    assert bench.control.mode == "auto"


def test_who_asks_a_person_waits(bench: Bench) -> None:
    """Approve mode publishes what holds already, to be applied, and waits with everything new."""
    helm = bench.helm(mode="approve")

    assert helm.waits_for_person
    assert bench.control.mode == "auto"


def test_goal_is_where_the_plan_ends(bench: Bench) -> None:
    """A ramp's goal is its end; the goal of a hold is where the training stands."""
    helm = bench.helm()
    assert helm.goal == helm.scale == 1.0
    bench.say(applied(1, 1, 10, 0, 0.8, from_scale=0.8))
    helm.hear(10)
    assert helm.goal == 0.8
    helm.carry_out(cut(100, 0.4))
    assert helm.goal == helm.scale == 0.4


def test_the_base_schedules_part_is_not_counted_twice(bench: Bench) -> None:
    """The plan multiplies the schedule: what a training stands at under a schedule is not what its plan stands at."""
    helm = bench.helm(config=dataclasses.replace(Config(), schedule=SCHEDULE))
    half = applied(1, 1, 500, 0, 0.75, base_id=1, base_start_step=0)
    bench.say(half)
    helm.hear(500)
    assert helm.goal == 1.0
    bench.say(dataclasses.replace(half, plan_id=0, from_scale=None, start_step=None))
    helm.hear(500)
    assert helm.goal == 1.0
    helm.carry_out(cut(500, 0.5))
    assert helm.goal == 0.5


def test_alive_until_silent_for_a_minute(bench: Bench) -> None:
    """A client is stale when nothing in its acknowledgement has changed for a minute of monotonic time."""
    helm = bench.helm()
    heard = [helm.client]
    ack = applied(1, 1, 10, 0, 1.0)
    bench.say(ack)
    helm.hear(10)
    bench.clock.set_wall(9e9)
    for seconds in (0.0, STALE_SECONDS / 2, STALE_SECONDS / 2, 0.1):
        bench.clock.advance(seconds)
        helm.hear(10)
        heard.append(helm.client)
    bench.say(dataclasses.replace(ack, step=11))
    helm.hear(10)
    heard.append(helm.client)

    assert heard == ["absent", "alive", "alive", "alive", "stale", "alive"]


def test_in_flight_until_the_training_has_begun_the_plan(bench: Bench) -> None:
    """Having seen a plan is not enough: it must have begun."""
    helm = bench.helm()
    assert not helm.in_flight
    helm.carry_out(cut(100))
    assert helm.in_flight
    bench.say(dataclasses.replace(applied(2, 2, 100, 0, 1.0), start_step=None))
    helm.hear(100)
    assert helm.in_flight
    bench.say(applied(2, 2, 105, 105, 1.0))
    helm.hear(100)
    assert not helm.in_flight


def test_in_flight_over_a_restart(bench: Bench) -> None:
    """The next watcher knows that the decision of the one before is not yet begun, or that it is."""
    bench.helm().carry_out(cut(100))
    bench.flush()
    assert bench.helm().in_flight
    bench.say(applied(3, 2, 105, 105, 1.0))
    assert not bench.helm().in_flight


def test_only_what_matters_of_an_acknowledgement_is_journaled(bench: Bench) -> None:
    """Passing steps, and the scale along a ramp, are no lines; a begun plan is one, and a restart adds none."""
    helm = bench.helm()
    for step, scale in ((10, 1.0), (20, 0.9), (30, 0.8)):
        bench.say(applied(1, 1, step, 0, scale))
        helm.hear(step)
    bench.flush()
    again = bench.helm()
    again.hear(30)
    bench.say(applied(3, 1, 40, 0, 0.8))
    again.hear(40)
    bench.flush()

    lines = [event for event in bench.journal if event["event"] == "acknowledged"]
    assert [(line["seq"], line["step"], line["scale"]) for line in lines] == [(1, 10, 1.0), (3, 40, 0.8)]


def test_the_judges_learn_the_scale_along_a_ramp(bench: Bench) -> None:
    """From the acknowledged start on, the rates follow the plan, now and after a restart."""
    helm = bench.helm()
    helm.carry_out(cut(100, 0.25, steps=100))
    bench.say(applied(2, 2, 110, 110, 1.0))
    helm.hear(110)
    bench.flush()
    scales = bench.scale_at(109, 110, 160, 210, 10_000)
    assert scales == [1.0, 1.0, 0.5, 0.25, 0.25]
    bench.rates = Rates()
    bench.helm(200)

    assert bench.scale_at(109, 110, 160, 210, 10_000) == scales


def test_the_judges_learn_the_schedule_and_the_clients_bounds(bench: Bench) -> None:
    """The scale in use is base times plan within what the training allows."""
    helm = bench.helm(config=dataclasses.replace(Config(), schedule=SCHEDULE))
    bench.say(
        applied(1, 1, 10, 0, 1.0, base_id=1, base_start_step=0, min_scale=0.6, status="clamped"),
    )
    helm.hear(10)

    assert bench.scale_at(0, 500, 790, 1000, 5000) == [1.0, 0.75, 0.6095, 0.6, 0.6]


def test_the_judges_learn_in_the_logs_own_steps(bench: Bench) -> None:
    """Where the log counts epochs, a scale that began at the client's step 50,000 began in epoch 50, also later."""
    helm = bench.helm(40)
    bench.say(applied(1, 1, 40_000, 0, 1.0))
    helm.hear(40)
    helm.carry_out(cut(45, 0.5, steps=0))
    bench.say(applied(3, 3, 51_000, 50_000, 0.5))
    helm.hear(51)
    bench.flush()
    assert bench.scale_at(49, 50) == [1.0, 0.5]
    bench.rates = Rates()
    bench.helm(51)

    assert bench.scale_at(49, 50) == [1.0, 0.5]


def test_a_plan_that_repeats_is_known_by_what_is_acknowledged(bench: Bench) -> None:
    """Of a cycle only the acknowledged scale is believed."""
    helm = bench.helm()
    decision = dataclasses.replace(cut(0), plan=Plan(0, (Segment("cosine", 1.0, 0.1, 10),), repeat_from=0))
    helm.carry_out(decision)
    bench.say(applied(2, 2, 15, 0, 0.55))
    helm.hear(15)

    assert bench.scale_at(14, 15, 16) == [1.0, 0.55, 0.55]


@pytest.mark.parametrize("claim", [{"seq": MAX_STEP}, {"generation": MAX_STEP}])
def test_an_impossible_acknowledgement_is_not_begun_above(bench: Bench, claim: dict[str, int]) -> None:
    """A forged word must not drive seq to where no reader accepts it any more."""
    bench.say(dataclasses.replace(applied(1, 1, 10, 0, 1.0), **claim))  # type: ignore[arg-type]
    bench.helm()

    assert bench.control.seq < 10
    assert bench.control.generation < 10


def test_no_room_above_is_said(bench: Bench) -> None:
    """A control file at the end of all numbers cannot be taken over, and is not overwritten with what none can read."""
    bench.home.mkdir()
    full = Control("exp", "other", 3, MAX_STEP, hold())
    (bench.home / "control.json").write_bytes(full.encode())

    with pytest.raises(NotPossible, match="no room"):
        bench.helm()
    assert bench.control == full


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_checkpoint_from_another_directory_is_met_above_its_seq(bench: Bench) -> None:
    """A client that has followed seq 40 elsewhere refuses anything lower, so the next seq lies above."""
    helm = bench.helm()
    bench.say(applied(40, 38, 900, 800, 0.3, generation=3))

    helm.hear(1000)
    bench.flush()

    assert bench.control.order > (3, 40)
    assert bench.control.training_id == "t1"
    assert bench.journal
