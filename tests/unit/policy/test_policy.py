"""From the verdicts that hold to one decision, and a word about each that was refused."""

import dataclasses
from typing import Any

from lrwatch.config import parse_config
from lrwatch.model import Kind, Severity, Verdict
from lrwatch.policy.base import Decision, Situation
from lrwatch.policy.policy import Policy, episode_of
from lrwatch.protocol import Request, hold, ramp


def verdict(kind: Kind = "plateau", step: int = 1000, severity: Severity = "info", **evidence: Any) -> Verdict:
    """Return a verdict on the loss."""
    return Verdict("raised", "loss", kind, step, step - 100, severity, f"loss: {kind}", evidence)


def policy(**keys: Any) -> Policy:
    """Return a policy under the keys of [policy]."""
    return Policy(parse_config({"policy": keys}).policy)


def at(step: int, **fields: Any) -> Situation:
    """Return a run in order at a step."""
    return Situation(**{"step": step, "first_step": 0, "client": "alive", **fields})


def refusals(decisions: list[Decision]) -> list[str | None]:
    """Return what refused each decision."""
    return [decision.refused_by for decision in decisions]


def test_a_verdict_becomes_a_plan() -> None:
    """A granted cut is a ramp from where the client stands, with the reason beside it."""
    (decision,) = policy().decide([verdict()], at(1000))

    assert (decision.action, decision.refused_by, decision.step) == ("scale", None, 1000)
    assert decision.plan == ramp(0, 0.5, 50)
    assert decision.request is None
    assert decision.verdict == verdict()


def test_a_restore_carries_its_request() -> None:
    """The lower scale and the request go out together."""
    (decision,) = policy().decide([verdict("divergence", 1000, "critical", nonfinite=3)], at(1000))

    assert (decision.action, decision.plan) == ("restore", ramp(0, 0.5, 0))
    assert decision.request == Request(kind="restore", before_step=800)


def test_what_leaves_the_scale_alone_holds_it() -> None:
    """A stop changes no learning rate."""
    nan = verdict("divergence", 1000, "critical", nonfinite=3)
    (decision,) = policy(allow_restore=False, allow_stop=True).decide([nan], at(1000, scale=0.3))

    assert (decision.action, decision.plan) == ("stop", hold())


def test_one_decision_for_each_episode() -> None:
    """However often a verdict is weighed while it holds, it is acted on once."""
    rules, plateau = policy(cooldown_steps=0), verdict()

    assert refusals(rules.decide([plateau], at(1000))) == [None]
    assert rules.decide([plateau], at(5000, scale=0.5)) == []
    assert refusals(rules.decide([verdict(step=9000)], at(9000, scale=0.5))) == [None]


def test_a_refusal_is_told_once() -> None:
    """Each guardrail is named once for an episode; another guardrail, or another episode, is news."""
    rules, plateau = policy(), verdict()

    assert refusals(rules.decide([plateau], at(1000, client="stale"))) == ["stale"]
    assert rules.decide([plateau], at(1001, client="stale")) == []
    assert refusals(rules.decide([plateau], at(1002, warming_up=True))) == ["warmup"]
    assert refusals(rules.decide([verdict(step=2000)], at(2000, client="stale"))) == ["stale"]


def test_a_refused_wish_is_tried_again() -> None:
    """When the guardrail lifts while the condition still holds, the decision is made."""
    rules, plateau = policy(), verdict()
    rules.decide([plateau], at(1000, client="stale"))

    assert refusals(rules.decide([plateau], at(1500))) == [None]


def test_critical_verdicts_come_first() -> None:
    """The most severe verdict is answered, and nothing else in the same breath."""
    verdicts = [
        verdict(),
        verdict("oscillation", 1000, "warning"),
        verdict("divergence", 1000, "critical", nonfinite=3),
    ]
    (decision,) = policy().decide(verdicts, at(1000))

    assert decision.verdict.kind == "divergence"


def test_a_refused_verdict_does_not_hide_the_next() -> None:
    """What may not be done now leaves room for what may."""
    verdicts = [verdict("divergence", 1000, "critical", nonfinite=0), verdict()]
    decisions = policy(allow_restore=False, min_scale=0.4).decide(verdicts, at(1000, scale=0.4))

    assert [(decision.verdict.kind, decision.refused_by) for decision in decisions] == [
        ("divergence", "bounds"),
        ("plateau", "bounds"),
    ]


def test_verdicts_without_a_rule_are_passed_over() -> None:
    """A warning that nothing is done about neither decides nor refuses."""
    assert policy().decide([verdict("divergence", 1000, "warning", nonfinite=0)], at(1000)) == []


def test_what_was_decided_before_a_restart_is_not_decided_again() -> None:
    """A journaled decision counts against the budget and for its episode."""
    rules = policy(max_actions=1)
    rules.remember(episode_of(verdict()), 1000)

    assert rules.decide([verdict()], at(5000, scale=0.5)) == []
    assert refusals(rules.decide([verdict(step=5000)], at(5000, scale=0.5))) == ["budget"]


def test_an_episode_may_be_met_under_another_step() -> None:
    """A verdict that an earlier watcher raised some records away is the same episode."""
    rules = policy()
    rules.remember(("loss", "plateau", 990), 990)
    rules.same_episode(verdict(step=1000), ("loss", "plateau", 990))

    assert rules.decide([verdict(step=1000)], at(5000, scale=0.5)) != []
    met = verdict(step=1001)
    rules.same_episode(met, ("loss", "plateau", 990))
    assert rules.decide([met], at(5000, scale=0.5)) == []
    other = verdict(step=1002)
    rules.same_episode(other, ("loss", "plateau", 7))
    assert refusals(rules.decide([other], at(5000, scale=0.25))) == ["cooldown"]


def test_the_same_failure_at_the_same_step_after_a_restore_is_another_episode() -> None:
    """A training that goes back and fails where it failed before is helped again."""
    rules = policy()
    nan = verdict("divergence", 1000, "critical", nonfinite=3)
    again = dataclasses.replace(nan)

    assert refusals(rules.decide([nan], at(1000))) == [None]
    assert rules.decide([nan], at(1001)) == []
    assert refusals(rules.decide([again], at(1000, scale=0.5))) == [None]
    assert rules.guardrails.actions == 2
