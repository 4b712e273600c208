"""How the client follows a control file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from lrwatch.protocol import Plan, Segment, hold, ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


def test_without_a_control_file_the_scale_is_one(run: Run) -> None:
    """A missing file changes nothing and is no rejection."""
    client = run.client()
    for step in range(5):
        assert client.scale(step) == 1.0
        run.later()
    assert client.rejections == {}


def test_the_first_call_reads_the_file_at_once(run: Run) -> None:
    """A training that starts under a cut does not make one step without it."""
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    assert run.client().scale(0) == 0.5


def test_the_file_is_read_once_per_interval(run: Run) -> None:
    """Until poll_seconds have passed a new file is not looked at, however many steps are made."""
    client = run.client(poll_seconds=2.0)
    client.scale(0)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later(1.9)
    assert client.scale(1) == 1.0
    run.later(0.1)
    assert client.scale(2) == 0.5


def test_a_long_interval_is_cut_to_ten_seconds(run: Run) -> None:
    """The acknowledgement has to be renewed every 10 s, so the file is read as often."""
    client = run.client(poll_seconds=3600)
    client.scale(0)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later(10.0)
    assert client.scale(1) == 0.5


def test_a_plan_with_a_null_start_begins_at_the_step_that_sees_it(run: Run) -> None:
    """Its first segment goes on from where the client stands, and the acknowledgement tells both."""
    client = run.client()
    client.scale(99)
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    run.later()
    assert client.scale(100) == 1.0
    assert client.scale(105) == pytest.approx(0.5)
    run.later()
    assert client.scale(110) == 0.25
    ack = run.ack()
    assert (ack.plan_id, ack.start_step, ack.from_scale, ack.scale) == (1, 100, 1.0, 0.25)


def test_a_new_seq_with_the_same_plan_restarts_nothing(run: Run) -> None:
    """The start is keyed on the plan's id: a change of anything else leaves the ramp alone."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(100)
    run.publish(2, plan=ramp(1, to=0.25, steps=10), beat=7)
    run.later()
    assert client.scale(105) == pytest.approx(0.5)
    assert client.scale(110) == 0.25
    run.later(11)
    client.scale(111)
    assert (run.ack().seq, run.ack().beat, run.ack().start_step) == (2, 7, 100)


def test_a_plan_that_arrives_in_mid_ramp_goes_on_from_the_present_scale(run: Run) -> None:
    """Nothing jumps when one plan takes over from another."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(100)
    before = client.scale(105)
    run.publish(2, plan=ramp(2, to=1.0, steps=10))
    run.later()
    assert client.scale(106) == pytest.approx(before)
    assert client.scale(116) == 1.0
    assert run.ack().from_scale == pytest.approx(before)


def test_a_plan_with_a_numeric_start_waits_for_it_at_the_present_scale(run: Run) -> None:
    """Every rank begins at the same global step, and the scale before it is the one that was held."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(10)
    run.publish(2, plan=Plan(2, (Segment("linear", 0.2, 0.1, 10),), start_step=20))
    run.later()
    assert [client.scale(step) for step in (11, 19)] == [0.5, 0.5]
    assert run.ack().start_step is None
    assert client.scale(20) == 0.2
    run.later()
    assert client.scale(25) == pytest.approx(0.15)
    assert run.ack().start_step == 20


def test_a_numeric_start_that_has_passed_counts_from_itself(run: Run) -> None:
    """A client that sees such a plan late is where all the others are."""
    run.publish(1, plan=Plan(1, (Segment("linear", 1.0, 0.5, 10),), start_step=20))
    assert run.client().scale(25) == pytest.approx(0.75)


def test_the_base_schedule_multiplies_the_plan(run: Run) -> None:
    """The scale is base times plan, each with its own start keyed on its own id."""
    base = Plan(1, (Segment("linear", 1.0, 0.0 + 0.5, 100),))
    client = run.client()
    run.publish(1, base=base)
    assert client.scale(0) == 1.0
    run.publish(2, base=base, plan=ramp(2, to=0.5, steps=0))
    run.later()
    assert client.scale(50) == pytest.approx(0.75 * 0.5)
    assert client.scale(100) == pytest.approx(0.25)
    run.publish(3, base=None, plan=ramp(2, to=0.5, steps=0))
    run.later()
    assert client.scale(101) == 0.5


def test_a_plan_under_a_base_schedule_stands_on_its_own_factor(run: Run) -> None:
    """A null start takes over the plan's part of the scale, so that the base is not counted twice."""
    base = Plan(1, (Segment("constant", 0.5, None, 0),))
    client = run.client()
    run.publish(1, base=base, plan=ramp(1, to=0.4, steps=0))
    assert client.scale(0) == pytest.approx(0.2)
    run.publish(2, base=base, plan=hold(2))
    run.later()
    assert client.scale(1) == pytest.approx(0.2)
    assert run.ack().from_scale == pytest.approx(0.4)


@pytest.mark.parametrize("mode", ["advise", "paused"])
def test_without_a_mode_that_applies_the_scale_stays(run: Run, mode: str) -> None:
    """A pause in mid-ramp keeps the scale last applied, and nothing new comes through."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(0)
    before = client.scale(5)
    run.publish(2, plan=ramp(2, to=0.1, steps=0), mode=mode)
    run.later()
    assert [client.scale(step) for step in (6, 50)] == [before, before]
    ack = run.ack()
    assert (ack.status, ack.seq, ack.scale, ack.start_step) == ("held", 2, before, None)


def test_after_a_pause_the_same_plan_is_where_its_steps_say(run: Run) -> None:
    """The value belongs to the step, so that pausing and going on restarts nothing."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(0)
    run.publish(2, plan=ramp(1, to=0.25, steps=10), mode="paused")
    run.later()
    client.scale(2)
    run.publish(3, plan=ramp(1, to=0.25, steps=10))
    run.later()
    assert client.scale(5) == pytest.approx(0.5)
    assert run.ack().start_step == 0


def test_a_plan_that_was_only_advised_begins_when_it_is_applied(run: Run) -> None:
    """What was seen in mode advise has not begun."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10), mode="advise")
    assert [client.scale(step) for step in range(3)] == [1.0] * 3
    run.publish(2, plan=ramp(1, to=0.25, steps=10))
    run.later()
    assert client.scale(3) == 1.0
    assert client.scale(8) == pytest.approx(0.5)


def test_the_trainings_own_bounds_win(run: Run) -> None:
    """No control file gets past min_scale and max_scale, and the acknowledgement says that it was clamped."""
    client = run.client(min_scale=0.1, max_scale=1.0)
    run.publish(1, plan=ramp(1, to=1e-6, steps=0))
    assert client.scale(0) == 0.1
    assert run.ack().status == "clamped"
    run.publish(2, plan=ramp(2, to=1e6, steps=0))
    run.later()
    assert client.scale(1) == 1.0
    run.publish(3, plan=ramp(3, to=0.5, steps=0))
    run.later()
    assert client.scale(2) == 0.5
    assert run.ack().status == "applied"


def test_the_next_plan_starts_from_the_clamped_scale(run: Run) -> None:
    """Where the client stands is what the optimizer really used."""
    client = run.client(max_scale=1.0)
    run.publish(1, plan=ramp(1, to=100.0, steps=0))
    client.scale(0)
    run.publish(2, plan=ramp(2, to=0.25, steps=10))
    run.later()
    assert client.scale(1) == 1.0
    assert client.scale(6) == pytest.approx(0.5)


def test_a_step_back_before_the_start_keeps_the_plans_first_value(run: Run) -> None:
    """A cut that came with a restore outlasts the restore; a ramp waits at its beginning."""
    client = run.client()
    client.scale(99)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later()
    assert client.scale(100) == 0.5
    assert client.scale(40) == 0.5
    run.publish(2, plan=ramp(2, to=0.125, steps=10))
    run.later()
    client.scale(60)
    assert client.scale(70) == 0.125
    assert client.scale(50) == 0.5
    assert client.scale(65) == pytest.approx(0.25)


def test_a_settled_plan_still_moves_when_the_steps_go_back(run: Run) -> None:
    """The short cut for settled plans does not hide a step into the ramp."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(0)
    assert client.scale(100) == 0.25
    assert client.scale(5) == pytest.approx(0.5)
    assert client.scale(6) < 0.5


def test_a_client_that_is_told_no_steps_counts_its_calls(run: Run) -> None:
    """Counting begins at 0, and the acknowledgement says that it is counted."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    scales = [client.scale() for _ in range(11)]
    assert scales[0] == 1.0
    assert scales[5] == pytest.approx(0.5)
    assert scales[10] == 0.25
    run.later(11)
    client.scale()
    assert (run.ack().step, run.ack().step_axis) == (11, "counted")


def test_a_told_step_is_what_calls_without_one_take(run: Run) -> None:
    """`tell` fixes the step until it tells another."""
    client = run.client()
    client.tell(0)
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale()
    client.tell(5)
    assert client.scale() == client.scale() == pytest.approx(0.5)
    run.later()
    client.scale()
    assert (run.ack().step, run.ack().step_axis) == (5, "global")


def test_going_over_to_global_steps_continues_the_ramp(run: Run) -> None:
    """A loop that tells its step only after the first optimizer step does not skip a plan."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    for _ in range(3):
        client.scale()
    client.tell(7003)
    assert client.scale() == pytest.approx(math.exp(math.log(0.25) * 0.3))
    client.tell(7005)
    assert client.scale() == pytest.approx(0.5)
    run.later()
    client.scale()
    assert run.ack().start_step == 7000


@pytest.mark.parametrize("junk", [-1, 2**60, 1.5, "7", None, float("nan"), [], object()])
def test_what_is_no_step_is_counted_and_the_training_goes_on(run: Run, junk: object) -> None:
    """A wrong step never raises: the client counts on by itself."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(0)
    assert 0.25 <= client.scale(junk) <= 1.0  # type: ignore[arg-type]
    assert client.rejections == ({} if junk is None else {"step": 1})
    client.tell(junk)  # type: ignore[arg-type]
    assert client.scale(10) == 0.25


def test_a_number_of_another_library_is_a_step(run: Run) -> None:
    """Whatever can be an index will do."""
    numpy = pytest.importorskip("numpy")
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    client.scale(numpy.int64(0))
    assert client.scale(numpy.int32(5)) == pytest.approx(0.5)


def test_a_plan_repeats_in_the_client_as_in_the_protocol(run: Run) -> None:
    """Warm restarts go on for ever, step by step."""
    plan = Plan(1, (Segment("cosine", 1.0, 0.1, 10), Segment("linear", 0.1, 1.0, 0)), repeat_from=0)
    client = run.client()
    run.publish(1, plan=plan)
    assert [client.scale(step) for step in range(45)] == [plan.scale_at(step) for step in range(45)]
