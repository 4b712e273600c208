"""Work and memory stay in proportion to the input, whatever it is."""

import time
import tracemalloc
from collections.abc import Iterator
from itertools import islice

import pytest

from lrwatch.formats.text import TextLog
from tests.unit.formats.text.samples import SAMPLES

SIZE = 1 << 20
SECONDS = 20.0  # a line of a megabyte takes milliseconds; a quadratic search of it would take hours

PIECES = [
    "step: ",
    "step 1 ",
    "loss 1 ",
    "loss=1 step=1 ",
    "loss: ",
    "s:1 trl:",
    "s:1 trl:1 lr:",
    "Epoch ",
    "Epoch [1][",
    "1/1 [",
    "1/1 [00:00<00:00, 1it/s, ",
    "1/2 [0:0<0:0, 1it/s, a=1, ",
    "{'",
    "{'loss': 1, '",
    "', '",
    "': ",
    "| ",
    " | ",
    " iteration 1/ 2 | ",
    "a: 1 | ",
    "] ",
    "]\t",
    "[1]\ta:",
    "\t",
    " ",
    "-",
    "- ",
    "--- ",
    " - a",
    "1/1 - a: 1",
    "1/1  - ",
    "\x1b[",
    "\x1b]",
    "\x1b[0",
    "(a pid=1",
    "[rank0]:",
    "0: ",
    "INFO ",
    "2025-01-01 00:00:00 ",
    "a.",
    "a/",
    "9",
    "9.",
    "e9",
    "completed step: 1, ",
    "completed step: 1, a: ",
    "train_inner | epoch 1",
    "valid | ",
    "json_stats: {",
    "json_stats: {[",
    "train | {[",
    "loss at ",
    "eval loss at 1",
    "Train ",
    "[batch=1",
    "ppl: ",
    "step=1, skipped=1, lr=[",
    "[1] ",
    "a - ",
    "\xa0",
    "é",
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_line(piece: str) -> None:
    """No regular expression goes over a line again and again."""
    line = (piece * (SIZE // len(piece.encode())))[: SIZE - 1].encode()[: SIZE - 1]
    log = TextLog()
    list(log.feed(b"".join(sample.text.encode() for sample in SAMPLES.values())))
    began = time.process_time()

    for end in (b"", b" step 1 loss 1", b"}", b"|"):
        list(log.feed(line[: SIZE - 1 - len(end)] + end + b"\n"))
    list(TextLog().feed(line + b"\n"))

    assert time.process_time() - began < SECONDS


def peak_of(lines: Iterator[str]) -> int:
    """Return how many bytes are allocated at most while lines are read, a hundred at a time."""
    log = TextLog()
    tracemalloc.start()
    try:
        while piece := "".join(islice(lines, 100)):
            list(log.feed(piece.encode()))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_names_that_never_end() -> None:
    """New names in every line cost no more memory than some thousands of them."""
    assert peak_of(f"{{'loss_{n:0900}': 1.0, 'epoch': 1}}\n" for n in range(10_000)) < 12 << 20


def test_one_step_for_ever() -> None:
    """Records of a step that never ends cost no memory."""
    assert peak_of(f"step 1 loss 0.{n:09}\n" for n in range(10_000)) < 1 << 20
