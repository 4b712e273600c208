"""What an earlier watcher of this run left behind, read from its journal, control file and acknowledgement.

Recovery is to read the log again and to take from here only what a log cannot tell: which seq was last, what was
decided and for which verdict, and what the training acknowledged.
"""

from collections.abc import Sequence
from typing import Any

from lrwatch.control.events import Event, same_event
from lrwatch.control.journal import current_segment
from lrwatch.errors import ProtocolError
from lrwatch.policy.policy import Episode
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, plan_from_json


class Past:
    """The digest of a run's files.

    Parameters
    ----------
    history
        The journal, oldest first; what is not understood of it is left out.
    found
        The control file, if there is a valid one.

    Attributes
    ----------
    seq, generation
        The highest ever seen; the next must lie above.
    control
        The desired state to carry on; None where there was none.
    plans
        Every plan that was published, by id.
    acted
        The episodes of verdicts that a decision was made for in this training, with the step of the decision.
    decided_plan
        The id of the newest plan that a decision made; 0 if none.
    open_episodes
        Verdicts raised and not cleared in the journal, by signal and kind.
    acknowledgements
        The `acknowledged` events of this training.
    """

    def __init__(self, history: Sequence[Event], found: Control | None) -> None:
        self._known = {same_event(event) for event in history}
        self.seq = max((_integer(event.get("seq")) for event in history), default=0)
        self.generation = max((_integer(event.get("generation")) for event in history), default=0)
        self.plans: dict[int, Plan] = {}
        self.acted: list[tuple[Episode, int]] = []
        self.decided_plan = 0
        self.open_episodes: dict[tuple[str, str], Episode] = {}
        self.acknowledgements: list[Event] = []
        self.control = found
        if found is not None:
            self.seq, self.generation = max(self.seq, found.seq), max(self.generation, found.generation)
            self.plans[found.plan.id] = found.plan
        for event in current_segment(list(history)):
            self._digest(event)

    def add_acknowledgement(self, ack: Acknowledgement | None) -> None:
        """Start above the acknowledgement too: it may have outlived the journal and the control file."""
        if ack is not None:
            self.seq, self.generation = max(self.seq, ack.seq), max(self.generation, ack.generation)

    def knows(self, event: Event) -> bool:
        """Say whether the journal already holds this verdict or gap."""
        key = same_event(event)
        return key is not None and key in self._known

    def _digest(self, event: Event) -> None:
        if event["event"] == "decision" and _integer(event.get("seq")):
            self._digest_decision(event)
        elif event["event"] == "acknowledged":
            self.acknowledgements.append(event)
        elif event["event"] == "verdict":
            key = str(event.get("signal")), str(event.get("kind"))
            if event.get("state") == "raised":
                self.open_episodes[key] = (*key, _integer(event.get("step")))
            else:
                self.open_episodes.pop(key, None)

    def _digest_decision(self, event: Event) -> None:
        try:
            plan = plan_from_json(event.get("plan"))
        except ProtocolError:
            return
        self.plans[plan.id] = plan
        if "verdict_step" in event:
            episode = str(event.get("signal")), str(event.get("because")), _integer(event["verdict_step"])
            self.acted.append((episode, _integer(event.get("step"))))
            self.decided_plan = plan.id
        seq = _integer(event.get("seq"))
        if self.control is None or seq > self.control.seq:
            self.control = _journaled_control(event, seq, plan, self.control)


def _journaled_control(event: Event, seq: int, plan: Plan, before: Control | None) -> Control:
    """Return the state of a decision that reached the journal and not the control file."""
    request: Any = event.get("request")
    asked = Request()
    if isinstance(request, dict):
        asked = Request(
            _integer(request.get("id")),
            str(request.get("kind", "none")),
            request.get("before_step"),
            request.get("skip_batches"),
        )
    training_id = event.get("training_id")
    return Control(
        run=str(event.get("run")),
        writer="",
        generation=_integer(event.get("generation")),
        seq=seq,
        beat=0 if before is None else before.beat,
        plan=plan,
        training_id=training_id if isinstance(training_id, str) else None,
        request=asked,
        base=None if before is None else before.base,
    )


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
