"""What may not be done now, whatever the rules wish: each refusal by its name."""

from typing import Any

import pytest

from lrwatch.config import parse_config
from lrwatch.model import Severity, Verdict
from lrwatch.policy.base import Situation, Wish
from lrwatch.policy.guardrails import Guardrails
from lrwatch.protocol import Request


def wish(severity: Severity = "info", scale: float = 0.5, request: Request | None = None) -> Wish:
    """Return the wish to go to half the learning rate."""
    about = Verdict("raised", "loss", "plateau", 1000, 900, severity, "", {})
    return Wish("scale", about, scale, 50, request, "")


def rails(**policy: Any) -> Guardrails:
    """Return guardrails under the keys of [policy]."""
    return Guardrails(parse_config({"policy": policy}).policy)


def refusal(situation: dict[str, Any], severity: Severity = "info", **policy: Any) -> str | None:
    """Return what refuses the wish at step 1,000."""
    return rails(**policy).refusal(wish(severity), Situation(**{"step": 1000, "first_step": 0, **situation}))


def test_nothing_stands_in_the_way() -> None:
    """A listening client, a settled learning rate and a budget are enough."""
    assert refusal({"client": "alive"}) is None


def test_no_client_is_no_refusal() -> None:
    """Before any training has spoken, what is desired may be published all the same: it waits in the file."""
    assert refusal({"client": "absent"}) is None


@pytest.mark.parametrize(
    ("situation", "policy", "refused_by"),
    [
        ({"waits_for_person": True}, {}, "mode"),
        ({"warming_up": True}, {}, "warmup"),
        ({}, {"warmup_steps": 1001}, "warmup"),
        ({"client": "stale"}, {}, "stale"),
        ({"client": "alive", "in_flight": True}, {}, "unacknowledged"),
        ({}, {"max_actions": 0}, "budget"),
        ({"scale": 0.5}, {}, "bounds"),
    ],
)
def test_each_refusal_by_name(situation: dict[str, Any], policy: dict[str, Any], refused_by: str) -> None:
    """The name of the guardrail says what would have to change."""
    assert refusal(situation, **policy) == refused_by


@pytest.mark.parametrize(
    ("situation", "policy"),
    [({"warming_up": True}, {}), ({"step": 10}, {"warmup_steps": 1001}), ({"cooling": True}, {})],
)
def test_what_is_critical_does_not_wait(situation: dict[str, Any], policy: dict[str, Any]) -> None:
    """Neither warm-up nor cooldown hold up the answer to a critical verdict."""
    guard = rails(**policy)
    if situation.pop("cooling", False):
        guard.granted(999)
    where = Situation(**{"step": 1000, "first_step": 0, **situation})

    assert guard.refusal(wish("critical"), where) is None
    assert guard.refusal(wish("warning"), where) in ("warmup", "cooldown")


@pytest.mark.parametrize("severity", ["info", "critical"])
@pytest.mark.parametrize("name", ["mode", "stale", "unacknowledged", "budget"])
def test_what_holds_for_critical_verdicts_too(name: str, severity: Severity) -> None:
    """A person, a silent client, an answer outstanding and an empty budget stop every action."""
    situation: dict[str, dict[str, Any]] = {
        "mode": {"waits_for_person": True},
        "stale": {"client": "stale"},
        "unacknowledged": {"in_flight": True},
        "budget": {},
    }
    assert refusal(situation[name], severity, max_actions=0 if name == "budget" else 8) == name


def test_a_configured_warm_up_counts_and_the_logged_one_does_not() -> None:
    """`warmup_steps` replaces the guess from the learning rate."""
    assert refusal({"warming_up": True}, warmup_steps=1000) is None
    assert refusal({"step": 999}, warmup_steps=1000) == "warmup"


def test_advice_needs_no_client() -> None:
    """Where nothing is applied, nothing is in flight and nobody has to answer."""
    assert refusal({"held": True, "client": "stale", "in_flight": True}) is None


@pytest.mark.parametrize(
    ("cooldown", "step", "refused"), [(None, 1099, True), (None, 1112, False), (500, 1499, True), (500, 1500, False)]
)
def test_cooldown(cooldown: int | None, step: int, refused: bool) -> None:
    """Between two actions lie `cooldown_steps`, or a tenth of the steps so far."""
    guard = rails(**({} if cooldown is None else {"cooldown_steps": cooldown}))
    guard.granted(1000)

    assert (guard.refusal(wish(), Situation(step, 0)) == "cooldown") is refused


def test_the_cooldown_counts_from_the_first_step_of_the_log() -> None:
    """A training that was resumed at step 10,000 has run for as long as its log."""
    assert rails().cooldown(Situation(11_000, 10_000)) == 100
    assert rails(cooldown_steps=7).cooldown(Situation(11_000, 10_000)) == 7


def test_a_training_that_went_back_is_not_cooling() -> None:
    """After a restore to before the last action, that action lies in a future that will not come."""
    guard = rails(cooldown_steps=500)
    guard.granted(1000)

    assert guard.refusal(wish(), Situation(900, 0)) is None


def test_the_budget_counts_what_was_granted() -> None:
    """After so many actions nothing is done any more."""
    guard = rails(max_actions=2, cooldown_steps=0)
    for step in (100, 200):
        assert guard.refusal(wish(), Situation(step, 0)) is None
        guard.granted(step)

    assert guard.refusal(wish(), Situation(300, 0)) == "budget"
    assert (guard.actions, guard.last_step) == (2, 200)


def test_a_request_is_worth_making_at_the_bound() -> None:
    """At the lowest scale a restore still goes back, though the learning rate cannot fall."""
    situation = Situation(1000, 0, scale=0.5)

    assert rails().refusal(wish("critical"), situation) == "bounds"
    assert rails().refusal(wish("critical", request=Request(kind="restore", before_step=1)), situation) is None
