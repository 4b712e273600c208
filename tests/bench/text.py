"""How many lines of console output are read in a second, by family.

    python -m tests.bench.text [--megabytes 20] [--repeats 5]

For each family a log of that many megabytes is made of lines as its framework prints them, and read in pieces of a
megabyte by this process on one core. Beside it, in turns: the shortest loop that somebody would write for just these
lines, a regular expression and `float`; and for the printed dictionaries, `json.loads` per line after the quotes are
replaced. The loops give fewer things: no columns, no doubles left out, no other family looked for.
"""

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator

from lrwatch.formats.text import TextLog
from lrwatch.model import Scalars

_MEGABYTE = 1 << 20

LINES: dict[str, Callable[[int], str]] = {
    "llm.c": lambda n: f"s:{n} trl:{3 + 1 / (n + 1):.4f} lr:0.000{n % 1000:03} norm:0.{n % 97:02}\n",
    "modded-nanogpt": lambda n: (
        f"step:{n}/900000 train_loss:{3 + 1 / (n + 1):.4f} train_time:{n * 216}ms step_avg:216.{n % 97:02}ms\n"
    ),
    "nanogpt": lambda n: f"iter {n}: loss {3 + 1 / (n + 1):.4f}, time 14{n % 97:02}.27ms, mfu 37.{n % 97:02}%\n",
    "megatron": lambda n: (
        f" iteration {n:8}/  900000 | consumed samples: {n * 1024:12} |"
        f" elapsed time per iteration (ms): 223{n % 97:02}.6"
        f" | learning rate: 9.{n % 997:03}E-05 | global batch size:  1024 | lm loss: 2.{n % 9973:06}E+00"
        f" | loss scale: 65536.0 | grad norm: 0.{n % 997:03} | num zeros: 0.0 | number of skipped iterations:   0"
        " | number of nan iterations:   0 |\n"
    ),
    "huggingface": lambda n: (
        f"{{'loss': 0.{n % 9973:04}, 'grad_norm': 0.26893723011{n % 997:03},"
        f" 'learning_rate': 9.60526315789{n % 997:03}e-07, 'epoch': {n / 1000:.2f}}}\n"
    ),
}

NAIVE = {
    "llm.c": re.compile(r"s:(\d+) trl:(\S+) lr:(\S+) norm:(\S+)"),
    "modded-nanogpt": re.compile(r"step:(\d+)/\d+ train_loss:(\S+)"),
    "nanogpt": re.compile(r"iter (\d+): loss ([^,]+)"),
    "megatron": re.compile(
        r"iteration +(\d+)/.*learning rate: (\S+).*lm loss: (\S+).*loss scale: (\S+).*grad norm: (\S+)"
    ),
    "huggingface": re.compile(r"'loss': ([^,]+), 'grad_norm': ([^,]+), 'learning_rate': ([^,]+), 'epoch': ([^}]+)"),
}


def generated(line: Callable[[int], str], size: int) -> tuple[bytes, int]:
    """Return a log of about `size` bytes, and how many lines it has."""
    parts: list[str] = []
    length = 0
    while length < size:
        parts.append(line(len(parts)))
        length += len(parts[-1])
    return "".join(parts).encode(), len(parts)


def with_lrwatch(data: bytes, _: str) -> int:
    """Read as a source would; return the number of records."""
    log = TextLog()
    count = 0
    for start in range(0, len(data), _MEGABYTE):
        count += sum(len(item) for item in log.feed(data[start : start + _MEGABYTE]) if isinstance(item, Scalars))
    return count


def with_expression(data: bytes, family: str) -> int:
    """Search each line and convert its groups."""
    search = NAIVE[family].search
    rows = []
    for line in data.decode().split("\n"):
        match = search(line)
        if match:
            rows.append([float(group) for group in match.groups()])
    return len(rows)


def with_json(data: bytes, _: str) -> int:
    """Read each printed dictionary as JSON."""
    rows = [json.loads(line.replace("'", '"')) for line in data.decode().split("\n") if line]
    return len(rows)


def rivals(family: str) -> Iterator[tuple[str, Callable[[bytes, str], int]]]:
    """Give the loops for a family."""
    yield "lrwatch", with_lrwatch
    yield "re + float", with_expression
    if family == "huggingface":
        yield "json.loads", with_json


def measure(family: str, size: int, repeats: int) -> None:
    """Let the loops take turns on one log, and print a row for each."""
    data, lines = generated(LINES[family], size)
    seconds: dict[str, list[float]] = {name: [] for name, _ in rivals(family)}
    for _ in range(repeats):
        for name, read in rivals(family):
            began = time.process_time()
            count = read(data, family)
            seconds[name].append(time.process_time() - began)
            if count < lines:
                raise SystemExit(f"{name} found {count} records in {lines} lines of {family}")
    for name, taken in seconds.items():
        rates = sorted(lines / second for second in taken)
        ratios = [theirs / ours for theirs, ours in zip(taken, seconds["lrwatch"], strict=True)]
        print(
            f"{family:<16}{name:<12}{rates[0]:>12,.0f}{statistics.median(rates):>12,.0f}{rates[-1]:>12,.0f}"
            f"{statistics.median(ratios):>14.2f}"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--family", choices=LINES, action="append")
    options = parser.parse_args()
    print(f"{'family':<16}{'reader':<12}{'lines/s: min':>12}{'median':>12}{'max':>12}{'time, x ours':>14}")
    for family in options.family or LINES:
        measure(family, options.megabytes * 1_000_000, options.repeats)


if __name__ == "__main__":
    main()
