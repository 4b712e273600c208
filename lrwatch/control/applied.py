"""What an acknowledgement says about the scale that the training goes on with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lrwatch.control.events import Event
from lrwatch.protocol import Plan
from lrwatch.protocol.plan import MAX_SCALE, MAX_STEP, MIN_SCALE

_RAMP_SAMPLES = 8
_BASE_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Applied:
    """An `acknowledged` event, live or from the journal, as far as the learning rate goes.

    Parameters
    ----------
    log_step, client_step
        Where the log and the client stood; None if unknown.
    plan_id, start_step, from_scale
        The plan, where it began in the client's steps, and the factor the client stood at then.
    base_start_step
        Where the base schedule began; None while it has not.
    scale
        The whole scale at `client_step`, after the client's bounds.
    """

    log_step: int | None
    client_step: int | None
    plan_id: int
    start_step: int | None
    from_scale: float
    base_start_step: int | None
    scale: float
    min_scale: float
    max_scale: float

    def scales(self, plan: Plan | None, base: Plan | None) -> Iterator[tuple[int, float]]:
        """Yield client steps, ascending, and the scale from each of them on, along ramps and schedule.

        Parameters
        ----------
        plan, base
            What was to be applied; without the plan, or where it repeats for ever, only the acknowledged
            scale itself is known.
        """
        if plan is None or self.start_step is None or _repeats(plan) or _repeats(base):
            if self.client_step is not None:
                yield self.client_step, self.scale
            return
        steps = {self.start_step + plan.steps * sample // _RAMP_SAMPLES for sample in range(_RAMP_SAMPLES + 1)}
        if base is not None and self.base_start_step is not None:
            begun = self.base_start_step
            steps.update(begun + base.steps * sample // _BASE_SAMPLES for sample in range(_BASE_SAMPLES + 1))
        for step in sorted(steps):
            if step >= self.start_step:
                scale = plan.scale_at(step - self.start_step, self.from_scale) * self._base_at(step, base)
                yield step, min(max(scale, self.min_scale), self.max_scale)

    def _base_at(self, step: int, base: Plan | None) -> float:
        if base is None or self.base_start_step is None:
            return 1.0
        return base.scale_at(max(step - self.base_start_step, 0))


def applied(event: Event) -> Applied | None:
    """Read an `acknowledged` event; None where nothing new was applied, or what it says cannot be."""
    if event.get("status") not in ("applied", "clamped"):
        return None
    scale = _number(event, "scale")
    if scale is None:
        return None
    return Applied(
        _step(event, "step"),
        _step(event, "client_step"),
        _step(event, "plan_id") or 0,
        _step(event, "start_step"),
        _number(event, "from_scale") or 1.0,
        _step(event, "base_start_step"),
        scale,
        _number(event, "min_scale") or MIN_SCALE,
        _number(event, "max_scale") or MAX_SCALE,
    )


def _repeats(plan: Plan | None) -> bool:
    return plan is not None and plan.repeat_from is not None


def _step(event: Mapping[str, Any], key: str) -> int | None:
    value = event.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_STEP else None


def _number(event: Mapping[str, Any], key: str) -> float | None:
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_SCALE <= value <= MAX_SCALE:
        return None
    return float(value)
