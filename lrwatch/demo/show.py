"""What the demo prints: what it is about to do, how far it is, and what came of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich import progress as bars
from rich.console import Console
from rich.table import Table

from lrwatch.control.events import Event

_SMOOTHING = 0.01
_LINE_SECONDS = 2.0
_COLUMNS = 48
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a demo.

    Parameters
    ----------
    watched, unwatched
        Final losses over all examples.
    curves
        The smoothed losses of the watched and the unwatched training on the way.
    journal
        What the daemon wrote down.
    """

    watched: float
    unwatched: float
    curves: tuple[list[float], list[float]]
    journal: list[Event]


class Progress:
    """A bar with both losses on a terminal; a line every two seconds elsewhere.

    Attributes
    ----------
    curves
        The smoothed losses of the watched and the unwatched training, about 48 of each.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._console, self._steps = console, steps
        self._losses: tuple[float, float] | None = None
        self.curves: tuple[list[float], list[float]] = [], []
        self._line_at = time.monotonic()
        self._bar = bars.Progress(
            bars.BarColumn(30),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[text]}"),
            bars.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, step: int, watched: float, unwatched: float, scale: float) -> None:
        """Show a step; losses are shown as exponential means over about 100 steps."""
        if self._losses is None:
            self._losses = watched, unwatched
        old_watched, old_unwatched = self._losses
        self._losses = (
            old_watched + _SMOOTHING * (watched - old_watched),
            old_unwatched + _SMOOTHING * (unwatched - old_unwatched),
        )
        if step % (self._steps // _COLUMNS) == self._steps // _COLUMNS - 1:
            for curve, loss in zip(self.curves, self._losses, strict=True):
                curve.append(loss)
        if step % 50 and step + 1 < self._steps:
            return
        text = f"loss watched {self._losses[0]:.3f}  unwatched {self._losses[1]:.3f}  scale {scale:.3f}"
        self._bar.update(self._task, completed=step + 1, text=text)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._line_at >= _LINE_SECONDS:
            self._line_at = now
            self._console.print(f"step {step:6d} of {self._steps}  {text}")


def introduce(console: Console, seed: int, steps: int, learning_rate: float) -> None:
    """Say what is about to happen."""
    console.print(
        f"Two trainings of one network from one seed ({seed}): {steps} steps at a learning rate of {learning_rate:g},\n"
        "which is far too high. A daemon, a process of its own, watches the event files of one.\n",
        highlight=False,
        soft_wrap=True,
    )


def tell(console: Console, outcome: Outcome, kept: Path | None) -> None:
    """Show what was seen and done, and the losses of the watched and the unwatched training."""
    watched, unwatched, curves = outcome.watched, outcome.unwatched, outcome.curves
    table = Table(title="What lrwatch saw and did", title_justify="left", show_edge=False, pad_edge=False)
    for column in ("step", "event", "what"):
        table.add_column(column, justify="right" if column == "step" else "left")
    decided: set[int] = set()
    for event in outcome.journal:
        row = _row(event, decided)
        if row is not None:
            table.add_row(*row)
    console.print(table)
    lowest, highest = min(map(min, curves)), max(map(max, curves))
    console.print()
    for name, curve, final in zip(("watched", "unwatched"), curves, (watched, unwatched), strict=True):
        heights = "".join(_BARS[int((loss - lowest) / (highest - lowest + 1e-12) * (len(_BARS) - 1))] for loss in curve)
        console.print(f"{name:>9}  {heights}  final loss [bold]{final:.4f}[/]", highlight=False)
    if watched < unwatched:
        console.print(f"The watched training ends {1 - watched / unwatched:.0%} lower.", highlight=False)
    else:
        console.print("The watched training does not end lower this time.", highlight=False)
    if kept is not None:
        console.print(f"Logs, control file and journal: {kept}  (lrwatch status {kept})", soft_wrap=True)


def _row(event: dict[str, Any], decided: set[int]) -> tuple[str, str, str] | None:
    """Return what to show of an event; `decided` holds the plans whose acknowledgement is still to be shown."""
    step = "" if event.get("step") is None else str(event["step"])
    if event["event"] == "verdict" and event["state"] == "raised":
        return step, f"verdict {event['kind']}", str(event["text"])
    if event["event"] == "decision" and event["seq"] and "text" in event:
        decided.add(event["plan"]["id"])
        last = event["plan"]["segments"][-1]
        what = f"scale to {last['to']:g} within {last['steps']} steps"
        return step, f"decision {event['seq']}", what if event["action"] == "scale" else f"{event['action']}, {what}"
    if event["event"] == "acknowledged" and event["plan_id"] in decided and event["start_step"] is not None:
        decided.remove(event["plan_id"])
        return step, f"applied {event['seq']}", f"from step {event['start_step']} on"
    if event["event"] == "outcome":
        return step, f"outcome {event['seq']}", f"{event['verdict']}: {event['text']}"
    return None
