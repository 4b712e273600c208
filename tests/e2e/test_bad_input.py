"""Bad input gets a clear error or a counted rejection; never a traceback, never silence, and nothing else is lost."""

import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from lrwatch.cli import main
from lrwatch.source import NOT_UNDERSTOOD
from lrwatch.testing.process import Daemon, command, environment, eventually

EVENT_FILE = "events.out.tfevents.1790000000.host.1.0"


def lrwatch(*arguments: str | Path) -> Result:
    """Run a command in this process; whatever comes of it, it is no accident."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def replay(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the events of a replay that works."""
    result = lrwatch("replay", path, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line, parse_constant=_refuse) for line in result.stdout.splitlines()]


def summary(path: Path) -> tuple[int, int]:
    """Return how many records a replay reads and how many it rejects."""
    last = replay(path)[-1]
    return last["records"], last["rejected"]


def complaint(path: Path) -> str:
    """Return what a replay and a single look both complain of."""
    replayed = lrwatch("replay", path)
    once = lrwatch("watch", path, "--once")
    assert (replayed.exit_code, once.exit_code) == (1, 1)
    assert (replayed.stdout, once.stdout) == ("", "")
    assert once.stderr
    return replayed.stderr


def lines(first: int, last: int, value: float = 1.0) -> bytes:
    """Return JSON Lines."""
    return b"".join(json.dumps({"step": step, "loss": value}).encode() + b"\n" for step in range(first, last))


def event(step: int, value: float = 1.0) -> bytes:
    """Return a record of an event file."""
    data = Event(
        step=step, wall_time=1.0 + step, summary=Summary(value=[Summary.Value(tag="loss", simple_value=value)])
    )
    return framed(data.SerializeToString())


def framed(data: bytes) -> bytes:
    """Return a record with its length and both checksums."""
    file = io.BytesIO()
    RecordWriter(file).write(data)
    return file.getvalue()


def events(first: int, last: int) -> bytes:
    """Return an event file of records."""
    head = framed(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
    return head + b"".join(event(step) for step in range(first, last))


def _refuse(name: str) -> float:
    raise AssertionError(f"bare {name} on standard output")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run."""
    directory = tmp_path / "runs" / "exp"
    directory.mkdir(parents=True)
    return directory


def test_no_such_path(tmp_path: Path) -> None:
    """Whoever mistypes a path is told which."""
    assert complaint(tmp_path / "nowhere") == f"lrwatch: {tmp_path / 'nowhere'}: no such file or directory\n"


def test_an_empty_directory(run: Path) -> None:
    """What was looked for is said."""
    assert "no logs found; looked for TensorBoard event files" in complaint(run.parent)


@pytest.mark.parametrize("name", ["train.jsonl", EVENT_FILE])
def test_a_binary_file(run: Path, name: str) -> None:
    """What is neither format is named as such, or counted as corrupt, and beside it other logs are read."""
    (run / name).write_bytes(os.urandom(300_000))

    assert str(run / name) in complaint(run.parent) or "hold no records" in complaint(run.parent)
    (run / "good.jsonl").write_bytes(lines(0, 10))
    assert summary(run.parent)[0] == 10


def test_a_half_written_record_at_the_end(run: Path) -> None:
    """Of a torn event file everything before the tear is read, and the tear is told as a gap."""
    data = events(0, 20)
    (run / EVENT_FILE).write_bytes(data[:-7])

    told = replay(run.parent)

    assert told[-1]["records"] == 19
    assert [(gap["event"], gap["reason"], gap["bytes"]) for gap in told[:-1]] == [("gap", "torn", len(event(19)) - 7)]


def test_a_half_written_line_at_the_end(run: Path) -> None:
    """A last line that is no whole object is rejected, one without its newline is read."""
    (run / "train.jsonl").write_bytes(lines(0, 10)[:-5])
    assert summary(run.parent) == (9, 1)
    (run / "train.jsonl").write_bytes(lines(0, 10)[:-1])
    assert summary(run.parent) == (10, 0)


@pytest.mark.parametrize("place", ["data", "data checksum", "length"])
def test_a_bad_checksum_in_the_middle(run: Path, place: str) -> None:
    """The spoilt record is left out and counted, the hole is told, and every record around it is read."""
    data = bytearray(events(0, 20))
    start = len(events(0, 10))
    data[start + {"data": 14, "data checksum": len(event(10)) - 2, "length": 1}[place]] ^= 0xFF
    (run / EVENT_FILE).write_bytes(data)

    told = replay(run.parent)

    gaps = [line for line in told if line["event"] == "gap"]
    assert [(gap["reason"], gap["step"]) for gap in gaps] == [("corrupt", 9)]
    assert told[-1]["records"] == 19
    assert told[-1]["rejected"] == 1


def test_a_record_that_is_no_event(run: Path) -> None:
    """A record with good checksums around junk is rejected, and the next is read."""
    (run / EVENT_FILE).write_bytes(events(0, 10) + framed(b"\xff" * 50) + event(10) + event(11))

    assert summary(run.parent) == (12, 1)


def test_a_line_of_100_megabytes(run: Path) -> None:
    """It is dropped and told as a gap; reading it takes no more memory than reading any other log."""
    (run / "train.jsonl").write_bytes(lines(0, 20_000))
    usual, _ = peak_megabytes(run.parent)
    with (run / "train.jsonl").open("wb") as file:
        file.write(lines(0, 10_000))
        file.write(b'{"step": 10000, "text": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n')
        file.write(lines(10_001, 20_001))

    peak, told = peak_megabytes(run.parent)

    gap, last = told
    assert (gap["reason"], gap["bytes"], gap["step"]) == ("oversize", 100_000_027, 9999)
    assert (last["records"], last["rejected"]) == (20_000, 1)
    assert peak < usual + 32


def peak_megabytes(path: Path) -> tuple[float, Sequence[Mapping[str, Any]]]:
    """Replay in a process of its own; return its largest resident size and the events."""
    with subprocess.Popen(
        command("replay", path, "--json"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, output
    return usage.ru_maxrss / 1024, [json.loads(line) for line in output.splitlines()]


def test_invalid_utf_8(run: Path) -> None:
    """Bad bytes in a line cost at most that line; in a name they are replaced."""
    (run / "train.jsonl").write_bytes(
        lines(0, 10) + b"\xff\xfe\xfd\n" + b'{"step": 10, "lo\xffss": NaN}\n' + lines(11, 20)
    )

    assert summary(run.parent) == (20, 1)


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        (["NaN", "NaN", "NaN"], ["divergence"]),
        (["Infinity", "-Infinity", "1e999"], ["divergence"]),
        (["NaN", "1.0", "Infinity", "1.0", "NaN"], []),
        (['"nan"', '"inf"', '"NaN"'], ["divergence"]),
        (["1e308", "-1e308"] * 200, []),
        (["1e-320", "-0.0", "5e-324"], []),
        (["1" * 400] * 3, ["divergence"]),
    ],
)
def test_numbers_at_the_edge(run: Path, values: Sequence[str], verdicts: Sequence[str]) -> None:
    """Whatever a float can be is a record; three in a row that are no numbers are a divergence, fewer are counted."""
    text = lines(0, 100) + b"".join(f'{{"step": {100 + at}, "loss": {v}}}\n'.encode() for at, v in enumerate(values))
    (run / "train.jsonl").write_bytes(text)

    told = replay(run.parent)

    nonfinite = [line for line in told if line["event"] == "verdict" and line["evidence"].get("nonfinite")]
    assert [line["kind"] for line in nonfinite] == verdicts
    assert told[-1]["records"] == 100 + len(values)


@pytest.mark.parametrize("step", ["-1", "1.5", "true", "1e400", '"x"', "9" * 30, "[1]"])
def test_an_impossible_step(run: Path, step: str) -> None:
    """A line that says it belongs to no step is rejected, and its neighbours keep theirs."""
    (run / "train.jsonl").write_bytes(lines(0, 10) + f'{{"step": {step}, "loss": 1}}\n'.encode() + lines(10, 20))

    assert summary(run.parent) == (20, 1)


def test_steps_that_go_back(run: Path) -> None:
    """A training that went back is told as a gap of kind restart, once for all its signals."""
    both = b"".join(
        json.dumps({"step": step, "loss": 1.0, "val/loss": 2.0}).encode() + b"\n"
        for step in [*range(50), *range(30, 60)]
    )
    (run / "train.jsonl").write_bytes(both)

    told = replay(run.parent)

    assert [(gap["reason"], gap["step"], gap["bytes"]) for gap in told[:-1]] == [("restart", 30, 0)]
    assert told[-1]["records"] == 160


@pytest.mark.parametrize("make", ["file", "forbidden"])
def test_an_unwritable_control_directory(run: Path, tmp_path: Path, make: str) -> None:
    """The run is read, the failure is named with its path, and the exit status is 1."""
    (run / "train.jsonl").write_bytes(lines(0, 10))
    control_dir = tmp_path / "control" if make == "file" else Path("/proc/lrwatch")
    if make == "file":
        control_dir.write_bytes(b"")

    result = lrwatch("watch", run.parent, "--once", "--control-dir", control_dir)

    assert result.exit_code == 1
    assert f"lrwatch: exp: {control_dir}" in result.stderr


def test_a_config_with_an_unknown_key(run: Path, tmp_path: Path) -> None:
    """A typing mistake is an error that names it, with status 2, and nothing is watched."""
    (run / "train.jsonl").write_bytes(lines(0, 10))
    config = tmp_path / "lrwatch.toml"
    config.write_text("[policy]\ncooldown = 5\n")

    for arguments in (("check-config", config), ("watch", run.parent, "--once", "--config", config)):
        result = lrwatch(*arguments)
        assert result.exit_code == 2
        assert f"{config}: unknown key policy.cooldown; known: " in result.stderr
    assert not (run / "lrwatch").exists()


BAD: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "binary": ("train.jsonl", lambda: b"\x00\xff" * 200_000),
    "checksum": (EVENT_FILE, lambda: spoilt(events(0, 20))),
    "torn": (EVENT_FILE, lambda: events(0, 20)[:-7]),
    "long": ("train.jsonl", lambda: lines(0, 10) + b"x" * 3_000_000 + b"\n" + lines(10, 20)),
    "utf8": ("train.jsonl", lambda: lines(0, 10) + b"\xff\n" + lines(10, 20)),
    "nan": ("train.jsonl", lambda: lines(0, 10) + lines(10, 20, math.nan)),
    "back": ("train.jsonl", lambda: lines(0, 20) + lines(5, 20)),
    "empty": ("train.jsonl", lambda: b""),
    "good": ("train.jsonl", lambda: lines(0, 20)),
}


def spoilt(data: bytes) -> bytes:
    """Return `data` with a byte in its middle turned round."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def test_a_daemon_takes_it_all_at_once_and_counts_it(tmp_path: Path) -> None:
    """Live, each run has its own numbers in /metrics, none stops another, and what is waited for comes."""
    config = tmp_path / "lrwatch.toml"
    config.write_text("[watch]\npoll_seconds = 0.02\ndiscover_seconds = 0.05\n")
    for name, (file, data) in BAD.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / file).write_bytes(data())
    with Daemon(tmp_path / "runs", "--config", config) as daemon:
        daemon.watching()
        eventually(lambda: sample(daemon, "lrwatch_records_total", run="good") == 20)
        eventually(lambda: sample(daemon, "lrwatch_records_total", run="back") == 35)
        with (tmp_path / "runs" / "torn" / EVENT_FILE).open("ab") as log:
            log.write(events(0, 20)[-7:])
        eventually(lambda: sample(daemon, "lrwatch_records_total", run="torn") == 20)

        assert sample(daemon, "lrwatch_records_total", run="checksum") == 19
        assert sample(daemon, "lrwatch_rejected_total", run="checksum", reason="corrupt") == 1
        assert sample(daemon, "lrwatch_gaps_total", run="checksum", reason="corrupt") == 1
        assert sample(daemon, "lrwatch_rejected_total", run="long", reason="oversize") == 1
        assert sample(daemon, "lrwatch_rejected_total", run="utf8", reason="json") == 1
        assert sample(daemon, "lrwatch_verdict_active", run="nan", kind="divergence") == 1
        assert sample(daemon, "lrwatch_gaps_total", run="back", reason="restart") == 1
        assert sample(daemon, "lrwatch_run_set_aside", run="binary") == 0
        assert NOT_UNDERSTOOD in daemon.output
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.output


def sample(daemon: Daemon, name: str, **labels: str) -> float | None:
    """Return a value that /metrics shows."""
    for family in text_string_to_metric_families(daemon.get("/metrics")):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return float(found.value)
    return None


def test_the_interpreter_warns_of_nothing(run: Path) -> None:
    """Not even a numeric warning reaches standard error: whoever runs with -W error sees the same."""
    values = [1e308, -1e308, math.nan, math.inf, 1e-320] * 100
    (run / "train.jsonl").write_bytes(
        b"".join(json.dumps({"step": step, "loss": value}).encode() + b"\n" for step, value in enumerate(values))
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lrwatch", "replay", str(run), "--json"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
