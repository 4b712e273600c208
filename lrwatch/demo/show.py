"""What the demo prints: what it is about to do, how far it is, and what came of it."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich import progress as bars
from rich.console import Console
from rich.table import Table

from lrwatch.control.events import Event

_SMOOTHING = 0.01
_LINE_SECONDS = 2.0


class Progress:
    """A bar with both losses on a terminal; a line every two seconds elsewhere."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console, self._steps = console, steps
        self._losses: tuple[float, float] | None = None
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
        f"Two trainings of one network from one seed ({seed}), {steps} steps, learning rate {learning_rate:g}: "
        "far too high.\nA daemon in a process of its own watches the event files of one of them.\n",
        highlight=False,
    )


def tell(console: Console, watched: float, unwatched: float, journal: list[Event], kept: Path | None) -> None:
    """Show what was seen and done, and both final losses."""
    table = Table(title="What lrwatch saw and did", title_justify="left", show_edge=False, pad_edge=False)
    for column in ("step", "event", "what"):
        table.add_column(column, justify="right" if column == "step" else "left")
    for event in journal:
        row = _row(event)
        if row is not None:
            table.add_row(*row)
    console.print(table)
    console.print(f"\nfinal loss  unwatched [bold]{unwatched:.4f}[/]   watched [bold]{watched:.4f}[/]", highlight=False)
    if watched < unwatched:
        console.print(f"The watched training ends {1 - watched / unwatched:.0%} lower.", highlight=False)
    else:
        console.print("The watched training does not end lower this time.", highlight=False)
    if kept is not None:
        console.print(f"Logs, control file and journal are in {kept}; try: lrwatch status {kept}", highlight=False)


def _row(event: dict[str, Any]) -> tuple[str, str, str] | None:
    step = "" if event.get("step") is None else str(event["step"])
    if event["event"] == "verdict" and event["state"] == "raised":
        return step, f"verdict {event['kind']}", str(event["text"])
    if event["event"] == "decision" and event["seq"] and "text" in event:
        target = event["plan"]["segments"][-1].get("to")
        return step, f"decision {event['seq']}", f"scale to {target:g}" if target else str(event["action"])
    if event["event"] == "acknowledged" and event["start_step"] is not None and event["from_scale"] is not None:
        return step, f"applied {event['seq']}", f"from step {event['start_step']}, scale then {event['from_scale']:g}"
    if event["event"] == "outcome":
        return step, f"outcome {event['seq']}", f"{event['verdict']}: {event['text']}"
    return None
