"""What would be done about a verdict, before anybody asks whether it may."""

from typing import Any

import pytest

from lrwatch.config import PolicyConfig, parse_config
from lrwatch.model import KINDS, Kind, Severity, Verdict
from lrwatch.policy.base import Situation, Wish
from lrwatch.policy.rules import wish
from lrwatch.protocol import Request


def verdict(kind: Kind, severity: Severity = "info", since: int = 900, **evidence: Any) -> Verdict:
    """Return a verdict raised at step 1,000."""
    return Verdict("raised", "loss", kind, 1000, since, severity, f"loss: {kind}", evidence)


def wished(about: Verdict, situation: Situation | None = None, **policy: Any) -> Wish | None:
    """Return the wish about a verdict under the keys of [policy]."""
    return wish(about, situation or Situation(1000, 0), parse_config({"policy": policy}).policy)


def certain(found: Wish | None) -> Wish:
    """Return a wish that must be there."""
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("optimizer", "factor"), [("SGD", 0.3), ("torch.optim.sgd.SGD", 0.3), ("AdamW", 0.5), ("Lion", 0.5), (None, 0.5)]
)
def test_a_plateau_is_cut(optimizer: str | None, factor: float) -> None:
    """SGD is cut to 0.3, an adaptive or unknown optimizer to 0.5 of where it stands."""
    asked = certain(wished(verdict("plateau"), Situation(1000, 0, scale=0.5, optimizer=optimizer)))

    assert (asked.action, asked.scale, asked.request) == ("scale", 0.5 * factor, None)
    assert asked.text == f"multiply the learning rate by {factor:g}: loss: plateau"


def test_the_factor_is_configurable() -> None:
    """`factor` counts for every optimizer."""
    assert certain(wished(verdict("plateau"), Situation(1000, 0, optimizer="SGD"), factor=0.7)).scale == 0.7


def test_a_cut_ends_at_the_lower_bound() -> None:
    """No wish goes below `min_scale`, nor above `max_scale`."""
    assert certain(wished(verdict("plateau"), Situation(1000, 0, scale=0.01), min_scale=0.008)).scale == 0.008
    assert certain(wished(verdict("plateau"), Situation(1000, 0, scale=9.0), max_scale=2.0)).scale == 2.0


@pytest.mark.parametrize(
    ("elapsed", "steps"), [(0, 0), (19, 0), (100, 5), (999, 49), (1000, 50), (5000, 50), (10_000, 100), (10**6, 200)]
)
def test_a_cut_is_a_ramp(elapsed: int, steps: int) -> None:
    """A long training is ramped over 50 to 200 steps, one that counts epochs over next to none."""
    assert certain(wished(verdict("plateau"), Situation(500 + elapsed, 500))).ramp_steps == steps


def test_an_oscillation_is_halved() -> None:
    """Swings that lead nowhere are answered with half the learning rate."""
    asked = certain(wished(verdict("oscillation", "warning", improving=False), Situation(1000, 0, optimizer="SGD")))
    assert (asked.action, asked.scale) == ("scale", 0.5)


def test_swings_on_the_way_down_are_left_alone() -> None:
    """At the edge of stability the loss swings and falls all the same."""
    assert wished(verdict("oscillation", "warning", improving=True)) is None


def test_a_collapse_goes_back_to_a_checkpoint() -> None:
    """From before the onset, with half the learning rate at once."""
    asked = certain(wished(verdict("divergence", "critical", nonfinite=0), Situation(1000, 0, scale=0.4)))

    assert (asked.action, asked.scale, asked.ramp_steps) == ("restore", 0.2, 0)
    assert asked.request == Request(kind="restore", before_step=800)


def test_a_young_training_goes_back_to_before_the_onset() -> None:
    """Where there are no hundred steps before the onset, the onset itself must do."""
    asked = certain(wished(verdict("divergence", "critical", since=30, nonfinite=3)))
    assert asked.request == Request(kind="restore", before_step=30)


def test_numbers_that_are_none_are_not_cured_by_a_cut() -> None:
    """Where no restore may be asked for, the training is stopped, or nothing is done."""
    nan = verdict("divergence", "critical", nonfinite=3)

    assert wished(nan, allow_restore=False) is None
    asked = certain(wished(nan, Situation(1000, 0, scale=0.4), allow_restore=False, allow_stop=True))
    assert (asked.action, asked.scale, asked.request) == ("stop", 0.4, Request(kind="stop"))


def test_a_finite_collapse_without_restore_is_halved_at_once() -> None:
    """A loss that is still a number may come back at half the learning rate."""
    asked = certain(wished(verdict("divergence", "critical", nonfinite=0), allow_restore=False))
    assert (asked.action, asked.scale, asked.ramp_steps, asked.request) == ("scale", 0.5, 0, None)


def test_a_warning_of_divergence_is_told_only() -> None:
    """A level that has risen a little is for people to look at."""
    assert wished(verdict("divergence", "warning", nonfinite=0)) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("plateau", "oscillation", "divergence")])
def test_other_verdicts_change_nothing(kind: Kind) -> None:
    """There is no rule for them."""
    assert wish(verdict(kind, "critical"), Situation(1000, 0), PolicyConfig()) is None
