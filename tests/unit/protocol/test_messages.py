"""The control file and the acknowledgement as documents."""

import json
import math
from typing import Any

import pytest

from lrwatch.errors import ProtocolError
from lrwatch.protocol import (
    Acknowledgement,
    Request,
    decode_acknowledgement,
    decode_control,
    initial_control,
)

EXAMPLE = """{"schema": "lrwatch.control/1", "run": "exp1", "training_id": "5f0c", "writer": "host-4711-a1b2",
 "generation": 1, "seq": 12, "beat": 1812, "mode": "auto",
 "plan": {"id": 12, "start_step": null,
          "segments": [{"shape": "geometric", "from": null, "to": 0.5, "steps": 200}], "repeat_from": null},
 "base": null, "request": {"id": 0, "kind": "none"},
 "why": {"kind": "plateau", "signal": "val/loss", "step": 12000, "text": "no better since step 9400"},
 "issued_at": 1790000000.0}"""


def _changed(path: str, value: object) -> bytes:
    fields: dict[str, Any] = json.loads(EXAMPLE)
    *parents, key = path.split(".")
    place = fields
    for parent in parents:
        place = place[parent]
    place[key] = value
    return json.dumps(fields).encode()


def test_the_example_of_the_contract_is_understood() -> None:
    """The documented control file decodes to what it says."""
    control = decode_control(EXAMPLE.encode())
    assert control.order == (1, 12)
    assert control.applies
    assert control.plan.scale_at(200) == 0.5
    assert control.why is not None
    assert control.why.signal == "val/loss"
    assert decode_control(control.encode()) == control


def test_the_state_before_any_decision_asks_for_nothing() -> None:
    """The initial control holds the scale and requests nothing."""
    control = decode_control(initial_control("exp1", "w").encode())
    assert (control.seq, control.base, control.request) == (0, None, Request())


@pytest.mark.parametrize("mode", ["advise", "paused"])
def test_advising_and_paused_control_is_not_to_be_applied(mode: str) -> None:
    """Only the modes auto and approve apply the plan."""
    assert not decode_control(_changed("mode", mode)).applies
    assert decode_control(_changed("mode", "approve")).applies


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("schema", "lrwatch.control/2", "schema"),
        ("schema", None, "schema"),
        ("run", 7, "field"),
        ("training_id", 7, "field"),
        ("writer", None, "field"),
        ("generation", -1, "number"),
        ("seq", 1.0, "field"),
        ("seq", True, "field"),
        ("seq", 2**53 + 1, "number"),
        ("beat", "1", "field"),
        ("mode", "on", "field"),
        ("plan", None, "field"),
        ("plan.segments", {}, "field"),
        ("base", [], "field"),
        ("request", "stop", "field"),
        ("request.kind", "explode", "field"),
        ("request.id", -1, "number"),
        ("issued_at", -1.0, "number"),
    ],
)
def test_a_bad_field_of_the_control_file_is_refused(path: str, value: object, reason: str) -> None:
    """Every field that a client acts on has its type and its range."""
    with pytest.raises(ProtocolError) as caught:
        decode_control(_changed(path, value))
    assert caught.value.reason == reason


@pytest.mark.parametrize("why", [None, 7, "because", {}, {"kind": 7, "signal": [], "step": 1.5, "text": "\ud800"}])
def test_a_strange_reason_is_no_cause_to_refuse(why: object) -> None:
    """The reason is for people; the plan beside it still counts, and what is shown of it can be printed."""
    control = decode_control(_changed("why", why))
    assert control.plan.id == 12
    if control.why is not None:
        control.why.text.encode()


def test_text_that_cannot_be_printed_is_made_printable() -> None:
    """A run in a directory whose name is no UTF-8 keeps working, and its name can be shown."""
    assert decode_control(_changed("run", "b\udce9b\u00e9")).run == "b?b\u00e9"


def test_unknown_keys_are_for_later_versions() -> None:
    """A field that this version does not know is left alone."""
    assert decode_control(_changed("novelty", {"a": [1]})).seq == 12


def test_a_restore_request_tells_where_and_how_much_to_leave_out() -> None:
    """The request's numbers come through, and stay out of the file where there are none."""
    control = decode_control(_changed("request", {"id": 5, "kind": "restore", "before_step": 900, "skip_batches": 3}))
    assert control.request == Request(5, "restore", 900, 3)
    assert Request(5, "stop").to_json() == {"id": 5, "kind": "stop"}


def test_an_acknowledgement_comes_back_as_it_went() -> None:
    """All fields of an acknowledgement survive the file."""
    ack = Acknowledgement(
        training_id="5f0c",
        generation=1,
        seq=12,
        plan_id=11,
        request_id=3,
        beat=1812,
        status="clamped",
        refused_because="order",
        step=12031,
        step_axis="global",
        start_step=12030,
        from_scale=0.8,
        base_id=2,
        base_start_step=0,
        base_from_scale=1.0,
        scale=0.7,
        min_scale=1e-3,
        max_scale=1.0,
        base_lr=(0.1, 0.01),
        lr=(0.07, 0.007),
        optimizer="AdamW",
        total_steps=50000,
        restored_to_step=11000,
        finished=True,
        world_size=8,
        pid=4711,
        host="node7",
        at=1790000000.5,
    )
    assert decode_acknowledgement(ack.encode()) == ack


def test_an_acknowledgement_without_the_fields_of_the_base_schedule_is_understood() -> None:
    """Those fields came later; a client that has no base schedule may leave them out."""
    fields = json.loads(Acknowledgement("5f0c").encode())
    for key in ("base_id", "base_start_step", "base_from_scale"):
        del fields[key]
    assert decode_acknowledgement(json.dumps(fields).encode()) == Acknowledgement("5f0c")


def test_rates_that_are_no_numbers_stay_out_of_the_acknowledgement() -> None:
    """A diverged schedule's NaN must not make the acknowledgement unreadable."""
    ack = Acknowledgement("5f0c", base_lr=(0.1, math.nan), lr=(math.inf,))
    assert decode_acknowledgement(ack.encode()).base_lr == (0.1,)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schema", "lrwatch.control/1", "schema"),
        ("training_id", None, "field"),
        ("status", "great", "field"),
        ("step", -1, "number"),
        ("step_axis", "epochs", "field"),
        ("scale", 0.0, "number"),
        ("scale", 1e400, "number"),
        ("from_scale", 1e7, "number"),
        ("base_from_scale", "1", "field"),
        ("base_id", -1, "number"),
        ("lr", 0.1, "field"),
        ("lr", [None], "field"),
        ("lr", [0.1] * 1025, "field"),
        ("finished", 1, "field"),
        ("world_size", 0, "number"),
        ("at", -5, "number"),
    ],
)
def test_a_bad_field_of_the_acknowledgement_is_refused(key: str, value: object, reason: str) -> None:
    """The watcher believes no acknowledgement that breaks a rule."""
    fields = {**json.loads(Acknowledgement("5f0c").encode()), key: value}
    data = json.dumps(fields).replace("Infinity", "1e400").encode()
    with pytest.raises(ProtocolError) as caught:
        decode_acknowledgement(data)
    assert caught.value.reason == reason
