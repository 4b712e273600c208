"""What terminals, launchers and loggers put around a line."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwatch.formats.text import TextLog
from lrwatch.model import Gap
from lrwatch.testing.formats import read_all
from tests.unit.formats.text.reading import read
from tests.unit.formats.text.samples import SAMPLES

LINE = "s:3 trl:3.5 lr:0.1 norm:1.0"
ROWS = [("trl", 3, 3.5), ("lr", 3, 0.1), ("norm", 3, 1.0)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\b\b\b\r", "", "\0\n", "\x1b[0m\n"])
def test_ends_of_lines(end: str) -> None:
    """A line ends at a newline, a carriage return, a backspace, or with the stream."""
    assert read(LINE + end).rows == ROWS


def test_states_of_a_line() -> None:
    """What is drawn over is a line of its own."""
    assert read("s:1 trl:1\rs:2 trl:2\b\b\b\b\b\b\b\b\bs:3 trl:3\n").of("trl") == [(1, 1.0), (2, 2.0), (3, 3.0)]


@pytest.mark.parametrize(
    "prefix",
    [
        "[rank0]:",
        "[rank12]: ",
        "[default7]:",
        "0: ",
        "15: ",
        "[1,0]<stdout>:",
        "(RayTrainWorker pid=123, ip=10.0.0.1) ",
        "2025-01-01 12:00:00,123 ",
        "2025-01-01T12:00:00.123Z ",
        "[2025-01-01 12:00:00] ",
        "2025-01-01 12:00:00,123 - INFO - ",
        "2025-01-01 12:00:00,123 - my.trainer - INFO - ",
        "2025-01-01 12:00:00.184 | INFO     | __main__:main:564 - ",
        "[INFO] ",
        "INFO:root:",
        "I0317 10:00:13.658792 125344476638336 metric_logger.py:181] ",
        "[rank0]:2025-01-01 12:00:00,123 - root - INFO - ",
        "\x1b[32m[rank0]:\x1b[0m ",
    ],
)
def test_prefixes(prefix: str) -> None:
    """Launchers, timestamps, loggers and colours are taken off."""
    line = LINE.replace("s:3", prefix.replace("root:", "") + "s:3") if "root:" not in prefix else "INFO:" + LINE
    assert read(line).rows == ROWS


@pytest.mark.parametrize(
    "escape",
    [
        "\x1b[31m",
        "\x1b[38;2;255;0;0m",
        "\x1b[K",
        "\x1b[?25l",
        "\x1b[1A\x1b[2K",
        "\x1b]0;title\x07",
        "\x1b(B",
        "\x1b]8;;\x1b\\",
    ],
)
def test_escapes(escape: str) -> None:
    """Escape sequences are no characters of a line, wherever they stand."""
    cut = LINE.index(":3.5") + 2
    assert read(escape + LINE[:cut] + escape + LINE[cut:] + escape + "\n").rows == ROWS


def test_ranks_that_repeat_a_line() -> None:
    """A record that every rank prints counts once, also where the ranks are a few steps apart."""
    lines = [
        f"[rank{rank}]:step: {step}  loss: 2.{step}  memory: {rank}GiB\n" for step in range(50) for rank in range(8)
    ]
    apart = [*lines[:40], *lines[16:80], *lines[40:]]

    assert read("".join(apart)).of("loss") == [(step, float(f"2.{step}")) for step in range(50)]


def test_ranks_that_say_different_things() -> None:
    """Of a line that differs from another rank's, what differs counts."""
    found = read("0: step 5 loss 1.5 lr 0.1\n1: step 5 loss 1.75 lr 0.1\n0: step 5 loss nan\n1: step 5 loss nan\n")

    assert [(name, step, repr(value)) for name, step, value in found.rows] == [
        ("loss", 5, "1.5"),
        ("lr", 5, "0.1"),
        ("loss", 5, "1.75"),
        ("loss", 5, "nan"),
    ]


def test_a_repeated_value_hides_no_other() -> None:
    """After a line of which a part was left out, the next has all of its own."""
    found = read("s:5 trl:1.5 lr:0.1 norm:1.0\ns:5 trl:2.5 lr:0.1 norm:1.0\ns:6 trl:3.5 lr:0.1 norm:1.0\n")

    assert found.of("trl") == [(5, 1.5), (5, 2.5), (6, 3.5)]
    assert found.of("lr") == [(5, 0.1), (6, 0.1)]


def test_a_layout_that_changes() -> None:
    """Lines of which a number comes and goes are read as well as lines that are all alike."""
    line = " iteration {n:8}/ 100 | learning rate: 1.0E-04 |{loss} grad norm: {n}.5 | number of nan iterations: 0 |\n"
    lines = [line.format(n=n, loss=f" lm loss: {n}.25 |" if n % 7 or n < 20 else "") for n in range(100)]
    found = read("".join(lines))

    assert found.of("grad norm") == [(n, n + 0.5) for n in range(100)]
    assert found.of("lm loss") == [(n, n + 0.25) for n in range(100) if n % 7 or n < 20]


def test_a_restart_that_repeats_records() -> None:
    """After a restart the same numbers are records again."""
    lines = [f"s:{step} trl:2.5 lr:0.1 norm:1.0\n" for step in range(100)]

    assert len(read("".join([*lines, *lines[50:]])).of("trl")) == 150


def test_a_dictionary_behind_a_bar() -> None:
    """What is glued to a progress bar is read."""
    line = "  5%|▌         | 10/200 [00:10<03:10,  1.00s/it]{'loss': 0.5, 'epoch': 0.1}\n"

    assert read(line).rows == [("loss", 1, 0.5)]


def test_bars_that_are_glued_together() -> None:
    """The last state counts."""
    bar = "Epoch 0:  {n}%|█    | {n}/100 [00:06<01:44, 14.19it/s, loss={n}.5]"

    assert read(bar.format(n=3) + bar.format(n=4) + "\n").rows == [("loss", 4, 4.5)]


def test_bytes_that_are_no_utf8() -> None:
    """A bad character is replaced and does not hide the next line."""
    assert read(b"\xff\xfe\xc3\n" + LINE.encode() + b"\n\xe2\x94").rows == ROWS


def test_a_line_that_is_too_long() -> None:
    """It is a gap of its size, at the last step seen."""
    found = read(LINE.encode() + b"\n" + b"x" * (1 << 21) + b"\ns:4 trl:3\n")

    assert found.gaps == [Gap("oversize", 1 << 21, 3)]
    assert found.rejected == {"oversize": 1}
    assert found.rows == [*ROWS, ("trl", 4, 3.0)]


noise = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"\b",
        b"\b" * 9,
        b"\0",
        b"\x1b[",
        b"\x1b[1m",
        b"\x1b]",
        b"\xff",
        b"\xe2\x94",
        b"0: ",
        b"[rank1]:",
    ]
)
lines = st.sampled_from(
    [line.encode() for sample in SAMPLES.values() for line in sample.text.splitlines(keepends=True)]
)
pieces = st.lists(noise | lines | st.binary(max_size=8), max_size=30)


@given(pieces, st.lists(st.integers(0, 3000), max_size=12))
def test_any_mixture_in_any_cutting(parts: list[bytes], cuts: list[int]) -> None:
    """How the bytes arrive changes nothing."""
    data = b"".join(parts)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    cut = [data[start:end] for start, end in pairwise(places)]

    assert read_all(TextLog(), cut) == read_all(TextLog(), [data])


@given(pieces)
def test_nothing_is_made_up(parts: list[bytes]) -> None:
    """A record has a step that can be one and a name that can be printed."""
    for name, step, _ in read(b"".join(parts)).rows:
        assert name.isprintable()
        assert 0 <= step <= 2**53
