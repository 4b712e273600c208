"""What a watcher takes from the files of the one before it, and what it leaves."""

import dataclasses
from typing import Any

import pytest

from lrwatch.control.events import Event, gap_event, published_event, training_event, verdict_event
from lrwatch.control.past import Past
from lrwatch.model import Gap, Verdict
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, Segment, Why, hold, ramp

START = Control("exp", "one", 1, 1, hold(1))
CUT = dataclasses.replace(START, seq=2, plan=ramp(2, 0.5, 10), why=Why("plateau", "loss", 90, "halve it"))


def line(control: Control, **more: Any) -> Event:
    """Return the decision line of a state."""
    return published_event(control, 90, "scale", "plateau", **more)


def verdict(step: int = 80, state: Any = "raised", signal: str = "loss") -> Event:
    """Return the event of a plateau."""
    return verdict_event("exp", Verdict(state, signal, "plateau", step, 0, "info", "flat"))


ABOUT = {"signal": "loss", "verdict_step": 80, "text": "halve it"}


def test_nothing_is_left_of_a_run_that_was_never_watched() -> None:
    """Empty files have no past."""
    past = Past([], None)

    assert (past.seq, past.generation, past.control, past.decided_plan) == (0, 0, None, 0)
    assert (past.acted, past.applied, past.plans) == ([], [], {})


def test_the_control_file_is_carried_on() -> None:
    """Where journal and control file agree, the control file is what is carried on."""
    past = Past([line(START), line(CUT, **ABOUT)], CUT)

    assert past.control == CUT
    assert past.plans == {1: hold(1), 2: ramp(2, 0.5, 10)}
    assert past.acted == [(("loss", "plateau", 80), 90)]
    assert past.decided_plan == 2


def test_a_line_ahead_of_the_control_file_is_carried_on() -> None:
    """A decision that did not reach the control file counts, with all that is needed to publish it."""
    base = Plan(1, (Segment("linear", 1.0, 0.5, 100),), start_step=0)
    asked = dataclasses.replace(CUT, training_id="t1", base=base, request=Request(2, "restore", 70), mode="advise")
    past = Past([line(START), line(asked, **ABOUT)], dataclasses.replace(START, beat=7))

    assert past.control == dataclasses.replace(asked, writer="", beat=7)


def test_a_line_of_an_earlier_version_is_understood() -> None:
    """Journals from before the base schedule and the reason were journaled still have their plans."""
    old = {key: value for key, value in line(CUT).items() if key not in ("base", "text", "signal")}
    past = Past([old], None)

    assert past.control is not None
    assert (past.control.plan, past.control.why) == (CUT.plan, None)


@pytest.mark.parametrize("spoilt", [{"plan": None}, {"plan": {"id": 2}}, {"request": 7}, {"mode": "x"}, {"run": None}])
def test_a_line_that_cannot_be_published_again_only_counts(spoilt: Event) -> None:
    """Its seq is used up, and nothing else is taken from it."""
    past = Past([line(START), {**line(CUT, **ABOUT), **spoilt}], None)

    assert past.seq == 2
    assert past.control is not None
    assert past.control.plan == hold(1)
    assert past.acted == []


def test_a_lost_line_is_replaced_by_what_the_control_file_says() -> None:
    """The reason in the control file tells which verdict its plan answers."""
    past = Past([line(START)], CUT)

    assert past.decided_plan == 2
    assert past.acted == [(("loss", "plateau", 90), 90)]
    assert past.open_episodes == {("loss", "plateau"): ("loss", "plateau", 90)}


def test_seq_and_generation_are_the_highest_of_all() -> None:
    """Each of the three files may be the one that survived."""
    past = Past([line(dataclasses.replace(CUT, seq=9, generation=2))], CUT)
    past.add_acknowledgement(Acknowledgement("t1", generation=5, seq=3))

    assert (past.generation, past.seq) == (5, 9)


def test_open_episodes_are_those_not_cleared() -> None:
    """A verdict that was raised and cleared is no story any more."""
    past = Past([verdict(10), verdict(20, "cleared"), verdict(30), verdict(40, signal="other")], None)

    assert set(past.open_episodes.values()) == {("loss", "plateau", 30), ("other", "plateau", 40)}


def test_another_training_inherits_nothing_but_the_numbers() -> None:
    """After a `training` line nothing was decided, and what was open before it is bygone."""
    history = [
        line(START),
        verdict(80),
        line(CUT, **ABOUT),
        training_event("exp", "t2", 100),
        line(dataclasses.replace(START, seq=3, plan=hold(3), training_id="t2")),
    ]
    past = Past(history, None)

    assert (past.seq, past.acted, past.decided_plan, past.open_episodes) == (3, [], 0, {})
    assert past.bygone == {("loss", "plateau")}
    assert past.control is not None
    assert past.control.training_id == "t2"


def test_each_line_answers_for_one_event() -> None:
    """A log that tells the same thing twice has told it twice if the journal has it twice."""
    past = Past([verdict(80), verdict(80)], None)

    assert [past.recognises(verdict(80)) for _ in range(3)] == [True, True, False]
    assert not past.recognises(verdict(81))
    assert not past.recognises(verdict(80, "cleared"))


def test_a_gap_is_recognised_wherever_it_is_met() -> None:
    """Its step depends on how far other files were read: what is missing, and why, is what tells it."""
    past = Past([gap_event("exp", Gap("corrupt", 40), 100)], None)

    assert past.recognises(gap_event("exp", Gap("corrupt", 40), 130))
    assert not past.recognises(gap_event("exp", Gap("corrupt", 40), 100))


def test_other_events_are_never_recognised() -> None:
    """Decisions and acknowledgements are made, not found in a log."""
    past = Past([line(CUT)], None)

    assert not past.recognises(line(CUT))
