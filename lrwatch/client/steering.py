"""Which plan runs since when: identity, order, starts and requests, without any input or output.

All that outlives the process is an `Acknowledgement`: it is what the training saves in its checkpoint and what
lies in its directory, so that a resumed training has one kind of memory, whichever of the two it finds.
"""

import dataclasses
import uuid
from dataclasses import dataclass

from lrwatch.errors import ProtocolError
from lrwatch.protocol import Acknowledgement, Control, Plan, Request
from lrwatch.protocol.plan import MAX_SCALE, MIN_SCALE


@dataclass(frozen=True, slots=True)
class Track:
    """One plan, or base schedule, and since when it runs.

    A plan that has begun stays begun: at a step before its start, where a restored training finds itself, its
    first value holds. A cut that came with a restore has to outlast the restore.

    Parameters
    ----------
    id
        Of the plan.
    plan
        None while no control file has told it: nothing yet, or a resumed training that knows the id only.
    start
        The step at which it began; None: not yet.
    standing
        The factor that holds until it begins, and from which a null ``from`` goes on.
    """

    id: int = 0
    plan: Plan | None = None
    start: int | None = None
    standing: float = 1.0

    def follow(self, plan: Plan | None, standing: float) -> "Track":
        """Return the track of `plan`: this very one if the id is known, else one that has not begun."""
        if plan is None:
            return Track()
        if plan.id != self.id:
            return Track(plan.id, plan, None, standing)
        if self.plan is not None:
            return self
        return Track(plan.id, plan, self.start, standing if self.start is None else self.standing)

    def begin(self, step: int) -> "Track":
        """Return the track with its start, if `step` is at or after it."""
        if self.plan is None or self.start is not None:
            return self
        start = step if self.plan.start_step is None else self.plan.start_step
        return self if step < start else dataclasses.replace(self, start=start)

    def at(self, step: int) -> float:
        """Return the factor at `step`."""
        if self.plan is None or self.start is None:
            return self.standing
        return self.plan.scale_at(max(0, step - self.start), self.standing)

    def settled(self, step: int) -> bool:
        """Say whether the factor no longer changes from `step` on."""
        if self.plan is None:
            return True
        return self.start is not None and self.plan.settled(step - self.start)

    def shifted(self, steps: int) -> "Track":
        """Return the track as it stands on a step axis whose zero lies `steps` earlier."""
        return self if self.start is None else dataclasses.replace(self, start=max(0, self.start + steps))


class Steering:
    """The control state of one training: what it follows, where it stands, what was asked of it.

    Parameters
    ----------
    min_scale, max_scale
        The training's own bounds; no control file gets a scale past them.

    Attributes
    ----------
    training_id
        Made here; another only by `recall`.
    applies
        Whether the last control file is to be followed; until then, and in mode advise or paused, the scale
        stays where it is.
    step
        The newest step; -1 before the first.
    scale, clamped
        What holds at `step`, and whether the bounds cut it.
    request
        What the training is asked to do; kind ``none`` if nothing.
    offer
        A request that waits for its record in the acknowledgement.
    request_id, restored_to_step
        The last request handed over, and the step that the training went back to for it.
    """

    def __init__(self, min_scale: float, max_scale: float) -> None:
        self.training_id = uuid.uuid4().hex
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.generation = self.seq = self.beat = 0
        self.plan = Track()
        self.base = Track()
        self.applies = False
        self.step = -1
        self.scale = self._clamp(1.0)
        self.clamped = False
        self.request = Request()
        self.offer: Request | None = None
        self.request_id = 0
        self.restored_to_step: int | None = None
        self._base_factor = 1.0
        self._restoring = False  # the request of `request_id` is a restore that has not been answered
        self._handled = 0  # no request up to this id is handed over any more
        self._arriving = True  # what the first control file asks was asked before this client was there

    def follow(self, control: Control) -> None:
        """Take over the desired state; reading it twice changes nothing.

        Raises
        ------
        ProtocolError
            ``training``: it is for another one. ``order``: it is older than what is followed already.
        """
        if control.training_id not in (None, self.training_id):
            raise ProtocolError("training", f"for training {control.training_id}, not {self.training_id}")
        if control.order < (self.generation, self.seq):
            raise ProtocolError(
                "order", f"(generation, seq) {control.order} comes before {(self.generation, self.seq)}"
            )
        base = self.base.follow(control.base, self._base_factor)
        if self.base.plan is None and base.id == self.base.id:
            self._base_factor = base.at(self.step)
        self.plan = self.plan.follow(control.plan, self._plan_factor())
        self.base = base
        self.applies = control.applies
        self._ask(control.request)
        self.generation, self.seq, self.beat = control.generation, control.seq, control.beat

    def unasked(self) -> None:
        """Take note that there is no control file: whatever will be asked is asked of this client."""
        self._arriving = False

    def advance(self, step: int) -> float:
        """Go to `step` and return the scale that holds there."""
        if step < self.step:
            self.restored(step)
        if self.applies:
            self.plan, self.base = self.plan.begin(step), self.base.begin(step)
            self._base_factor = self.base.at(step)
            wanted = self._base_factor * self.plan.at(step)
            self.scale = self._clamp(wanted)
            self.clamped = self.scale != wanted
        self.step = step
        return self.scale

    def settled(self, step: int) -> bool:
        """Say whether no later step brings another scale, short of another control file."""
        return not self.applies or (self.plan.settled(step) and self.base.settled(step))

    def hand_over(self) -> None:
        """Hand the offered request to the training, once and for all."""
        if self.offer is not None:
            self.request, self.offer = self.offer, None
            self.request_id = self._handled = self.request.id
            self.restored_to_step = None
            self._restoring = self.request.kind == "restore"

    def restored(self, step: int) -> None:
        """Record that the training went back to `step`, if a restore is what was asked of it last."""
        if self._restoring:
            self._restoring = False
            self.restored_to_step = step
            self.request = Request()

    def recall(self, memory: Acknowledgement) -> bool:
        """Continue where `memory` says the training stood, unless more is known of that training already.

        Returns
        -------
        bool
            Whether its plans were taken over.
        """
        same = memory.training_id == self.training_id
        newer = not same or (memory.generation, memory.seq) > (self.generation, self.seq)
        if newer:
            self.training_id = memory.training_id
            self.generation, self.seq, self.beat = memory.generation, memory.seq, memory.beat
            self.plan = Track(memory.plan_id, None, memory.start_step, memory.from_scale or 1.0)
            self.base = Track(memory.base_id, None, memory.base_start_step, memory.base_from_scale or 1.0)
            self._base_factor = 1.0
            self.scale = self._clamp(memory.scale)
            self.applies = self.clamped = False
        if not same or memory.request_id > self.request_id:
            self.request_id, self.restored_to_step = memory.request_id, memory.restored_to_step
            self.request, self.offer, self._restoring = Request(), None, False
        self._arriving = self._arriving or not same
        self._handled = max(self._handled, memory.request_id)
        if memory.step is not None:
            self.step = max(self.step, memory.step) if same else memory.step
        return newer

    def shift(self, steps: int) -> None:
        """Go on with the same plans where the loop turns out to count its steps from elsewhere."""
        if self.step >= 0:
            self.plan, self.base = self.plan.shifted(steps), self.base.shifted(steps)
            self.step = max(0, self.step + steps)

    def narrow(self, min_scale: float, max_scale: float) -> float:
        """Set other bounds, and return the scale within them."""
        self.min_scale, self.max_scale = min_scale, max_scale
        self.scale = self._clamp(self.scale)
        return self.scale

    def _ask(self, request: Request) -> None:
        if self._arriving:
            self._arriving = False
            self._handled = max(self._handled, request.id)
            if (request.id, request.kind) == (self.request_id, "restore"):
                self._restoring = self.restored_to_step is None
        if request.id != self.request.id or request.kind == "none":
            self.request = Request()
        wanted = self.applies and request.kind != "none" and request.id > self._handled
        self.offer = request if wanted else None

    def _plan_factor(self) -> float:
        """Return where the client stands, without the base schedule's part in it."""
        return min(max(self.scale / self._base_factor, MIN_SCALE), MAX_SCALE)

    def _clamp(self, scale: float) -> float:
        return self.min_scale if scale < self.min_scale else self.max_scale if scale > self.max_scale else scale
