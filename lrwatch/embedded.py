"""The same engine inside the training process: no files, no daemon, no thread.

>>> watch = Watch(run="example")
>>> control = watch.log(0, {"train/loss": 2.3, "lr": 0.1})
>>> control.scale_at(1)
1.0
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lrwatch.clock import Clock, SystemClock
from lrwatch.config import parse_config
from lrwatch.control.desk import MemoryDesk
from lrwatch.control.events import Event
from lrwatch.model import Gap, Rejected, RunSnapshot, Scalars
from lrwatch.protocol import Acknowledgement, Control, Plan, Request, Segment, hold
from lrwatch.protocol.plan import MAX_SCALE, MIN_SCALE
from lrwatch.watcher import RunWatcher

_DEFAULT_RUN = "run"
_WRITER = "embedded"
_TRAINING = "embedded"  # one training for ever; a random name would make the events of equal inputs differ


class Watch:
    """Judges what it is given and returns the learning-rate scale to go on with.

    Parameters
    ----------
    config
        The tables of lrwatch.toml as a dict, such as ``{"policy": {"total_steps": 6000}}``.
    run
        The run's name in the events.
    optimizer
        The optimizer's class name, which a client would acknowledge; adaptive ones are cut more gently.
    clock
        Only shown times come from it; nothing here depends on how fast the training runs.

    Raises
    ------
    lrwatch.errors.ConfigError
        The configuration has an unknown key or a value out of range.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        run: str = _DEFAULT_RUN,
        *,
        optimizer: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        parsed = parse_config({} if config is None else config)
        self._advice_only = parsed.watch.mode == "advise"
        self._source = _Handed()
        self._desk = MemoryDesk()
        base = None if parsed.schedule is None else dataclasses.replace(parsed.schedule, id=0)
        self._desk.found = Control(
            run=run, writer=_WRITER, generation=1, seq=0, plan=hold(), training_id=_TRAINING, base=base
        )
        self._watcher = RunWatcher(
            run,
            "",
            self._source,
            self._desk,
            parsed,
            clock or SystemClock(),
            writer=_WRITER,
            mode=parsed.watch.mode,
            live=True,
            catch_up=False,
        )
        self._resolved = dataclasses.replace(
            self._watcher.control, plan=_begun(hold(), 0, 1.0), base=None if self._advice_only else base
        )
        self._ack = Acknowledgement(
            _TRAINING, generation=1, optimizer=optimizer, from_scale=1.0, min_scale=MIN_SCALE, max_scale=MAX_SCALE
        )

    def log(self, step: int, values: Mapping[str, float]) -> Control:
        """Take what was measured at a training step.

        Parameters
        ----------
        step
            The training step, at least 0; it may go back after a restore.
        values
            Signals by name; the learning rate, where given, is the script's own, before the scale. NaN and
            infinities are data; what is no number is counted as rejected.

        Returns
        -------
        Control
            The desired state: multiply the learning rate of the next step with ``scale_at(step + 1)``, and look
            at ``request.kind``, which is ``none`` again once it was acknowledged. In mode ``advise`` it never
            asks for anything; what would have been done is in `events`.
        """
        step = int(step)
        plan, base = self._resolved.plan, self._resolved.base
        self._ack = dataclasses.replace(
            self._ack,
            seq=self._resolved.seq,
            beat=self._ack.beat + 1,
            step=step,
            scale=min(max(self._resolved.scale_at(step), MIN_SCALE), MAX_SCALE),
            status="held" if self._advice_only else "applied",
            base_start_step=None if base is None else base.start_step,
        )
        if plan.id != self._ack.plan_id and (plan.start_step is None or step >= plan.start_step):
            self._ack = dataclasses.replace(
                self._ack, plan_id=plan.id, start_step=plan.start_step, from_scale=plan.segments[0].start
            )
        self._desk.acknowledgement = self._ack
        self._source.hand(step, values)
        self._watcher.poll()
        return self._resolve(step)

    def acknowledge(self, seq: int, step: int, restored_to_step: int | None = None) -> None:
        """Say that the request of `seq` was carried out at `step`; `restored_to_step` where it went back."""
        self._ack = dataclasses.replace(
            self._ack, request_id=max(seq, self._ack.request_id), step=step, restored_to_step=restored_to_step
        )
        plan = self._resolved.plan
        if restored_to_step is not None and plan.id > self._ack.plan_id:
            start = min(restored_to_step, step)
            self._resolved = dataclasses.replace(self._resolved, plan=dataclasses.replace(plan, start_step=start))
        self._resolved = self._without_handled_request(self._resolved)

    @property
    def control(self) -> Control:
        """The desired state with every start resolved."""
        return self._resolved

    @property
    def events(self) -> list[Event]:
        """Verdicts, decisions, acknowledgements and outcomes so far, in order."""
        return self._desk.events

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as it stands now."""
        return self._watcher.snapshot

    def _resolve(self, step: int) -> Control:
        """Return what the watcher wants, with the starts that its acknowledgements will report."""
        control, before = self._watcher.control, self._resolved
        if self._advice_only:
            control = dataclasses.replace(control, plan=before.plan, base=None, request=Request())
        elif control.plan.id == before.plan.id:
            control = dataclasses.replace(control, plan=before.plan)
        elif control.plan.start_step is None:
            standing = before.plan.scale_at(max(step - (before.plan.start_step or 0), 0))
            control = dataclasses.replace(control, plan=_begun(control.plan, step + 1, standing))
        self._resolved = self._without_handled_request(control)
        return self._resolved

    def _without_handled_request(self, control: Control) -> Control:
        """Return `control` as one may obey it again and again: a request is carried out once."""
        if control.request.id > self._ack.request_id:
            return control
        return dataclasses.replace(control, request=Request(control.request.id))


class _Handed:
    """Records handed in by a call, as a source."""

    lag = 0

    def __init__(self) -> None:
        self._pieces: list[Scalars | Rejected] = []

    def hand(self, step: int, values: Mapping[str, Any]) -> None:
        numbers = {str(name): _number(value) for name, value in values.items()}
        usable = {name: number for name, number in numbers.items() if number is not None}
        count = len(usable)
        if count < len(values):
            self._pieces.append(Rejected("value", len(values) - count))
        self._pieces.append(
            Scalars(
                tuple(usable),
                np.arange(count, dtype=np.int32),
                np.full(count, step, dtype=np.int64),
                np.asarray(list(usable.values()), dtype=np.float64),
                np.full(count, np.nan),
            )
        )

    def read(self, limit: int | None = None) -> Iterator[Scalars | Gap | Rejected]:
        del limit
        pieces, self._pieces = self._pieces, []
        yield from pieces

    def close(self) -> None:
        self._pieces = []


def _number(value: Any) -> float | None:
    """Return a number, "nan" and an array of one included; None for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _begun(plan: Plan, step: int, standing: float) -> Plan:
    """Return the plan with its start at `step` and a null first scale replaced by `standing`."""
    first, *rest = plan.segments
    if first.start is None:
        first = Segment(first.shape, standing, first.end, first.steps)
    return dataclasses.replace(plan, start_step=step, segments=(first, *rest))
