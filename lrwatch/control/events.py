"""The events of a run as `replay --json` prints them and the journal keeps them (CONTRACT, section 2)."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from lrwatch.model import Gap, Verdict
from lrwatch.policy.base import Decision
from lrwatch.policy.outcome import Outcome
from lrwatch.protocol import Acknowledgement, Control

Event = dict[str, Any]


def verdict_event(run: str, verdict: Verdict) -> Event:
    """Return the event of a verdict raised or cleared."""
    return {
        "event": "verdict",
        "state": verdict.state,
        "run": run,
        "signal": verdict.signal,
        "kind": verdict.kind,
        "step": verdict.step,
        "since": verdict.since,
        "severity": verdict.severity,
        "text": verdict.text,
        "evidence": _plain(verdict.evidence),
    }


def gap_event(run: str, gap: Gap, step: int | None) -> Event:
    """Return the event of a hole in the log; `step` where the gap does not know its own."""
    return {
        "event": "gap",
        "run": run,
        "reason": gap.reason,
        "step": step if gap.step is None else gap.step,
        "bytes": gap.bytes,
    }


def refused_event(run: str, decision: Decision) -> Event:
    """Return the event of a decision that a guardrail refused."""
    return {
        "event": "decision",
        "run": run,
        "seq": None,
        "step": decision.step,
        "action": decision.action,
        "plan": decision.plan.to_json(),
        "because": decision.verdict.kind,
        "refused_by": decision.refused_by,
        "signal": decision.verdict.signal,
        "verdict_step": decision.verdict.step,
        "text": decision.text,
    }


def published_event(control: Control, step: int | None, action: str, because: str, **more: Any) -> Event:
    """Return the one decision line of a published seq; enough to publish it again after a crash."""
    return {
        "event": "decision",
        "run": control.run,
        "seq": control.seq,
        "step": step,
        "action": action,
        "plan": control.plan.to_json(),
        "because": because,
        "refused_by": None,
        **more,
        "request": control.request.to_json(),
        "base": None if control.base is None else control.base.to_json(),
        "mode": control.mode,
        "generation": control.generation,
        "training_id": control.training_id,
    }


def acknowledged_event(run: str, ack: Acknowledgement, step: int | None) -> Event:
    """Return the event of a changed acknowledgement; `step` is the log's, `client_step` the client's."""
    return {
        "event": "acknowledged",
        "run": run,
        "seq": ack.seq,
        "plan_id": ack.plan_id,
        "step": ack.step if step is None else step,
        "status": ack.status,
        "scale": ack.scale,
        "request_id": ack.request_id,
        "client_step": ack.step,
        "start_step": ack.start_step,
        "from_scale": ack.from_scale,
        "base_id": ack.base_id,
        "base_start_step": ack.base_start_step,
        "min_scale": ack.min_scale,
        "max_scale": ack.max_scale,
        "training_id": ack.training_id,
        "refused_because": ack.refused_because,
        "restored_to_step": ack.restored_to_step,
        "finished": ack.finished,
    }


def outcome_event(run: str, outcome: Outcome) -> Event:
    """Return the event of what became of an adjustment."""
    return {
        "event": "outcome",
        "run": run,
        "seq": outcome.seq,
        "step": outcome.step,
        "verdict": outcome.verdict,
        "text": outcome.text,
        "evidence": _plain(outcome.evidence),
    }


def training_event(run: str, training_id: str, step: int | None) -> Event:
    """Return the event that opens a journal segment: another training writes into this directory now."""
    return {"event": "training", "run": run, "training_id": training_id, "step": step}


def summary_event(runs: int, records: int, rejected: int, seconds: float) -> Event:
    """Return the last line of a replay."""
    return {"event": "summary", "runs": runs, "records": records, "rejected": rejected, "seconds": round(seconds, 3)}


def same_event(event: Mapping[str, Any]) -> str | None:
    """Return what two readings of one log agree on about a verdict, a gap or a refusal; None for other events.

    The step of a gap is left out: several files may be read in another order the next time.
    """
    keys: tuple[str, ...]
    if event.get("event") == "verdict":
        keys = ("event", "state", "signal", "kind", "step")
    elif event.get("event") == "gap":
        keys = ("event", "reason", "bytes")
    elif event.get("event") == "decision" and event.get("refused_by") is not None:
        keys = ("refused_by", "signal", "because", "verdict_step")
    else:
        return None
    return repr([event.get(key) for key in keys])


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it; a number that is not finite becomes null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
