"""`lrwatch watch` and its companions as real processes: what a person or a supervisor sees of them."""

import json
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from lrwatch.cli import main
from lrwatch.control.journal import read_journal
from lrwatch.protocol import Control, decode_control
from lrwatch.testing.process import Daemon, command, environment, eventually, lrwatch_once
from lrwatch.testing.training import ScriptedTrainer

QUICK = "[watch]\npoll_seconds = 0.02\ndiscover_seconds = 0.05\n[detect.plateau]\ngain = 0.1\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration for the impatient."""
    path = tmp_path / "lrwatch.toml"
    path.write_text(QUICK)
    return path


def log(path: Path, *, count: int = 50, diverges: bool = False) -> Path:
    """Write a small log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: list[Mapping[str, Any]] = [{"step": step, "loss": 1.0} for step in range(count)]
    lines += [{"step": count + more, "loss": math.nan} for more in range(3)] if diverges else []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def control(directory: Path) -> Control | None:
    """Return what a client reads in a run's directory, if there is something."""
    path = directory / "lrwatch" / "control.json"
    return decode_control(path.read_bytes()) if path.exists() else None


def published(directory: Path, request: str | None = None) -> Control:
    """Wait for a control file, or for one that asks for something, and return it."""

    def look() -> Control | None:
        found = control(directory)
        return found if found is not None and request in (None, found.request.kind) else None

    found = eventually(look)
    assert found is not None
    return found


def records(daemon: Daemon) -> int:
    """Return how many records a daemon has read of its first run."""
    runs = json.loads(daemon.get("/api/runs"))
    return int(runs[0]["records"]) if runs else 0


def quiet(output: str) -> str:
    """Return output after a check that no traceback is in it."""
    assert "Traceback" not in output
    assert "Exception ignored" not in output
    return output


def test_a_training_is_steered_by_a_daemon_of_its_own_process(tmp_path: Path, config: Path) -> None:
    """A plateau in the event files lowers the learning rate in the loop, and /metrics, /healthz and status say so."""
    directory = tmp_path / "runs" / "exp"
    with Daemon(tmp_path / "runs", "--config", config) as daemon, ScriptedTrainer(directory) as trainer:
        daemon.watching()
        eventually(lambda: trainer.client.last_scale == 0.5, also=lambda: trainer.train(10))
        eventually(
            lambda: b'"outcome"' in (directory / "lrwatch" / "journal.jsonl").read_bytes(),
            also=lambda: trainer.train(10),
        )
        seq = published(directory).seq
        eventually(lambda: 'lrwatch_applied_scale_ratio{run="exp"} 0.5' in daemon.get("/metrics"))
        metrics = {
            sample.name: sample.value
            for family in text_string_to_metric_families(daemon.get("/metrics"))
            for sample in family.samples
            if sample.labels.get("run") == "exp"
        }
        assert metrics["lrwatch_control_seq"] == seq
        assert metrics["lrwatch_scale_ratio"] == 0.5
        assert metrics["lrwatch_records_total"] <= 2 * trainer.step
        assert json.loads(daemon.get("/healthz"))["ok"] is True
        assert json.loads(daemon.get("/api/runs"))[0]["run"] == "exp"
        shown = lrwatch_once("status", tmp_path / "runs", "--json")
        assert json.loads(shown.stdout)["ack"]["scale"] == 0.5
        assert daemon.stop() == 0
        quiet(daemon.output)


def test_a_missing_path_is_waited_for(tmp_path: Path, config: Path) -> None:
    """The daemon comes first, the directory later, and its log is read."""
    directory = tmp_path / "later" / "exp"
    with Daemon(tmp_path / "later", "--config", config) as daemon:
        daemon.watching()
        assert json.loads(daemon.get("/api/runs")) == []
        log(directory / "train.jsonl", diverges=True)
        published(directory, "restore")
        assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(tmp_path: Path, config: Path, number: int) -> None:
    """SIGTERM and Ctrl-C end the watch with status 0 within 5 seconds, without a word of complaint."""
    log(tmp_path / "runs" / "exp" / "train.jsonl")
    with Daemon(tmp_path / "runs", "--config", config) as daemon:
        daemon.watching()
        published(tmp_path / "runs" / "exp")

        assert daemon.stop(number, seconds=5.0) == 0
        assert "error" not in quiet(daemon.output)


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_long_catch_up(tmp_path: Path, config: Path) -> None:
    """A log of hundreds of megabytes holds the end up by less than 5 seconds, and nothing half-read is acted on."""
    path = tmp_path / "runs" / "exp" / "train.jsonl"
    path.parent.mkdir(parents=True)
    lines = b"".join(b'{"step": %d, "loss": 1.0, "lr": 0.1}\n' % step for step in range(100_000))
    with path.open("wb") as file:
        for _ in range(100):
            file.write(lines)
    with Daemon(tmp_path / "runs", "--config", config) as daemon:
        daemon.watching()
        eventually(lambda: records(daemon))
        began = time.monotonic()
        assert daemon.stop(seconds=5.0) == 0

        assert time.monotonic() - began < 5.0
        assert control(path.parent) is None
        quiet(daemon.output)


def test_read_only_logs_stay_untouched(tmp_path: Path, config: Path) -> None:
    """With --control-dir everything goes there, and a client of that directory is steered."""
    directory = tmp_path / "runs" / "exp"
    log(directory / "train.jsonl", diverges=True)
    with Daemon(tmp_path / "runs", "--config", config, "--control-dir", tmp_path / "control") as daemon:
        published(tmp_path / "control" / "exp")
        assert daemon.stop() == 0

    assert [path.name for path in directory.iterdir()] == ["train.jsonl"]


def test_a_pipe_is_watched_to_its_end(tmp_path: Path, config: Path) -> None:
    """`training | lrwatch watch -` steers from the current directory, and ends when the training does."""
    with Daemon("-", "--config", config, stdin=subprocess.PIPE, cwd=tmp_path) as daemon:
        daemon.watching()
        pipe = daemon.process.stdin
        assert pipe is not None
        pipe.write(b'{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
        pipe.flush()
        published(tmp_path)
        eventually(lambda: records(daemon) == 1)
        pipe.write(b'ss": 1.0}\n' + b"".join(b'{"step": %d, "loss": NaN}\n' % step for step in range(3, 6)))
        pipe.flush()
        published(tmp_path, "restore")
        pipe.close()
        assert daemon.process.wait(10) == 0
        quiet(daemon.output)


def test_a_pipe_read_once_is_read_to_its_end(tmp_path: Path) -> None:
    """However slowly the other side writes, the last line without a newline included."""
    slow = (
        "import time, sys\nfor step in range(5):\n    print({'step': step, 'loss': 1}, end='' if step == 4 else '\\n')"
    )
    slow = slow.replace("{'step': step, 'loss': 1}", '\'{"step": %d, "loss": 1}\' % step') + "\n    time.sleep(0.1)"
    with subprocess.Popen([sys.executable, "-uc", slow], stdout=subprocess.PIPE) as writer:
        done = lrwatch_once("watch", "-", "--once", stdin=writer.stdout, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (decision,) = read_journal(tmp_path / "lrwatch" / "journal.jsonl")
    assert (decision["because"], decision["step"]) == ("start", 4)


@pytest.mark.parametrize("stdin", ["null", "closed"])
def test_an_empty_pipe_holds_nothing(tmp_path: Path, stdin: str) -> None:
    """Standard input that ends at once, or is closed, is nothing to read: status 1, and no waiting."""
    if stdin == "null":
        done = lrwatch_once("watch", "-", "--once", cwd=tmp_path)
    else:
        script = f"exec {' '.join(command('watch', '-', '--once'))} <&-"
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            timeout=30,
            check=False,
        )

    assert done.returncode == 1
    complaint = "no records found in -" if stdin == "null" else "-: standard input is closed"
    assert complaint in quiet(done.stderr)


def test_two_daemons_leave_one(tmp_path: Path, config: Path) -> None:
    """Of two daemons on one directory exactly one goes on writing; the other says that it was taken over."""
    directory = tmp_path / "runs" / "exp"
    config.write_text(QUICK + "[policy]\nmax_actions = 0\n")
    config.write_text(config.read_text().replace("poll_seconds", "beat_seconds = 0.1\npoll_seconds", 1))
    log(directory / "train.jsonl")
    with Daemon(tmp_path / "runs", "--config", config) as first:
        published(directory)
        with Daemon(tmp_path / "runs", "--config", config) as second:
            eventually(lambda: "taken over by" in first.output)
            beat = published(directory).beat
            eventually(lambda: published(directory).beat > beat + 5)
            last = published(directory)
            assert last.generation == 2
            assert str(second.process.pid) in last.writer
            assert [second.stop(), first.stop()] == [0, 0]
    journal = read_journal(directory / "lrwatch" / "journal.jsonl")

    assert [(event["seq"], event["because"]) for event in journal] == [(1, "start"), (2, "takeover")]


# Output that is closed, full or broken


def shell(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $LRWATCH stands for the program."""
    env = environment({"PROGRAM": " ".join(command())})
    return subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, text=True, env=env, timeout=60, check=False, **options
    )


@pytest.mark.parametrize("style", ["--json", ""])
def test_a_reader_that_goes_early_breaks_nothing(tmp_path: Path, style: str) -> None:
    """`lrwatch replay | head -1` gives one line and no traceback."""
    path = tmp_path / "train.jsonl"
    text = "".join(f'{{"step": {step}, "loss": {"NaN" if step % 10 < 3 else 1.0}}}\n' for step in range(20_000))
    path.write_text(text)

    done = shell(f"$PROGRAM replay {path} {style} | head -1; echo ${{PIPESTATUS[0]}}")

    first, status = done.stdout.splitlines()
    assert "divergence" in first
    assert status in ("0", "1")
    assert quiet(done.stderr) == ""


@pytest.mark.parametrize("arguments", ["replay {0}", "replay {0} --json", "status {0}"])
def test_a_closed_standard_output_is_no_accident(tmp_path: Path, arguments: str) -> None:
    """Nobody listens: nothing is said, and nothing is wrong."""
    log(tmp_path / "train.jsonl", diverges=True)
    assert CliRunner().invoke(main, ["watch", str(tmp_path), "--once"]).exit_code == 0

    done = shell(f"$PROGRAM {arguments.format(tmp_path)} >&-")

    assert (done.returncode, quiet(done.stderr)) == (0, "")


@pytest.mark.parametrize("arguments", ["replay {0} --json", "status {0}"])
def test_a_full_standard_output_is_said(tmp_path: Path, arguments: str) -> None:
    """What could not be written is an error in one line, with status 1."""
    log(tmp_path / "train.jsonl", diverges=True)
    assert CliRunner().invoke(main, ["watch", str(tmp_path), "--once"]).exit_code == 0

    done = shell(f"$PROGRAM {arguments.format(tmp_path)} >/dev/full")

    assert done.returncode == 1
    assert quiet(done.stderr) == "lrwatch: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_daemon_outlives_its_terminal(tmp_path: Path, config: Path, redirection: str) -> None:
    """A daemon whose output is closed or full goes on watching."""
    directory = tmp_path / "runs" / "exp"
    log(directory / "train.jsonl", diverges=True)
    arguments = " ".join(command("watch", tmp_path / "runs", "--config", config, "--listen", "127.0.0.1:0"))
    with subprocess.Popen(["/bin/sh", "-c", f"exec {arguments} {redirection}"], env=environment()) as process:
        try:
            published(directory, "restore")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            if process.poll() is None:
                process.kill()


def test_the_busy_port_is_named(tmp_path: Path, config: Path) -> None:
    """A second daemon on one port ends with status 1 before it touches a run."""
    log(tmp_path / "runs" / "exp" / "train.jsonl")
    with Daemon(tmp_path / "nowhere", "--config", config) as daemon:
        port = daemon.watching().port
        done = lrwatch_once("watch", tmp_path / "runs", "--listen", f"127.0.0.1:{port}")

    assert done.returncode == 1
    assert str(port) in quiet(done.stderr)
    assert control(tmp_path / "runs" / "exp") is None


def test_importing_the_program_says_nothing(tmp_path: Path) -> None:
    """`python -W error -m lrwatch --version` has no warning and one line."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lrwatch", "--version"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        check=False,
        timeout=60,
    )

    assert re.fullmatch(r"lrwatch, version \S+\n", done.stdout), done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
