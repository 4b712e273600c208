"""The events of a run as `replay --json` prints them and the journal keeps them (CONTRACT, section 2)."""

import math
from collections.abc import Mapping
from typing import Any

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
        "evidence": {key: _finite(value) for key, value in verdict.evidence.items()},
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
        "training_id": ack.training_id,
        "refused_because": ack.refused_because,
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
        "evidence": {key: _finite(value) for key, value in outcome.evidence.items()},
    }


def training_event(run: str, training_id: str, step: int | None) -> Event:
    """Return the event that opens a journal segment: another training writes into this directory now."""
    return {"event": "training", "run": run, "training_id": training_id, "step": step}


def summary_event(runs: int, records: int, rejected: int, seconds: float) -> Event:
    """Return the last line of a replay."""
    return {"event": "summary", "runs": runs, "records": records, "rejected": rejected, "seconds": round(seconds, 3)}


def same_event(event: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return what two readings of one log agree on about a verdict or a gap; None for other events."""
    if event.get("event") == "verdict":
        return "verdict", event.get("state"), event.get("signal"), event.get("kind"), event.get("step")
    if event.get("event") == "gap":
        return "gap", event.get("reason"), event.get("step"), event.get("bytes")
    return None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
