"""How long it takes to read a log: cold, beside TensorBoard's own reader, and poll by poll.

    python -m tests.bench.reading [--scalars 1000000] [--repeats 5]

A million scalars of ten tags are written as torch writes them, one per event. Each reading is done by a fresh
process, which reports its wall and CPU time without imports and its peak memory; the page cache is warm, and the
readers take turns. TensorBoard's EventAccumulator is told to keep everything, as lrwatch does.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from lrwatch.model import Scalars
from lrwatch.source import RunSource
from lrwatch.tail.discover import discover
from lrwatch.testing.formats import event_record

TAGS = 10


def write(path: Path, scalars: int) -> None:
    """Write an event file as torch's add_scalar does."""
    chance = random.Random(0)  # noqa: S311 - no secret
    with path.open("wb") as file:
        file.write(event_record(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString()))
        for index in range(scalars):
            value = Summary.Value(tag=f"train/tag_{index % TAGS}", simple_value=chance.random())
            event = Event(wall_time=1.7e9 + index / 100, step=index // TAGS, summary=Summary(value=[value]))
            file.write(event_record(event.SerializeToString()))


def with_lrwatch(path: Path) -> int:
    """Read with the source that the watcher uses; return the number of scalars."""
    (files,) = discover(path)
    source = RunSource(files, whole=True)
    return sum(len(item) for item in source.read() if isinstance(item, Scalars))


def with_tensorboard(path: Path) -> int:
    """Read with TensorBoard's accumulator, which keeps what it is told to."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    return sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"])


READERS: dict[str, Callable[[Path], int]] = {"lrwatch": with_lrwatch, "EventAccumulator": with_tensorboard}


def measure(reader: str, path: Path) -> dict[str, float]:
    """Read once in this process."""
    if reader == "EventAccumulator":
        import tensorboard.backend.event_processing.event_accumulator  # noqa: F401 - outside of the time taken
    before = resource.getrusage(resource.RUSAGE_SELF)
    began, cpu = time.perf_counter(), time.process_time()
    count = READERS[reader](path)
    return {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "count": count,
        "base": before.ru_maxrss / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def compare(path: Path, scalars: int, repeats: int) -> None:
    """Let the readers take turns, and print what each needs."""
    results: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    for _ in range(repeats):
        for reader, measured in results.items():
            command = [sys.executable, "-m", "tests.bench.reading", "--reader", reader, "--path", str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured.append(json.loads(output))
            if measured[-1]["count"] != scalars:
                raise SystemExit(f"{reader} read {measured[-1]['count']} of {scalars} scalars")
    print(
        f"{'reader':<18}{'wall s: min':>12}{'median':>8}{'max':>8}{'CPU s: min':>12}{'scalars/s':>12}{'peak MiB':>10}"
    )
    for reader, measured in results.items():
        wall = [result["wall"] for result in measured]
        print(
            f"{reader:<18}{min(wall):>12.2f}{statistics.median(wall):>8.2f}{max(wall):>8.2f}"
            f"{min(result['cpu'] for result in measured):>12.2f}{scalars / min(wall):>12,.0f}"
            f"{max(result['peak'] for result in measured):>10.0f}"
        )
    pairs = zip(results["EventAccumulator"], results["lrwatch"], strict=True)
    ratios = [theirs["wall"] / ours["wall"] for theirs, ours in pairs]
    print(f"times as fast: min {min(ratios):.1f}, median {statistics.median(ratios):.1f}, max {max(ratios):.1f}")


def poll(directory: Path) -> None:
    """Print what a poll costs: of finished files, and of one that has grown by ten records."""
    for index in range(1000):
        (directory / f"events.tfevents.{index:04}").write_bytes(b"")
    (files,) = discover(directory)
    source = RunSource(files)
    for _ in range(3):
        list(source.read())
    idle = timed(lambda: list(source.read()), 10)
    print(f"a poll of 1000 files with nothing new: {idle * 1e3:.2f} ms")

    path = directory / "events.tfevents.0000"
    write(path, 10)
    tail = path.read_bytes()
    (files,) = discover(path)
    source = RunSource(files)

    def grow() -> int:
        with path.open("ab") as file:
            file.write(tail)
        return sum(len(item) for item in source.read() if isinstance(item, Scalars))

    grow()
    print(f"a poll of one file with 10 new scalars: {timed(grow, 300) * 1e6:.0f} us (the writing included)")


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call in seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Run the bench, or one reading of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scalars", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        print(json.dumps(measure(options.reader, options.path)))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "events.out.tfevents.1700000000.bench"
        write(path, options.scalars)
        print(f"{options.scalars:,} scalars of {TAGS} tags, {path.stat().st_size / 1e6:.1f} MB")
        compare(path, options.scalars, options.repeats)
        polled = Path(directory) / "polled"
        polled.mkdir()
        poll(polled)


if __name__ == "__main__":
    main()
