"""Guardrails around any policy: what may not be done now, whatever the rules wish."""

from lrwatch.config import PolicyConfig
from lrwatch.policy.base import Situation, Wish

_COOLDOWN_SHARE = 0.1


class Guardrails:
    """Bounds, cooldown, budget, one adjustment in flight, nothing in warm-up or on a client that does not answer.

    Attributes
    ----------
    actions
        Granted so far in this training.
    last_step
        The training step of the newest granted one; None before the first.
    """

    def __init__(self, config: PolicyConfig) -> None:
        self._config = config
        self.actions = 0
        self.last_step: int | None = None

    def refusal(self, wish: Wish, situation: Situation) -> str | None:
        """Return the name of the guardrail that refuses `wish` now; None where it may be done."""
        urgent = wish.verdict.severity == "critical"
        if situation.waits_for_person:
            return "mode"
        if not urgent and self._in_warmup(situation):
            return "warmup"
        if not situation.held:
            if situation.client == "stale":
                return "stale"
            if situation.in_flight:
                return "unacknowledged"
        if not urgent and self._cooling(situation):
            return "cooldown"
        if self.actions >= self._config.budget:
            return "budget"
        if wish.request is None and abs(wish.scale - situation.scale) <= 1e-9 * situation.scale:
            return "bounds"
        return None

    def granted(self, step: int) -> None:
        """Count an action at training step `step`."""
        self.actions += 1
        self.last_step = step

    def cooldown(self, situation: Situation) -> int:
        """Return the steps that must lie between two actions."""
        if self._config.cooldown_steps is not None:
            return self._config.cooldown_steps
        return int(_COOLDOWN_SHARE * situation.elapsed)

    def _in_warmup(self, situation: Situation) -> bool:
        if self._config.warmup_steps is not None:
            return situation.step < self._config.warmup_steps
        return situation.warming_up

    def _cooling(self, situation: Situation) -> bool:
        if self.last_step is None:
            return False
        since = situation.step - self.last_step
        return 0 <= since < self.cooldown(situation)
