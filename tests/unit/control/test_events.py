"""The events of the contract, as dictionaries that any JSON parser reads back."""

import json
import math
from decimal import Decimal

import numpy as np

from lrwatch.control.events import (
    acknowledged_event,
    gap_event,
    outcome_event,
    published_event,
    refused_event,
    same_event,
    summary_event,
    training_event,
    verdict_event,
)
from lrwatch.model import Gap, Verdict
from lrwatch.policy.base import Decision
from lrwatch.policy.outcome import Outcome
from lrwatch.protocol import Acknowledgement, Control, ramp

VERDICT = Verdict("raised", "loss", "plateau", 90, 50, "info", "flat", {"gain": 0.1})


def test_the_fields_of_the_contract() -> None:
    """Each event begins with the fields that the contract promises; more may follow."""
    control = Control("exp", "w", 1, 2, ramp(2, 0.5, 10))
    refused = Decision(95, "scale", VERDICT, ramp(0, 0.5, 10), None, "cooldown", "halve it")
    decision = ["event", "run", "seq", "step", "action", "plan", "because", "refused_by"]
    wanted = {
        "verdict": ["event", "state", "run", "signal", "kind", "step", "since", "severity", "text", "evidence"],
        "decision": decision,
        "refused": decision,
        "acknowledged": ["event", "run", "seq", "plan_id", "step", "status", "scale"],
        "outcome": ["event", "run", "seq", "step", "verdict", "text", "evidence"],
        "gap": ["event", "run", "reason", "step", "bytes"],
        "summary": ["event", "runs", "records", "rejected", "seconds"],
    }
    events = {
        "verdict": verdict_event("exp", VERDICT),
        "decision": published_event(control, 95, "scale", "plateau"),
        "refused": refused_event("exp", refused),
        "acknowledged": acknowledged_event("exp", Acknowledgement("t1", seq=2, plan_id=2), 96),
        "outcome": outcome_event("exp", Outcome(2, 120, "helped", "better", {"gain": 0.2})),
        "gap": gap_event("exp", Gap("corrupt", 40, 7), 9),
        "summary": summary_event(1, 2, 3, 4.0),
    }

    assert {name: list(event)[: len(wanted[name])] for name, event in events.items()} == wanted
    assert events["refused"]["seq"] is None
    assert json.loads(json.dumps(events, allow_nan=False)) == events


def test_a_gap_knows_its_step_or_is_given_one() -> None:
    """The place of a hole is that of its format, where it has one."""
    assert gap_event("exp", Gap("corrupt", 40, 7), 9)["step"] == 7
    assert gap_event("exp", Gap("corrupt", 40), 9)["step"] == 9
    assert gap_event("exp", Gap("truncated"), None) == {
        "event": "gap",
        "run": "exp",
        "reason": "truncated",
        "step": None,
        "bytes": None,
    }


def test_evidence_is_plain_json_however_deep() -> None:
    """Numbers that are none become null, numpy's become Python's, and what JSON has no word for its text."""
    evidence = {
        "nan": math.nan,
        "float32": np.float32(0.5),
        "int64": np.int64(7),
        "bool": np.True_,
        "deep": {"list": [np.float64("inf"), (1, "a")], 3: None},
        "odd": Decimal("1.5"),
        "set": frozenset({1}),
    }
    event = verdict_event("exp", Verdict("raised", "loss", "plateau", 1, 0, "info", "flat", evidence))

    assert event["evidence"] == {
        "nan": None,
        "float32": 0.5,
        "int64": 7,
        "bool": True,
        "deep": {"list": [None, [1, "a"]], "3": None},
        "odd": "1.5",
        "set": "frozenset({1})",
    }
    json.dumps(event, allow_nan=False)


def test_an_acknowledgement_is_told_in_the_logs_steps() -> None:
    """`step` is the log's and `client_step` the client's; without a log the client's stands for both."""
    ack = Acknowledgement("t1", step=50_000)

    assert (acknowledged_event("exp", ack, 50)["step"], acknowledged_event("exp", ack, None)["step"]) == (50, 50_000)
    assert acknowledged_event("exp", ack, 50)["client_step"] == 50_000


def test_only_what_a_log_tells_again_can_be_the_same() -> None:
    """Verdicts, gaps and refusals have something that two readings agree on; other events have nothing."""
    refusal = refused_event("exp", Decision(95, "scale", VERDICT, ramp(0, 0.5, 10), None, "cooldown", "halve it"))

    assert same_event(refusal) == same_event({**refusal, "step": 99, "text": "other"})
    assert same_event(refusal) != same_event({**refusal, "refused_by": "budget"})
    assert same_event(training_event("exp", "t1", 5)) is None
    assert same_event({"event": "decision", "seq": 3, "refused_by": None}) is None
    assert same_event({"event": "verdict", "signal": [{}]}) is not None
