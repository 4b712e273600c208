"""Does the demo's watched training end lower, whatever the seed? ``python -m tests.bench.demo [--seeds N]``.

Each line is one run of `lrwatch demo`, daemon process and all. ``--picture FILE`` draws the first seed instead.
"""

import argparse
import io
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from rich.console import Console

from lrwatch.demo import run_demo
from lrwatch.demo.run import STEPS
from lrwatch.model import Scalars
from lrwatch.source import RunSource
from lrwatch.tail.discover import RunFiles, discover


def main() -> None:
    """Print the table or draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.picture is not None:
        picture(options.picture)
        return
    print(f"lrwatch demo, {STEPS} steps, {platform.machine()}, Python {platform.python_version()}")
    print(f"{'seed':>4} {'unwatched':>10} {'watched':>8} {'lower by':>8} {'decisions':>9} {'seconds':>8}")
    lower = 0
    for seed in range(options.seeds):
        began = time.monotonic()
        outcome = run_demo(seed, None, Console(file=io.StringIO()))
        decisions = sum(event["event"] == "decision" and "text" in event for event in outcome.journal)
        lower += outcome.watched < outcome.unwatched
        share = 1 - outcome.watched / outcome.unwatched
        print(
            f"{seed:4d} {outcome.unwatched:10.4f} {outcome.watched:8.4f} {share:8.0%} {decisions:9d} "
            f"{time.monotonic() - began:8.1f}",
            flush=True,
        )
    print(f"watched ends lower: {lower} of {options.seeds}")


def picture(file: Path) -> None:
    """Draw the losses of both trainings of seed 0, the scale in use, and what was decided."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "demo"
        outcome = run_demo(0, directory, Console(file=io.StringIO()))
        losses = {files.name: _losses(files) for files in discover(directory)}
    decisions = [event for event in outcome.journal if event["event"] == "decision" and "text" in event]
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(8, 4.2), height_ratios=(3, 1), layout="constrained"
    )
    for name, colour in (("unwatched", "#b0b0b0"), ("watched", "#0b6e99")):
        above.plot(losses[name], color=colour, lw=0.2, alpha=0.35)
        above.plot(_smooth(losses[name]), color=colour, lw=1.6, label=f"{name}: ends at {getattr(outcome, name):.3f}")
    steps, scales = [0], [1.0]
    for event in decisions:
        above.axvline(event["step"], color="#c8553d", lw=0.8, ls="--")
        above.annotate(event["because"], (event["step"], 2.35), color="#c8553d", fontsize=8, rotation=90, ha="right")
        steps += [event["step"], event["step"]]
        scales += [scales[-1], event["plan"]["segments"][-1]["to"]]
    below.plot([*steps, STEPS], [*scales, scales[-1]], color="#0b6e99")
    below.set(ylim=(0.0, 1.1), ylabel="LR scale", xlabel="step")
    above.set(ylabel="training loss", ylim=(0.4, 2.6))
    above.legend(frameon=False)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
    print(file)


def _losses(files: RunFiles) -> NDArray[np.float64]:
    """Return the training loss at each step."""
    source = RunSource(files, whole=True)
    blocks = [piece for piece in source.read() if isinstance(piece, Scalars)]
    source.close()
    return np.concatenate([block.values[block.which == block.names.index("train/loss")] for block in blocks])


def _smooth(values: NDArray[np.float64], width: int = 101) -> NDArray[np.float64]:
    padded = np.pad(values, width // 2, mode="reflect")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


if __name__ == "__main__":
    main()
