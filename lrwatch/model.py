"""What flows down the road: bytes, records, verdicts, decisions, and the finished picture of a run.

All of it is frozen: a stage hands a value on and never looks at it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["train", "eval", "lr", "grad_norm", "ignore"]
Goal = Literal["minimize", "maximize"]
Kind = Literal["plateau", "oscillation", "divergence", "dead", "spike", "overfit", "slow", "converged", "stalled"]
Severity = Literal["info", "warning", "critical"]
Action = Literal["scale", "restore", "stop"]

KINDS: tuple[Kind, ...] = (
    "plateau",
    "oscillation",
    "divergence",
    "dead",
    "spike",
    "overfit",
    "slow",
    "converged",
    "stalled",
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that were appended to a file, in order and without a hole before them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a stream: what comes next does not continue what came before.

    Parameters
    ----------
    reason
        ``restart`` (the training went back), ``truncated``, ``replaced``, ``corrupt``, ``oversize``, ...
    bytes
        How many bytes are lost; None where nobody can know.
    step
        The training step at which the hole was met, where there is one.
    """

    reason: str
    bytes: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Input that was read and is no record: `count` pieces of it, for `reason`."""

    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Scalars:
    """A block of records in the order of the file, as columns of one length n.

    Parameters
    ----------
    names
        The distinct tags of this block.
    which
        Shape (n,), integers: `names[which[i]]` is the tag of record i.
    steps
        Shape (n,), int64: the step each record is logged at.
    values
        Shape (n,), float64; NaN and infinities are data.
    walls
        Shape (n,), float64: seconds since the epoch as the writer saw them; NaN where the format has none.
    """

    names: tuple[str, ...]
    which: NDArray[np.int32]
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    walls: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one signal, raised once per episode and cleared when it is over.

    Parameters
    ----------
    step
        The training step of the record that settled it.
    since
        The step at which the evidence begins.
    evidence
        The statistic, its threshold and its window: enough to reproduce the verdict.
    """

    state: Literal["raised", "cleared"]
    signal: str
    kind: Kind
    step: int
    since: int
    severity: Severity
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """One run as it stands: what /metrics and /api/runs show. Written by one thread, read by others.

    Scales are ratios to the script's own learning rate; times are seconds since the epoch, None if never.
    """

    run: str
    directory: str
    step: int | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    active: tuple[tuple[Kind, str], ...] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    scale: float = 1.0
    seq: int = 0
    ack_seq: int | None = None
    applied_scale: float | None = None
    last_record_at: float | None = None
    ack_at: float | None = None
    finished: bool = False
    records: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    gaps: Mapping[str, int] = field(default_factory=dict)
    control_writes: int = 0
    control_write_failures: int = 0
    set_aside: str | None = None
