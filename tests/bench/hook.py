"""What the client costs a training: medians, with one reading of the clock as the yardstick.

Run with ``python -m tests.bench.hook``; nothing is asserted, the machine is part of the number.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lrwatch.client import Client
from lrwatch.client.torch import attach
from lrwatch.protocol import Plan, Segment, ramp
from lrwatch.protocol.control import Control
from lrwatch.protocol.document import replace

NEVER = 86400.0
LONG = Segment("linear", 0.9, 0.5, 10**9)


def median(call: Callable[[], object], number: int = 5000, repeat: int = 15) -> float:
    """Return the median seconds per call."""
    call()
    return statistics.median(timeit.repeat(call, number=number, repeat=repeat)) / number


def publish(directory: Path, plan: Plan) -> None:
    """Put a control file down."""
    (directory / "lrwatch").mkdir(parents=True, exist_ok=True)
    replace(str(directory / "lrwatch" / "control.json"), Control("bench", "w", 1, 1, plan).encode(), durable=False)


def steady(root: Path) -> dict[str, float]:
    """Measure steps between polls."""
    table = {"time.monotonic()": median(time.monotonic)}
    for name, plan in {
        "client.scale(step), nothing new": ramp(1, to=0.5, steps=0),
        "client.scale(step), in a ramp": ramp(1, to=0.5, steps=10**9),
        "client.scale(step), last of 256 segments": Plan(1, (Segment("linear", 1.0, 0.9, 1),) * 255 + (LONG,)),
    }.items():
        directory = root / str(len(table))
        publish(directory, plan)
        client = Client(directory, poll_seconds=NEVER, min_scale=1e-6)
        steps = itertools.count()
        table[name] = median(lambda client=client, steps=steps: client.scale(next(steps)))  # type: ignore[misc]
        client.close()
    return table


def polls(root: Path) -> dict[str, float]:
    """Measure steps that poll."""
    directory = root / "polls"
    client = Client(directory, poll_seconds=0.0)
    publish(directory, ramp(1, to=0.5, steps=0))
    steps, seqs = itertools.count(), itertools.count(2)
    table = {"poll, file unchanged": median(lambda: client.scale(next(steps)), 500)}
    files = [Control("bench", "w", 1, seq, ramp(seq, to=0.5, steps=0)).encode() for seq in range(2, 6000)]
    path = str(directory / "lrwatch" / "control.json")

    def write() -> None:
        replace(path, files[next(seqs) - 2], durable=False)

    def write_and_poll() -> None:
        write()
        client.scale(next(steps))

    both = median(write_and_poll, 60, 9)
    table["poll, file changed, acknowledged"] = both - median(write, 60, 9)
    client.close()
    follower = Client(directory, poll_seconds=0.0, rank=1)

    def write_and_follow() -> None:
        write()
        follower.scale(next(steps))

    both = median(write_and_follow, 60, 9)
    table["poll, file changed, not acknowledged"] = both - median(write, 60, 9)
    follower.close()
    return table


class Idle(torch.optim.SGD):
    """An optimizer whose step is nothing but its hooks."""

    def step(self, closure: Any = None) -> Any:
        """Do nothing."""


def hooks(root: Path) -> dict[str, float]:
    """Measure the torch hook as registered, without torch's own 15 us around it."""

    def optimizer(groups: int, rate: Any = 0.1) -> Any:
        return Idle([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for _ in range(groups)], 0.1)

    def both(watched: Any) -> float:
        (before,) = watched._optimizer_step_pre_hooks.values()
        (after,) = watched._optimizer_step_post_hooks.values()

        def step() -> None:
            before(watched, (watched,), {})
            after(watched, (watched,), {})

        return median(step)

    bare = optimizer(1)
    bare.register_step_pre_hook(lambda *_: None)
    bare.register_step_post_hook(lambda *_: None)
    table = {"two torch hooks that do nothing": both(bare)}
    for name, groups, scale, rate in (
        ("torch hook at 1.0, 1 group", 1, 1.0, 0.1),
        ("torch hook at 1.0, 8 groups", 8, 1.0, 0.1),
        ("torch hook at 0.5, 1 group", 1, 0.5, 0.1),
        ("torch hook at 0.5, 8 groups", 8, 0.5, 0.1),
        ("torch hook at 0.5, 1 group, tensor", 1, 0.5, torch.tensor(0.1)),
    ):
        directory = root / f"hook-{len(table)}"
        publish(directory, ramp(1, to=scale, steps=0))
        watched = optimizer(groups, rate)
        hook = attach(watched, directory, poll_seconds=NEVER)
        table[name] = both(watched)
        hook.close()
    return table


def imports() -> dict[str, float]:
    """Measure imports in a fresh interpreter, over its start."""
    root = str(Path(__file__).resolve().parents[2])

    def start(code: str) -> float:
        command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"]
        begun = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - begun

    return {
        code: statistics.median(start(code) - start("pass") for _ in range(15))
        for code in ("import lrwatch", "import lrwatch; lrwatch.Client", "import lrwatch; lrwatch.attach")
    }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = {**steady(root), **polls(root), **hooks(root), **imports()}
    yardstick = table["time.monotonic()"]
    for label, seconds in table.items():
        print(f"{label:45} {seconds * 1e6:10.2f} us {seconds / yardstick:10.0f} clocks")


if __name__ == "__main__":
    main()
