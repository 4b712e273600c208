"""The helm of a run: the one desired state, who it is for, and what the training says became of it."""

import dataclasses
from typing import Any

from lrwatch.clock import Clock
from lrwatch.config import Config, Mode
from lrwatch.control.applied import Applied, applied
from lrwatch.control.desk import Desk
from lrwatch.control.events import Event, acknowledged_event, published_event, training_event
from lrwatch.control.past import Past
from lrwatch.control.steps import StepMap
from lrwatch.detect.rates import Rates
from lrwatch.errors import NotPossible
from lrwatch.policy.base import Client, Decision
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, Why, hold
from lrwatch.protocol.plan import MAX_SCALE, MAX_STEP, MIN_SCALE

STALE_SECONDS = 60.0

_PASSING = ("step", "client_step", "scale")


class Helm:
    """Keeps `control` and brings it to the desk, one decision line for each seq.

    Parameters
    ----------
    past
        What an earlier watcher of the run left; its state is carried on.
    rates
        Told with which scale the training goes on, so that the judges know the learning rate in use.
    live
        Whether time passes: only then can an acknowledgement be late.

    Attributes
    ----------
    control
        The desired state.
    ack
        The newest acknowledgement; None before the first.
    """

    def __init__(
        self,
        run: str,
        desk: Desk,
        past: Past,
        rates: Rates,
        config: Config,
        clock: Clock,
        *,
        writer: str,
        mode: Mode,
        live: bool,
    ) -> None:
        self._run, self._desk, self._past, self._rates, self._clock = run, desk, past, rates, clock
        self._schedule, self._mode, self._live = config.schedule, mode, live
        self._steps = StepMap()
        self._plans = dict(past.plans)
        self._decided_plan = past.decided_plan
        self._heard_at: float | None = None
        start = Control(run=run, writer=writer, generation=0, seq=0, plan=hold())
        self.control = start if past.control is None else dataclasses.replace(past.control, run=run, writer=writer)
        self.ack: Acknowledgement | None = None
        self._said = past.acknowledged
        rates.forget()
        for word in past.applied:
            self._apply(word)

    def take_over(self, step: int | None) -> bool:
        """Begin above every seq and generation that was ever seen, and publish; returns what `hear` does.

        Raises
        ------
        NotPossible
            There is nothing above.
        """
        ack, _ = self._desk.hear()
        self._past.add_acknowledgement(ack)
        generation, seq = self._past.generation + 1, self._past.seq
        if max(generation, seq) >= MAX_STEP:
            raise NotPossible(f"{self._run}: generation {generation - 1} and seq {seq} leave no room for another")
        self.control = dataclasses.replace(self.control, generation=generation, seq=seq)
        if self._past.control is None:
            self._publish("start", step, plan=hold())
        else:
            self._publish("takeover", step)
        return ack is not None and self._acknowledge(ack, step)

    def hear(self, step: int | None) -> bool:
        """Look for news from the training; returns whether another training has taken the place of the known one.

        Parameters
        ----------
        step
            The newest of the log.
        """
        ack, news = self._desk.hear()
        return ack is not None and news and self._acknowledge(ack, step)

    def carry_out(self, decision: Decision) -> int:
        """Publish a granted decision; returns its seq."""
        request = decision.request
        if request is not None and request.before_step is not None:
            request = dataclasses.replace(request, before_step=self._steps.to_client(request.before_step))
        verdict = decision.verdict
        self._publish(
            verdict.kind,
            decision.step,
            action=decision.action,
            plan=decision.plan,
            request=request,
            why=Why(verdict.kind, verdict.signal, decision.step, decision.text),
            verdict_step=verdict.step,
        )
        self._decided_plan = self.control.plan.id
        return self.control.seq

    @property
    def held(self) -> bool:
        """Whether what is decided is advice only."""
        return self._mode == "advise"

    @property
    def waits_for_person(self) -> bool:
        """Whether a person must approve each decision."""
        return self._mode == "approve"

    @property
    def scale(self) -> float:
        """Where the training's scale is going; where it is, while decisions are advice only."""
        return self._standing if self.held else self.goal

    @property
    def goal(self) -> float:
        """The scale at which the present plan ends, without the factor of the base schedule."""
        plan, ack = self.control.plan, self.ack
        standing = ack.from_scale if ack is not None and ack.plan_id == plan.id else None
        return plan.scale_at(plan.steps, self._standing if standing is None else standing)

    @property
    def _standing(self) -> float:
        """Where the training stands, without the factor of the base schedule."""
        ack, base = self.ack, self.control.base
        if ack is None:
            return 1.0
        factor = 1.0
        if base is not None and ack.base_id == base.id and ack.base_start_step is not None:
            factor = base.scale_at(max((ack.step or 0) - ack.base_start_step, 0))
        return min(max(ack.scale / factor, MIN_SCALE), MAX_SCALE)

    @property
    def client(self) -> Client:
        """Whether a training listens."""
        if self._heard_at is None:
            return "absent"
        late = self._live and self._clock.monotonic() - self._heard_at > STALE_SECONDS
        return "stale" if late else "alive"

    @property
    def in_flight(self) -> bool:
        """Whether the training has yet to begin the newest plan that a decision made."""
        begun = 0 if self.ack is None or self.ack.start_step is None else self.ack.plan_id
        return self._decided_plan > begun

    def _acknowledge(self, ack: Acknowledgement, step: int | None) -> bool:
        self.ack = ack
        self._heard_at = self._clock.monotonic()
        self._past.add_acknowledgement(ack)
        floor = self._past.generation, self._past.seq
        is_ahead = floor > self.control.order and floor == (ack.generation, ack.seq)
        if is_ahead:  # a checkpoint was brought here from another directory: its client refuses what lies below
            self.control = dataclasses.replace(self.control, generation=floor[0], seq=max(floor[1], self.control.seq))
        is_other = False
        if ack.training_id != self.control.training_id:
            is_other = self._meet(ack, step)
        elif is_ahead:
            self._publish("takeover", step)
        if step is not None and ack.step is not None:
            self._steps.learn(step, ack.step)
        event = acknowledged_event(self._run, ack, step)
        if self._said is None or _essence(self._said) != _essence(event):
            self._said = event
            self._desk.note(event)
            word = applied(event)
            if word is not None:
                self._apply(word)
        return is_other

    def _meet(self, ack: Acknowledgement, step: int | None) -> bool:
        """Another training than the one known speaks up; or the first one, which only needs its name told."""
        if self.control.training_id is None:
            self._publish("training", step, training_id=ack.training_id)
            return False
        self._desk.note(training_event(self._run, ack.training_id, step))
        self._rates.forget()
        self._decided_plan = 0
        self._said = None
        self._publish("training", step, training_id=ack.training_id, plan=hold(), request=Request())
        return True

    def _apply(self, word: Applied) -> None:
        """Tell the rates with which scale the training goes on."""
        if word.log_step is not None and word.client_step is not None:
            self._steps.learn(word.log_step, word.client_step)
        for client_step, scale in word.scales(self._plans.get(word.plan_id), self.control.base):
            self._rates.acknowledged(self._steps.to_log(client_step), scale)

    def _publish(
        self,
        because: str,
        step: int | None,
        *,
        action: str = "scale",
        training_id: str | None = None,
        plan: Plan | None = None,
        request: Request | None = None,
        why: Why | None = None,
        verdict_step: int | None = None,
    ) -> None:
        """Make the next seq: its decision line first, then the control file."""
        seq = self.control.seq + 1
        changes: dict[str, Any] = {
            "seq": seq,
            "mode": "advise" if self.held else "auto",
            "issued_at": self._clock.wall(),
            "base": _identified(self._schedule, self.control.base, seq),
        }
        if training_id is not None:
            changes["training_id"] = training_id
        if plan is not None:
            changes["plan"] = self._plans[seq] = dataclasses.replace(plan, id=seq)
        if request is not None:
            changes["request"] = dataclasses.replace(request, id=seq if request.kind != "none" else 0)
        if plan is not None:
            changes["why"] = why
        self.control = dataclasses.replace(self.control, **changes)
        more = {} if why is None else {"signal": why.signal, "verdict_step": verdict_step, "text": why.text}
        self._desk.note(published_event(self.control, step, action, because, **more))
        self._desk.publish(self.control)


def _essence(event: Event) -> Event:
    """Return what of an acknowledgement is worth a line in the journal when it changes."""
    return {key: value for key, value in event.items() if key not in _PASSING}


def _identified(schedule: Plan | None, present: Plan | None, seq: int) -> Plan | None:
    """Return the base schedule under the seq that introduced it: the present one where it is the same."""
    if schedule is None:
        return None
    if present is not None and dataclasses.replace(present, id=0) == dataclasses.replace(schedule, id=0):
        return present
    return dataclasses.replace(schedule, id=seq)
