"""The protocol under any document, well-formed or not."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwatch.errors import ProtocolError
from lrwatch.protocol import (
    Acknowledgement,
    Control,
    Plan,
    Request,
    Segment,
    Why,
    decode_acknowledgement,
    decode_control,
    plan_from_json,
)
from lrwatch.protocol.acknowledgement import STATUSES, STEP_AXES
from lrwatch.protocol.control import MODES, REQUESTS
from lrwatch.protocol.plan import MAX_SCALE, MAX_STEP, MIN_SCALE, SHAPES

steps = st.integers(0, MAX_STEP)
scales = st.floats(MIN_SCALE, MAX_SCALE)
texts = st.text(max_size=40)
lengths = st.one_of(st.integers(0, 50), steps)


@st.composite
def segments(draw: st.DrawFn, *, may_stand: bool) -> Segment:
    """Return a segment that the protocol allows."""
    shape = draw(st.sampled_from(SHAPES))
    start = draw(st.none() | scales) if may_stand else draw(scales)
    return Segment(shape, start, None if shape == "constant" else draw(scales), draw(lengths))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return a plan that the protocol allows."""
    start_step = draw(st.none() | steps)
    parts = [draw(segments(may_stand=start_step is None))]
    parts += draw(st.lists(segments(may_stand=False), max_size=5))
    repeat_from = draw(st.none() | st.integers(0, len(parts) - 1))
    if repeat_from is not None and sum(part.steps for part in parts[repeat_from:]) == 0:
        repeat_from = None
    return Plan(draw(steps), tuple(parts), start_step, repeat_from)


requests = st.builds(Request, steps, st.sampled_from(REQUESTS), st.none() | steps, st.none() | steps)
reasons = st.builds(Why, texts, st.none() | texts, st.none() | st.integers(-(10**15), 10**15), texts)
times = st.floats(0, 1e18)
controls = st.builds(
    Control,
    run=texts,
    writer=texts,
    generation=steps,
    seq=steps,
    plan=plans(),
    training_id=st.none() | texts,
    beat=steps,
    mode=st.sampled_from(MODES),
    base=st.none() | plans(),
    request=requests,
    why=st.none() | reasons,
    issued_at=times,
)
rates = st.lists(st.floats(-1e300, 1e300), max_size=4).map(tuple)
acknowledgements = st.builds(
    Acknowledgement,
    training_id=texts,
    generation=steps,
    seq=steps,
    plan_id=steps,
    request_id=steps,
    beat=steps,
    status=st.sampled_from(STATUSES),
    refused_because=st.none() | texts,
    step=st.none() | steps,
    step_axis=st.sampled_from(STEP_AXES),
    start_step=st.none() | steps,
    from_scale=st.none() | scales,
    base_id=steps,
    base_start_step=st.none() | steps,
    base_from_scale=st.none() | scales,
    scale=scales,
    min_scale=scales,
    max_scale=scales,
    base_lr=rates,
    lr=rates,
    optimizer=st.none() | texts,
    total_steps=st.none() | steps,
    restored_to_step=st.none() | steps,
    finished=st.booleans(),
    world_size=st.integers(1, MAX_STEP),
    pid=steps,
    host=texts,
    at=times,
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(controls)
def test_a_control_file_comes_back_as_it_went(control: Control) -> None:
    """Decoding undoes encoding, for every state a watcher can want."""
    assert decode_control(control.encode()) == control


@given(acknowledgements)
def test_an_acknowledgement_comes_back_as_it_went(ack: Acknowledgement) -> None:
    """Decoding undoes encoding, for every state a client can be in."""
    assert decode_acknowledgement(ack.encode()) == ack


@given(plans())
def test_a_plan_comes_back_as_it_went(plan: Plan) -> None:
    """Every shape, start, jump and repetition survives the file."""
    assert plan_from_json(json.loads(json.dumps(plan.to_json()))) == plan


def _decodes_or_is_refused(data: bytes) -> None:
    for decode in (decode_control, decode_acknowledgement):
        reason = "field"
        try:
            decode(data)
        except ProtocolError as error:
            reason = error.reason
        assert reason in {"schema", "json", "number", "size", "field"}


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_protocol_error(data: bytes) -> None:
    """Noise is refused with a reason."""
    _decodes_or_is_refused(data)


@given(st.one_of(controls, acknowledgements), st.data())
def test_no_damaged_document_raises_anything_but_a_protocol_error(
    document: Control | Acknowledgement, data: st.DataObject
) -> None:
    """Bytes cut, replaced or put into a good document are refused, or leave another good one."""
    good = document.encode()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    _decodes_or_is_refused(good[:start] + data.draw(st.binary(max_size=12)) + good[end:])
    _decodes_or_is_refused(good[:start])


@given(st.one_of(controls, acknowledgements), st.data())
def test_no_strange_value_raises_anything_but_a_protocol_error(
    document: Control | Acknowledgement, data: st.DataObject
) -> None:
    """Any JSON value in the place of any other is refused with a reason, or understood."""
    fields: Any = json.loads(document.encode())
    place = fields
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(trees)
        break
    _decodes_or_is_refused(json.dumps(fields).encode())


@given(plans(), st.one_of(st.integers(-10, 400), st.integers(-MAX_STEP, MAX_STEP)), scales)
def test_a_scale_is_a_number_in_range_at_every_step(plan: Plan, elapsed: int, standing: float) -> None:
    """No plan, at no step, gives NaN, infinity, or a scale outside of [1e-6, 1e6]."""
    scale = plan.scale_at(elapsed, standing)
    assert math.isfinite(scale)
    assert MIN_SCALE <= scale <= MAX_SCALE


@given(plans(), st.integers(0, 400), st.integers(0, 10**6), scales)
def test_a_settled_plan_moves_no_more(plan: Plan, elapsed: int, more: int, standing: float) -> None:
    """From a settled step on all scales are equal."""
    if plan.settled(elapsed):
        assert plan.scale_at(elapsed + more, standing) == plan.scale_at(elapsed, standing)


@given(scales, scales, st.integers(1, 1000), st.data())
def test_within_a_segment_the_scale_lies_between_its_ends(
    start: float, end: float, length: int, data: st.DataObject
) -> None:
    """No shape overshoots."""
    shape = data.draw(st.sampled_from(["linear", "geometric", "cosine", "inverse"]))
    scale = Segment(shape, start, end, length).at(data.draw(st.integers(0, length)), 1.0)
    slack = 1 + 1e-9
    assert min(start, end) / slack <= scale <= max(start, end) * slack


@pytest.mark.parametrize("depth", [10, 100, 400, 900, 1500, 5000, 30000])
@pytest.mark.parametrize("key", ["run", "seq", "plan", "base", "request", "why", "mode", "extra"])
def test_no_depth_of_nesting_raises_anything_but_a_protocol_error(depth: int, key: str) -> None:
    """A document that is nested too deeply to be read, or to be shown, is refused."""
    plan = Plan(1, (Segment("constant", None, None, 0),))
    fields = {**json.loads(Control("r", "w", 1, 1, plan).encode()), key: "@"}
    nested = {"text": "@"} if key == "why" else "@"
    text = json.dumps({**fields, key: nested}).replace('"@"', "[" * depth + "]" * depth)
    _decodes_or_is_refused(text.encode())
