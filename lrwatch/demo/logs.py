"""Writes a training's losses as TensorBoard event files, with TensorBoard's own writer."""

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

FLUSH_STEPS = 20


class EventLog:
    """One event file in `directory`, as a training script would write it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._writer = EventFileWriter(str(directory))

    def write(self, step: int, loss: float, learning_rate: float) -> None:
        """Log one step; every 20 steps what was logged reaches the file."""
        summary = Summary(
            value=[
                Summary.Value(tag="train/loss", simple_value=loss),
                Summary.Value(tag="train/lr", simple_value=learning_rate),
            ]
        )
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        if step % FLUSH_STEPS == 0:
            self._writer.flush()

    def close(self) -> None:
        """Bring the rest to the file."""
        self._writer.close()
