"""The same engine inside the training process: no files, no daemon, no thread.

>>> watch = Watch(run="example")
>>> control = watch.log(0, {"train/loss": 2.3, "lr": 0.1})
>>> control.scale_at(1)
1.0
"""

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lrwatch.clock import Clock, SystemClock
from lrwatch.config import parse_config
from lrwatch.control.desk import MemoryDesk
from lrwatch.control.events import Event
from lrwatch.model import Gap, Rejected, RunSnapshot, Scalars
from lrwatch.protocol import Acknowledgement, Control, Plan, Segment, hold
from lrwatch.watcher import RunWatcher

_DEFAULT_RUN = "run"


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
        self._source = _Handed()
        self._desk = MemoryDesk()
        self._training_id = uuid.uuid4().hex
        self._desk.found = Control(
            run=run, writer="embedded", generation=1, seq=0, plan=hold(), training_id=self._training_id
        )
        self._clock = clock or SystemClock()
        self._watcher = RunWatcher(
            run,
            "",
            self._source,
            self._desk,
            parsed,
            self._clock,
            writer="embedded",
            mode=parsed.watch.mode,
            live=True,
            catch_up=False,
        )
        base = None if parsed.schedule is None else dataclasses.replace(parsed.schedule, id=0)
        self._resolved = dataclasses.replace(self._watcher.control, plan=_begun(hold(), 0, 1.0), base=base)
        self._advice_only = parsed.watch.mode != "auto"
        self._ack = Acknowledgement(self._training_id, generation=1, optimizer=optimizer, max_scale=1e6)

    def log(self, step: int, values: Mapping[str, float]) -> Control:
        """Take what was measured at a training step.

        Parameters
        ----------
        step
            The training step, at least 0; it may go back after a restore.
        values
            Signals by name; the learning rate, where given, is the script's own, before the scale.

        Returns
        -------
        Control
            The desired state: multiply the learning rate of the next step with ``scale_at(step + 1)``, and look
            at ``request.kind``.
        """
        plan = self._resolved.plan
        self._ack = dataclasses.replace(
            self._ack,
            seq=self._resolved.seq,
            step=step,
            scale=self._resolved.scale_at(step),
            status="held" if self._advice_only else "applied",
        )
        if plan.id != self._ack.plan_id and (plan.start_step is None or step >= plan.start_step):
            self._ack = dataclasses.replace(
                self._ack, plan_id=plan.id, start_step=plan.start_step, from_scale=plan.scale_at(0)
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
        if restored_to_step is not None and self._resolved.plan.id > self._ack.plan_id:
            plan = _begun(self._watcher.control.plan, min(restored_to_step, step), self._ack.scale)
            self._resolved = dataclasses.replace(self._resolved, plan=plan)

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
        control = self._watcher.control
        plan = self._resolved.plan
        if control.plan.id != plan.id:
            plan = control.plan
            if plan.start_step is None:
                plan = _begun(plan, step + 1, self._ack.scale)
        base = self._resolved.base if control.base is None else control.base
        self._resolved = dataclasses.replace(control, plan=plan, base=base)
        return self._resolved


class _Handed:
    """Records handed in by a call, as a source."""

    lag = 0

    def __init__(self) -> None:
        self._blocks: list[Scalars] = []

    def hand(self, step: int, values: Mapping[str, float]) -> None:
        count = len(values)
        self._blocks.append(
            Scalars(
                tuple(values),
                np.arange(count, dtype=np.int32),
                np.full(count, step, dtype=np.int64),
                np.asarray([float(value) for value in values.values()], dtype=np.float64),
                np.full(count, np.nan),
            )
        )

    def read(self, limit: int | None = None) -> Iterator[Scalars | Gap | Rejected]:
        del limit
        blocks, self._blocks = self._blocks, []
        yield from blocks

    def close(self) -> None:
        self._blocks = []


def _begun(plan: Plan, step: int, standing: float) -> Plan:
    """Return the plan with its start at `step` and a null first scale replaced by `standing`."""
    first, *rest = plan.segments
    if first.start is None:
        first = Segment(first.shape, standing, first.end, first.steps)
    return dataclasses.replace(plan, start_step=step, segments=(first, *rest))
