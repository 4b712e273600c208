"""A training for tests: real logs, a real client, and a loss that follows a script instead of a model."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lrwatch.client import Client
from lrwatch.clock import Clock, SystemClock

LEARNING_RATE = 0.1

Curve = Callable[[int, float], Mapping[str, float]]
"""From a step and the scale in use to what is logged."""

Form = Literal["tfevents", "jsonl"]


class Sinking:
    """A loss that sinks towards a floor and stays there, noisy; the floor lies lower where the scale does.

    Parameters
    ----------
    seed
        Of the noise.
    rate
        Share of the way to the floor that one step makes.
    noise
        Standard deviation of a record.
    """

    def __init__(self, seed: int = 0, *, rate: float = 0.01, noise: float = 0.02) -> None:
        self._random = np.random.default_rng(seed)
        self._rate, self._noise = rate, noise
        self._level = 3.0

    def __call__(self, step: int, scale: float) -> Mapping[str, float]:
        """Return the loss and the script's own learning rate."""
        del step
        self._level += self._rate * (0.2 + 0.8 * scale - self._level)
        return {"train/loss": self._level + self._noise * self._random.standard_normal(), "train/lr": LEARNING_RATE}


class Log(Protocol):
    """A log that grows."""

    def write(self, step: int, wall: float, values: Mapping[str, float]) -> None:
        """Append the records of one step."""
        ...

    def flush(self) -> None:
        """Bring everything to the file."""
        ...

    def close(self) -> None:
        """Bring everything to the file and let go of it."""
        ...


class EventLog:
    """A TensorBoard event file, written with TensorBoard's own writer."""

    def __init__(self, directory: Path) -> None:
        self._writer = EventFileWriter(str(directory))

    def write(self, step: int, wall: float, values: Mapping[str, float]) -> None:
        """Append the records of one step as one event."""
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        self._writer.add_event(Event(wall_time=wall, step=step, summary=summary))

    def flush(self) -> None:
        """Bring everything to the file."""
        self._writer.flush()

    def close(self) -> None:
        """Bring everything to the file, and end the writer's thread."""
        self._writer.close()


class LineLog:
    """A file of JSON Lines; appended to if it exists."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=1 << 16)

    def write(self, step: int, wall: float, values: Mapping[str, float]) -> None:
        """Append the records of one step as one line; what is not finite stands there bare."""
        self._file.write(json.dumps({"step": step, "timestamp": wall, **values}).encode() + b"\n")

    def flush(self) -> None:
        """Bring everything to the file."""
        self._file.flush()

    def close(self) -> None:
        """Bring everything to the file and close it."""
        self._file.close()


class ScriptedTrainer:
    """Trains step by step: asks its client for the scale, lets the curve answer, logs.

    Parameters
    ----------
    directory
        The run's directory; it is made if it is missing.
    curve
        What is logged at a step.
    form
        The format of the log.
    clock
        Dates the records and paces the client.
    options
        For the client, such as ``min_scale``. Without ``poll_seconds`` it looks at every step.

    Attributes
    ----------
    client
        The training's real client.
    step
        The next step.
    scales
        The scale of each step so far.
    """

    def __init__(
        self,
        directory: Path,
        curve: Curve | None = None,
        *,
        form: Form = "tfevents",
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._clock = clock or SystemClock()
        self._curve = curve or Sinking()
        self._log: Log = EventLog(directory) if form == "tfevents" else LineLog(directory / "train.jsonl")
        options.setdefault("poll_seconds", 0.0)
        self.client = Client(directory, clock=self._clock.monotonic, **options)
        self.step = 0
        self.scales: list[float] = []

    def train(self, steps: int, *, between: Iterable[Callable[[], object]] = ()) -> None:
        """Make so many steps; what was logged is in the file afterwards.

        Parameters
        ----------
        between
            Called after each step.
        """
        for _ in range(steps):
            scale = self.client.scale(self.step)
            self.scales.append(scale)
            self._log.write(self.step, self._clock.wall(), self._curve(self.step, scale))
            self.step += 1
            for call in between:
                call()
        self._log.flush()

    def go_back(self, step: int) -> None:
        """Go on from an earlier step, as from a checkpoint."""
        self.step = step

    def crash(self) -> None:
        """End without a word to anybody."""
        self._log.close()
        self.client.__exit__(SystemExit, None, None)

    def close(self) -> None:
        """End cleanly."""
        self._log.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.crash()
