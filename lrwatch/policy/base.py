"""What a decision is made from, and what it is."""

from dataclasses import dataclass
from typing import Literal

from lrwatch.model import Action, Verdict
from lrwatch.protocol import Plan, Request

Client = Literal["absent", "alive", "stale"]


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a run stands when its verdicts are weighed.

    Parameters
    ----------
    step, first_step
        The newest and the first training step of the log.
    scale
        The scale at which the newest plan ends: where the training is, or is going.
    client
        ``absent``: no training has ever acknowledged; ``stale``: it did, but not of late.
    in_flight
        The training has not yet acknowledged the newest plan.
    held
        Nobody applies what is decided now (advice only): a decision is a recommendation, nothing is in flight.
    waits_for_person
        A person must approve each decision, or has paused the run.
    warming_up
        The script's own learning rate is still climbing from its start.
    optimizer
        The optimizer's class name, as acknowledged.
    """

    step: int
    first_step: int
    scale: float = 1.0
    client: Client = "absent"
    in_flight: bool = False
    held: bool = False
    waits_for_person: bool = False
    warming_up: bool = False
    optimizer: str | None = None

    @property
    def elapsed(self) -> int:
        """Training steps since the first one seen."""
        return max(self.step - self.first_step, 0)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a rule would do about a verdict, before anybody asked whether it may.

    Parameters
    ----------
    scale
        The absolute scale to go to.
    ramp_steps
        Optimizer steps of a geometric ramp to it; 0 jumps.
    request
        ``restore`` or ``stop`` to go with it; its id is given when it is published.
    """

    action: Action
    verdict: Verdict
    scale: float
    ramp_steps: int
    request: Request | None
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A wish that was granted, or what refused it.

    Parameters
    ----------
    plan, request
        Without their ids, which the publisher gives.
    refused_by
        The guardrail's name; None where the wish was granted.
    """

    step: int
    action: Action
    verdict: Verdict
    plan: Plan
    request: Request | None
    refused_by: str | None
    text: str
