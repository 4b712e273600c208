"""The command line: exit statuses, where messages go, and that nothing in a log can move a terminal's cursor."""

import json
import math
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lrwatch import __version__
from lrwatch.cli import main
from lrwatch.control.journal import Journal
from lrwatch.protocol import Control, hold
from lrwatch.protocol.document import printable
from lrwatch.source import NOT_UNDERSTOOD


def lrwatch(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [*map(str, arguments)])


def log(path: Path, *, diverges: bool = False) -> Path:
    """Write a small log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: list[Mapping[str, Any]] = [{"step": step, "loss": 1.0} for step in range(50)]
    lines += [{"step": step, "loss": math.nan} for step in range(50, 53)] if diverges else []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def strictly(line: str) -> Any:
    """Decode a line as a parser does that knows no NaN."""

    def refuse(name: str) -> float:
        raise AssertionError(f"bare {name} in {line}")

    return json.loads(line, parse_constant=refuse)


# replay


def test_replay_prints_json_lines_and_nothing_else(tmp_path: Path) -> None:
    """Every line of standard output parses, the summary last; there is nothing on standard error."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)

    result = lrwatch("replay", tmp_path, "--json")

    events = [strictly(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["verdict", "decision", "summary"]
    assert (result.exit_code, result.stderr) == (0, "")


def test_numbers_that_are_none_are_null_in_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare NaN and Infinity are no JSON: whatever a detector puts into its evidence, every parser reads the line."""
    log(tmp_path / "train.jsonl", diverges=True)
    monkeypatch.setattr("lrwatch.detect.divergence.Finding", poisoned)

    result = lrwatch("replay", tmp_path, "--json")

    evidence = strictly(result.stdout.splitlines()[0])["evidence"]
    assert evidence == {"nan": None, "deep": [None, {"inf": None}], "count": 3}


def poisoned(since: int, severity: str, text: str, evidence: Mapping[str, Any]) -> Any:
    """Return a finding whose evidence holds what JSON has no word for."""
    import numpy as np

    from lrwatch.detect.base import Finding

    bad = {"nan": math.nan, "deep": (np.float64("nan"), {"inf": -np.inf}), "count": np.int64(evidence["nonfinite"])}
    return Finding(since, severity, text, bad)  # type: ignore[arg-type]


def test_replay_tells_people(tmp_path: Path) -> None:
    """Without --json there is a line per event, one per run, and a summary."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)

    result = lrwatch("replay", tmp_path)

    lines = result.stdout.splitlines()
    assert lines[0].startswith("exp step 52: divergence raised: loss is not finite: 3 records in a row")
    assert lines[1].startswith("exp step 52: would go back to a checkpoint from before step ")
    assert lines[2] == "exp: 53 records up to step 52: 1 divergence"
    assert lines[3].startswith("53 records of 1 runs in ")
    assert len(lines) == 4


def test_a_line_stays_a_line_where_nobody_looks(tmp_path: Path) -> None:
    """What goes into a pipe is not broken at the width of a terminal that is not there."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)

    result = CliRunner(env={"COLUMNS": "20"}).invoke(main, ["replay", str(tmp_path)])

    assert len(result.stdout.splitlines()) == 4


@pytest.mark.parametrize("path", ["nowhere", "n" * 300, "a\x1b[31mb\nc"])
def test_a_path_that_is_not_there_is_one_line_on_standard_error(tmp_path: Path, path: str) -> None:
    """Exit status 1, no traceback, and nothing in the path acts on the terminal."""
    for command in ("replay", "status"):
        result = lrwatch(command, tmp_path / path)

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("lrwatch: ")
        assert "no such file or directory" in result.stderr
        assert "\x1b" not in result.stderr


def test_what_could_not_be_read_is_said_beside_what_could(tmp_path: Path) -> None:
    """The rest is told on standard output, the problem on standard error, and the exit status is 0."""
    log(tmp_path / "train.jsonl")
    (tmp_path / "other.jsonl").write_bytes(bytes(range(256)) * 300)

    result = lrwatch("replay", tmp_path, "--json")

    assert strictly(result.stdout.splitlines()[-1])["records"] == 50
    assert result.stderr == f"lrwatch: {tmp_path / 'other.jsonl'}: {NOT_UNDERSTOOD}\n"
    assert result.exit_code == 0


HOSTILE = "exp\n\x1b[2J\x1b]0;owned\x07\u202e\udcff"


def test_names_from_outside_are_neutralised(tmp_path: Path) -> None:
    """A run or a tag with line feeds and escapes is spelled out: it cannot fake a line or act on the terminal."""
    directory = tmp_path / "runs" / os.fsdecode(os.fsencode(HOSTILE))
    directory.mkdir(parents=True)
    lines = [{"step": step, "loss\x1b[31m\n": math.nan} for step in range(3)]
    (directory / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    watched = lrwatch("watch", tmp_path / "runs", "--once")

    for result in (watched, lrwatch("replay", tmp_path / "runs"), lrwatch("status", tmp_path / "runs")):
        text = result.output
        assert result.exit_code == 0, text
        assert "\\x1b[2J" in text.replace("\n", "").replace(" ", "")
        assert not set(text) & set("\x1b\x07\u202e")
        text.encode("utf-8")
    assert len(lrwatch("replay", tmp_path / "runs").stdout.splitlines()) == 4


def test_json_of_hostile_names_is_ascii(tmp_path: Path) -> None:
    """Machine output keeps the name, escaped as JSON has it."""
    directory = tmp_path / "runs" / os.fsdecode(os.fsencode(HOSTILE))
    log(directory / "train.jsonl", diverges=True)

    result = lrwatch("replay", tmp_path / "runs", "--json")

    assert result.stdout.isascii()
    assert strictly(result.stdout.splitlines()[0])["run"] == printable(HOSTILE).replace("?", "\ufffd")


# status


def test_status_of_what_was_never_watched(tmp_path: Path) -> None:
    """Exit status 1, and the message says what was looked for."""
    log(tmp_path / "train.jsonl")

    result = lrwatch("status", tmp_path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no run here has been watched" in result.stderr


def test_status_by_default_looks_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a PATH it is the current directory."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)
    assert lrwatch("watch", tmp_path, "--once").exit_code == 0
    monkeypatch.chdir(tmp_path)

    (line,) = lrwatch("status", "--json").stdout.splitlines()

    shown = strictly(line)
    assert (shown["run"], shown["control"]["request"]["kind"]) == ("exp", "restore")
    table = lrwatch("status").stdout
    assert "exp" in table
    assert "divergence" in table
    assert "no client" in table


def test_status_shows_what_it_cannot_read(tmp_path: Path) -> None:
    """A torn control file is a problem that is named, not the end of the table."""
    home = tmp_path / "exp" / "lrwatch"
    home.mkdir(parents=True)
    (home / "control.json").write_bytes(Control("exp", "w", 1, 1, hold(1)).encode()[:-9])
    Journal(home).append([{"event": "verdict", "state": "raised", "signal": "loss", "kind": "plateau"}])

    assert strictly(lrwatch("status", tmp_path, "--json").stdout)["problems"] != []
    result = lrwatch("status", tmp_path)
    assert result.exit_code == 0
    assert "not a whole JSON document" in " ".join(result.stdout.split())


# check-config and usage


def test_check_config_says_fine(tmp_path: Path) -> None:
    """A valid file is fine, with exit status 0."""
    file = tmp_path / "lrwatch.toml"
    file.write_text("[watch]\npoll_seconds = 1\n")

    result = lrwatch("check-config", file)

    assert (result.exit_code, result.stdout) == (0, f"{file}: fine\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[watch]\npol_seconds = 1\n", "unknown key watch.pol_seconds"),
        ("[watch]\npoll_seconds = 0\n", "watch.poll_seconds = 0 must lie in [0.01, 3600]"),
        ("[watch]\nmode = 'on'\n", "watch.mode = 'on' must be one of auto, approve, advise"),
        ("[policy\n", "not valid TOML"),
        ("[policy]\nmin_scale = 0.5\nmax_scale = 0.1\n", "lies above"),
        ("[serve]\nlisten = 'here'\n", "HOST:PORT"),
        ("[schedule]\nsegments = []\n", "schedule.segments"),
        (None, "cannot be read"),
    ],
)
def test_a_config_that_cannot_be_used_is_usage(tmp_path: Path, text: str | None, complaint: str) -> None:
    """Every command that takes a configuration ends with status 2 and names file, key, value and range."""
    file = tmp_path / "lrwatch.toml"
    if text is not None:
        file.write_text(text)
    log(tmp_path / "train.jsonl")

    for arguments in (
        ("check-config", file),
        ("replay", tmp_path, "--config", file),
        ("watch", tmp_path, "--once", "--config", file),
    ):
        result = lrwatch(*arguments)

        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"lrwatch: {file}: ")
        assert complaint in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["watch"],
        ["watch", ".", "--mode", "yolo"],
        ["watch", ".", "--once", "--listen", "9877"],
        ["watch", ".", "--once", "--listen", "127.0.0.1:99999"],
        ["watch", ".", "--once", "--listen", ""],
        ["replay"],
        ["replay", ".", ".", "."],
        ["check-config"],
        ["nonsense"],
        ["replay", ".", "--nonsense"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    """What makes no sense on the command line is said on standard error."""
    result = lrwatch(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_help_and_version() -> None:
    """Every command explains itself."""
    assert lrwatch("--version").stdout == f"lrwatch, version {__version__}\n"
    for command in main.commands:
        assert lrwatch(command, "-h").exit_code == 0


# watch --once, which needs no process of its own


def test_once_writes_the_control_files_and_ends(tmp_path: Path) -> None:
    """Standard output stays empty; what was found is told on standard error."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)

    result = lrwatch("watch", tmp_path, "--once")

    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "exp" / "lrwatch" / "control.json").exists()
    assert "divergence raised" in result.stderr


def test_once_log_lines_can_be_json(tmp_path: Path) -> None:
    """With --log-format json every line of standard error is an object."""
    log(tmp_path / "exp" / "train.jsonl", diverges=True)

    result = lrwatch("watch", tmp_path, "--once", "--log-format", "json")

    assert {strictly(line)["logger"] for line in result.stderr.splitlines()} == {"lrwatch.daemon"}


@pytest.mark.parametrize("make", ["nothing", "directory", "file"])
def test_once_with_nothing_to_read_is_status_1(tmp_path: Path, make: str) -> None:
    """A missing path is waited for by a daemon; asked to do it once there is nothing to wait for."""
    path = tmp_path / "runs"
    if make == "directory":
        path.mkdir()
    elif make == "file":
        path.write_bytes(b"")

    result = lrwatch("watch", path, "--once")

    assert result.exit_code == 1
    assert f"lrwatch: no records found in {path}" in result.stderr


def test_once_that_cannot_write_is_status_1(tmp_path: Path) -> None:
    """The control directory is what it was asked for: without it, it has failed, and says why."""
    log(tmp_path / "runs" / "exp" / "train.jsonl", diverges=True)
    (tmp_path / "control").write_bytes(b"")

    result = lrwatch("watch", tmp_path / "runs", "--once", "--control-dir", tmp_path / "control")

    assert result.exit_code == 1
    assert "lrwatch: exp: " in result.stderr
    assert "Not a directory" in result.stderr


def test_mode_of_the_command_line_wins(tmp_path: Path) -> None:
    """--mode goes before the configuration."""
    log(tmp_path / "exp" / "train.jsonl")
    file = tmp_path / "lrwatch.toml"
    file.write_text("[watch]\nmode = 'auto'\n")

    lrwatch("watch", tmp_path, "--once", "--config", file, "--mode", "advise")

    control = json.loads((tmp_path / "exp" / "lrwatch" / "control.json").read_text())
    assert control["mode"] == "advise"


def test_a_busy_port_is_status_1(tmp_path: Path) -> None:
    """The message names the address, and no run is touched."""
    log(tmp_path / "exp" / "train.jsonl")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        result = lrwatch("watch", tmp_path, "--listen", f"127.0.0.1:{busy.getsockname()[1]}")

    assert result.exit_code == 1
    assert "127.0.0.1" in result.stderr
    assert not (tmp_path / "exp" / "lrwatch").exists()


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    """Whoever calls the command from a program of his own keeps his handlers."""
    log(tmp_path / "train.jsonl")
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    lrwatch("watch", tmp_path, "--once")

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
