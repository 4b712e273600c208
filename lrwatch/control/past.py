"""What an earlier watcher of this run left behind, read from its journal, control file and acknowledgement.

Recovery is to read the log again and to take from here only what a log cannot tell: which seq was last, what was
decided and for which verdict, and what the training acknowledged.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lrwatch.control.applied import Applied, applied
from lrwatch.control.events import Event, same_event
from lrwatch.control.journal import current_segment
from lrwatch.errors import ProtocolError
from lrwatch.policy.policy import Episode
from lrwatch.protocol import Acknowledgement, Control, Plan, decode_control, document
from lrwatch.protocol.control import SCHEMA
from lrwatch.protocol.plan import MAX_STEP

_MOST = MAX_STEP // 2
"""No watcher ever counts so far: whoever claims more would leave no room above for what readers still accept."""

_JOURNALED = ("run", "seq", "plan", "request", "base", "mode", "generation", "training_id")


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
        Verdicts raised and not cleared in the journal of this training, by signal and kind.
    bygone
        Signal and kind of the verdicts that held when this training took the place of another.
    applied
        What this training acknowledged of its scale.
    acknowledged
        The newest `acknowledged` event of this training; None if there is none.
    """

    def __init__(self, history: Sequence[Event], found: Control | None) -> None:
        segment = current_segment(history)
        self._known = Counter(map(same_event, history))
        self._refused = {same_event(event) for event in segment if event["event"] == "decision"}
        self.seq = max((_integer(event.get("seq")) for event in history), default=0)
        self.generation = max((_integer(event.get("generation")) for event in history), default=0)
        self.plans: dict[int, Plan] = {}
        self.acted: list[tuple[Episode, int]] = []
        self.decided_plan = 0
        self.open_episodes: dict[tuple[str, str], Episode] = {}
        self.applied: list[Applied] = []
        self.acknowledged: Event | None = None
        self.control = found
        if found is not None:
            self.seq, self.generation = max(self.seq, found.seq), max(self.generation, found.generation)
        for event in history[: len(history) - len(segment)]:
            self._digest_verdict(event)
        self.bygone = frozenset(self.open_episodes)
        self.open_episodes.clear()
        for event in segment:
            self._digest(event)
        if found is not None and found.plan.id not in self.plans:
            self._digest_found(found)

    def add_acknowledgement(self, ack: Acknowledgement | None) -> None:
        """Start above the acknowledgement too: it may have outlived the journal and the control file."""
        if ack is not None and max(ack.seq, ack.generation) <= _MOST:
            self.seq, self.generation = max(self.seq, ack.seq), max(self.generation, ack.generation)

    def recognises(self, event: Event) -> bool:
        """Say whether the journal already holds this verdict or gap; each line of it answers for one."""
        key = same_event(event)
        if key is None or not self._known[key]:
            return False
        self._known[key] -= 1
        return True

    def has_refused(self, event: Event) -> bool:
        """Say whether the journal already tells of this refusal in this training."""
        return same_event(event) in self._refused

    def _digest(self, event: Event) -> None:
        if event["event"] == "decision" and _integer(event.get("seq")):
            self._digest_decision(event)
        elif event["event"] == "acknowledged":
            self.acknowledged = event
            word = applied(event)
            if word is not None:
                self.applied.append(word)
        else:
            self._digest_verdict(event)

    def _digest_verdict(self, event: Event) -> None:
        if event["event"] == "verdict":
            key = str(event.get("signal")), str(event.get("kind"))
            if event.get("state") == "raised":
                self.open_episodes[key] = (*key, _integer(event.get("step")))
            else:
                self.open_episodes.pop(key, None)

    def _digest_decision(self, event: Event) -> None:
        control = _journaled_control(event, self.control)
        if control is None:
            return
        self.plans[control.plan.id] = control.plan
        if "verdict_step" in event:
            episode = str(event.get("signal")), str(event.get("because")), _integer(event["verdict_step"])
            self.acted.append((episode, _integer(event.get("step"))))
            self.decided_plan = control.plan.id
        if self.control is None or control.seq > self.control.seq:
            self.control = control

    def _digest_found(self, found: Control) -> None:
        """Take from the control file what its lost decision line would have told."""
        self.plans[found.plan.id] = found.plan
        why = found.why
        if why is not None and why.signal is not None:
            key = why.signal, why.kind
            episode = *key, why.step or 0
            self.acted.append((episode, why.step or 0))
            self.open_episodes[key] = episode
            self.decided_plan = found.plan.id


def _journaled_control(event: Event, before: Control | None) -> Control | None:
    """Return the state of a decision, which perhaps reached the journal and not the control file."""
    fields: dict[str, Any] = {key: event.get(key) for key in _JOURNALED}
    fields |= {"schema": SCHEMA, "writer": "", "beat": 0 if before is None else before.beat}
    if "text" in event:
        fields["why"] = {"kind": event.get("because"), **{key: event.get(key) for key in ("signal", "step", "text")}}
    elif before is not None and before.why is not None:
        fields["why"] = dataclasses.asdict(before.why)
    try:
        return decode_control(document.encode(fields))
    except (ProtocolError, ValueError, RecursionError):
        return None


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return value
    return 0
