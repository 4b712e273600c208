"""What a plan says at any step."""

import math

import pytest

from lrwatch.errors import ProtocolError
from lrwatch.protocol import Plan, Segment, hold, plan_from_json, ramp
from lrwatch.protocol.plan import MAX_SCALE, MIN_SCALE


@pytest.mark.parametrize(
    ("shape", "middle"),
    [
        ("linear", 0.6),
        ("geometric", math.sqrt(0.2)),
        ("cosine", 0.6),
        ("inverse", 1.0 / 3.0),
    ],
)
def test_a_segment_goes_from_its_start_over_its_formula_to_its_end(shape: str, middle: float) -> None:
    """A segment from 1 to 0.2 in 100 steps has its start at u = 0, the formula's value at 1/2, its end at 1."""
    plan = Plan(1, (Segment(shape, 1.0, 0.2, 100),))
    assert plan.scale_at(0) == 1.0
    assert plan.scale_at(50) == pytest.approx(middle, rel=1e-12)
    assert plan.scale_at(100) == 0.2
    assert plan.scale_at(10**9) == 0.2


def test_a_constant_segment_keeps_its_start_to_the_end() -> None:
    """A constant segment has one value, which also holds after it."""
    plan = Plan(1, (Segment("constant", 0.3, None, 100),))
    assert [plan.scale_at(t) for t in (0, 50, 100, 1000)] == [0.3] * 4


def test_segments_follow_one_another_without_a_step_between() -> None:
    """The step at which a segment ends is the first of the next."""
    plan = Plan(1, (Segment("linear", 1.0, 0.5, 10), Segment("linear", 0.5, 0.1, 4)))
    assert plan.steps == 14
    assert plan.scale_at(9) == pytest.approx(0.55)
    assert plan.scale_at(10) == 0.5
    assert plan.scale_at(12) == pytest.approx(0.3)
    assert plan.scale_at(14) == 0.1


def test_a_segment_without_steps_jumps() -> None:
    """A segment of 0 steps is at its end at once, alone or between others."""
    assert ramp(1, to=0.5, steps=0).scale_at(0, standing=1.0) == 0.5
    plan = Plan(1, (Segment("constant", 1.0, None, 3), Segment("linear", 1.0, 0.2, 0), Segment("linear", 0.2, 0.1, 2)))
    assert [plan.scale_at(t) for t in (2, 3)] == [1.0, 0.2]


def test_a_repeating_plan_goes_on_at_the_segment_it_names() -> None:
    """With repeat_from 1 the first segment runs once and the others for ever."""
    plan = Plan(1, (Segment("linear", 1.0, 0.5, 10), Segment("linear", 0.5, 0.1, 4)), repeat_from=1)
    for lap in range(1, 5):
        assert plan.scale_at(10 + 4 * lap) == 0.5
        assert plan.scale_at(12 + 4 * lap) == pytest.approx(0.3)
    assert not plan.settled(10**9)


def test_a_null_start_is_where_the_client_stands() -> None:
    """A first segment without a start goes on from the scale that the client has."""
    plan = ramp(1, to=0.5, steps=100)
    assert plan.scale_at(0, standing=0.8) == pytest.approx(0.8)
    assert plan.scale_at(50, standing=0.8) == pytest.approx(math.sqrt(0.8 * 0.5))


def test_before_its_start_a_plan_leaves_the_scale_alone() -> None:
    """A negative number of steps since the start gives the scale that was held."""
    assert Plan(1, (Segment("linear", 1.0, 0.5, 10),), start_step=100).scale_at(-1, standing=0.7) == 0.7


def test_the_plan_before_any_decision_changes_nothing() -> None:
    """`hold` gives the standing scale at every step."""
    assert [hold().scale_at(t, standing=0.123) for t in (-5, 0, 5)] == [0.123] * 3


def test_a_plan_is_settled_from_its_last_step_on() -> None:
    """Settled means that no later step has another scale."""
    plan = ramp(1, to=0.5, steps=10)
    assert not plan.settled(9)
    assert plan.settled(10)
    assert hold().settled(0)
    assert not hold().settled(-1)


@pytest.mark.parametrize("shape", ["linear", "geometric", "cosine", "inverse"])
def test_the_widest_segment_stays_in_range(shape: str) -> None:
    """Rounding never carries a scale out of [1e-6, 1e6]."""
    for start, end in ((MIN_SCALE, MAX_SCALE), (MAX_SCALE, MIN_SCALE)):
        plan = Plan(1, (Segment(shape, start, end, 2**53),))
        for t in (0, 1, 2**52, 2**53 - 1, 2**53):
            assert MIN_SCALE <= plan.scale_at(t) <= MAX_SCALE


_GOOD = {"id": 3, "start_step": None, "segments": [{"shape": "linear", "from": None, "to": 0.5, "steps": 4}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segments": []}, "field"),
        ({"segments": [_GOOD["segments"][0]] * 257}, "field"),  # type: ignore[index]
        ({"segments": [7]}, "field"),
        ({"segments": [{"shape": "square", "from": 1.0, "to": 0.5, "steps": 4}]}, "field"),
        ({"segments": [{"shape": "linear", "from": 1.0, "steps": 4}]}, "field"),
        ({"segments": [{"shape": "linear", "from": 1.0, "to": 0.5, "steps": 4.0}]}, "field"),
        ({"segments": [{"shape": "linear", "from": True, "to": 0.5, "steps": 4}]}, "field"),
        ({"segments": [{"shape": "linear", "from": 1.0, "to": 0.5, "steps": -1}]}, "number"),
        ({"segments": [{"shape": "linear", "from": 0.0, "to": 0.5, "steps": 4}]}, "number"),
        ({"segments": [{"shape": "linear", "from": 1.0, "to": 2e6, "steps": 4}]}, "number"),
        ({"start_step": 5}, "field"),
        ({"start_step": -5}, "number"),
        ({"start_step": 1.5}, "field"),
        ({"repeat_from": 1}, "number"),
        ({"id": "3"}, "field"),
        ({"id": -1}, "number"),
    ],
)
def test_a_plan_that_breaks_a_rule_is_refused(change: dict[str, object], reason: str) -> None:
    """Each rule of the contract has a refusal with its reason."""
    assert plan_from_json(_GOOD).scale_at(4) == 0.5
    with pytest.raises(ProtocolError) as caught:
        plan_from_json({**_GOOD, **change})
    assert caught.value.reason == reason


def test_repeating_nothing_is_refused() -> None:
    """A repetition without steps would never end."""
    jump = {"shape": "linear", "from": 1.0, "to": 0.5, "steps": 0}
    with pytest.raises(ProtocolError, match="no steps"):
        plan_from_json({"id": 1, "segments": [_GOOD["segments"][0], jump], "repeat_from": 1})  # type: ignore[index]
