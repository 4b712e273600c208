"""A training started by lrwatch: what it prints, how it ends, and that it is watched."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lrwatch.config import Config
from lrwatch.control.journal import FILE_NAME, read_journal
from lrwatch.errors import NotPossible
from lrwatch.run import OutputSource, run_training
from lrwatch.testing.formats import Reading
from lrwatch.testing.process import PATIENCE, environment, eventually

LAUNCH = """
import sys
from pathlib import Path
from lrwatch.config import parse_config
from lrwatch.run import run_training
fast = parse_config({"watch": {"poll_seconds": 0.02, "discover_seconds": 0.05}})
listen = ("127.0.0.1", 0) if sys.argv[1] == "listen" else None
sys.exit(run_training(sys.argv[3:], Path(sys.argv[2]) if sys.argv[2] else None, fast, listen=listen))
"""

TRAINING = """
import json, os, sys, time
from lrwatch import Client
directory = os.environ["LRWATCH_DIR"]
log = open(os.path.join(directory, "log.jsonl"), "w", buffering=1)
with Client(directory, poll_seconds=0.0, min_scale=1e-3) as client:
    deadline = time.monotonic() + 30
    step, scale = 0, 1.0
    while step < 600 or (scale == 1.0 and time.monotonic() < deadline):
        scale = client.scale(step)
        log.write(json.dumps({"step": step, "train/loss": 2.0 + (step % 7) / 100, "lr": 0.1}) + "\\n")
        print(f"step {step}", end="\\r", file=sys.stderr)
        step += 1
        if step > 600:
            time.sleep(0.002)
print("scale", scale < 1.0)
"""


def launched(*command: str, logdir: Path | str = "", listen: str = "") -> list[str]:
    """Return the command line that runs `command` as lrwatch does."""
    return [sys.executable, "-c", LAUNCH, listen, str(logdir), *command]


def python(source: str) -> list[str]:
    """Return the command line of a training of a few lines."""
    return [sys.executable, "-c", source]


def run(*command: str, cwd: Path, logdir: Path | str = "logs", data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    arguments = launched(*command, logdir=logdir)
    return subprocess.run(
        arguments, cwd=cwd, env=environment(), input=data, capture_output=True, timeout=PATIENCE, check=False
    )


@contextmanager
def running(*command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command; it and lrwatch are gone at the end of the block."""
    process = subprocess.Popen(
        launched(*command, logdir="logs"),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE)


def test_output_byte_for_byte(tmp_path: Path) -> None:
    """Both streams, each its own, with whatever bytes; and standard input reaches the training."""
    source = (
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(bytes(range(256)) * 4096 + d);"
        "sys.stderr.buffer.write(b'\\x1b[1m 5%|\\xe2\\x96\\x88 |\\r10%')"
    )

    done = run(*python(source), cwd=tmp_path, data=b"typed\n")

    assert done.stdout == bytes(range(256)) * 4096 + b"typed\n"
    assert done.stderr == b"\x1b[1m 5%|\xe2\x96\x88 |\r10%"
    assert done.returncode == 0


def test_output_comes_at_once(tmp_path: Path) -> None:
    """A line is seen while the training goes on."""
    with running(*python("import time; print('one', flush=True); time.sleep(60)"), cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        assert process.poll() is None


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("raise SystemExit(255)", 255),
    ],
)
def test_the_exit_status_is_the_training_s(tmp_path: Path, source: str, status: int) -> None:
    """128 and the number of a signal, as a shell has it."""
    assert run(*python(source), cwd=tmp_path).returncode == status


def test_no_such_program(tmp_path: Path) -> None:
    """One clear line and status 127; nothing is made."""
    done = run("no-such-program-at-all", "--x", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (127, b"lrwatch: no-such-program-at-all: command not found\n")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_cannot_be_executed(tmp_path: Path) -> None:
    """Status 126, as a shell has it."""
    (tmp_path / "train.sh").write_text("exit 0\n")

    done = run("./train.sh", cwd=tmp_path)

    assert done.returncode == 126
    assert b"Permission denied" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_training(tmp_path: Path, number: signal.Signals) -> None:
    """It ends as it wants, and lrwatch after it."""
    source = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: (print('saved', flush=True), sys.exit(7)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.01)"
    )
    with running(*python(source), cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)

        assert process.stdout.readline() == b"saved\n"
        assert process.wait(PATIENCE) == 7


def test_a_signal_that_ends_the_training(tmp_path: Path) -> None:
    """Its own exit status tells which."""
    with running(*python("import time; print('ready', flush=True); time.sleep(60)"), cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_process_left_behind_does_not_hold_it_up(tmp_path: Path) -> None:
    """The end of the training counts, also where something it has started keeps the output open."""
    source = "import os, subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid)"

    done = run(*python(source), cwd=tmp_path)

    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    """The training meets a broken pipe, as it would without lrwatch."""
    source = "import os\ntry:\n  while True: print('x' * 1000, flush=True)\nexcept BrokenPipeError: os._exit(5)"
    with running(*python(source), cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        process.stdout = None

        assert process.wait(PATIENCE) == 5


def test_a_directory_of_its_own(tmp_path: Path) -> None:
    """Without a log directory the training gets a fresh one, and the user is told which."""
    first, second = (run(*python("import os; print(os.environ['LRWATCH_DIR'])"), cwd=tmp_path, logdir="") for _ in "12")

    directories = [Path(done.stdout.decode().strip()) for done in (first, second)]
    assert directories[0] != directories[1]
    for done, directory in zip((first, second), directories, strict=True):
        assert directory.parent == tmp_path / "lrwatch-runs"
        assert str(directory).encode() in done.stderr
        assert json.loads((directory / "lrwatch" / "control.json").read_text())["run"] == directory.name


def test_the_training_is_watched_and_follows(tmp_path: Path) -> None:
    """What its log shows becomes a lower scale in its hands, and an entry of the journal."""
    done = run(*python(TRAINING), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, b"scale True\n")
    assert b"step 599\r" in done.stderr
    journal = read_journal(tmp_path / "logs" / "lrwatch" / FILE_NAME)
    assert any(event["event"] == "decision" and event["seq"] and event["action"] == "scale" for event in journal)
    assert any(event["event"] == "acknowledged" and event["finished"] for event in journal)


def test_what_it_prints_is_a_log_where_there_is_no_other(tmp_path: Path) -> None:
    """Records on standard output are judged; text among them does not matter."""
    source = (
        "import json\nprint('hello')\n"
        "for s in range(40): print(json.dumps({'step': s, 'loss': float('nan') if s > 30 else 1.0}))"
    )

    done = run(*python(source), cwd=tmp_path)

    assert done.stdout.startswith(b"hello\n{")
    kinds = [event.get("kind") for event in read_journal(tmp_path / "logs" / "lrwatch" / FILE_NAME)]
    assert "divergence" in kinds


def test_logs_of_earlier_trainings_below_are_left_alone(tmp_path: Path) -> None:
    """In a directory of many runs only what this training writes is its own."""
    for name, value in (("version_0", "NaN"), ("version_1", "1.0")):
        (tmp_path / "logs" / name).mkdir(parents=True)
        lines = "".join(f'{{"step": {step}, "loss": {value}}}\n' for step in range(40))
        if name == "version_0":
            (tmp_path / "logs" / name / "log.jsonl").write_text(lines)
    source = f"open('logs/version_1/log.jsonl', 'w').write({lines!r})"

    assert run(*python(source), cwd=tmp_path).returncode == 0
    journal = read_journal(tmp_path / "logs" / "lrwatch" / FILE_NAME)
    assert [event for event in journal if event["event"] == "verdict"] == []


def test_a_terminal(tmp_path: Path) -> None:
    """The training has a terminal as well, of the same size; keys and Ctrl-C reach it; ours is as before after."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    before = termios.tcgetattr(theirs)
    source = (
        "import os, sys\n"
        "print(os.isatty(0), os.isatty(1), os.isatty(2), os.get_terminal_size(), flush=True)\n"
        "print('got', input(), flush=True)\n"
        "try:\n  input()\nexcept KeyboardInterrupt: print('interrupted', flush=True)\nsys.exit(4)"
    )
    launch = [sys.executable, "-c", LAUNCH, "", "logs", *python(source)]
    code = f"import os, fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv({sys.executable!r}, {launch!r})"
    process = subprocess.Popen(
        python(code),
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    try:
        seen = b""

        def shows(text: bytes) -> bool:
            nonlocal seen
            with contextlib.suppress(BlockingIOError):
                seen += os.read(ours, 65536)
            return text in seen

        eventually(lambda: shows(b"lines=33)\r\n"))
        assert b"True True True os.terminal_size(columns=101, lines=33)\r\n" in seen
        os.write(ours, b"typed\r")
        eventually(lambda: shows(b"got typed\r\n"))
        os.write(ours, b"\x03")
        eventually(lambda: shows(b"interrupted\r\n"))
        assert process.wait(PATIENCE) == 4
        assert termios.tcgetattr(theirs) == before
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path: Path, closed: str) -> None:
    """A training that is started without one of the three streams runs all the same."""
    source = (
        "import sys; open('done', 'w').write('x')\n"
        "for s in (sys.stdout, sys.stderr): s and s.write('said\\n')\nsys.exit(6)"
    )
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *launched(*python(source), logdir="logs")]

    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE, check=False)

    assert done.returncode == 6
    assert (tmp_path / "done").exists()
    assert done.stdout == (b"" if ">&-" in closed.split() else b"said\n")


def test_http_is_there_when_asked_for(tmp_path: Path) -> None:
    """And says on which port."""
    source = "import time; print('ready', flush=True); time.sleep(0.2)"
    done = subprocess.run(
        launched(*python(source), logdir="logs", listen="listen"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 0
    assert b"lrwatch: watching at 127.0.0.1:" in done.stderr


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """It is said before anything is started."""
    (tmp_path / "file").touch()
    with pytest.raises(NotPossible, match="cannot be made"):
        run_training(python("open('started', 'w')"), tmp_path / "file" / "logs", Config())


def test_output_that_nobody_reads_is_bounded() -> None:
    """What is beyond the limit is a gap, and later output is read on."""
    output = OutputSource()
    for step in range(20):
        output.put(1, json.dumps({"step": step, "loss": 1.0, "x": "y" * (1 << 20)}).encode() + b"\n")

    reading = Reading().add(output.read())
    assert len(reading.items) == 16
    assert "oversize" in repr(reading.items[-1])
    output.put(1, b'{"step": 21, "loss": 1.0}\n')
    assert [item[1] for item in Reading().add(output.read()).items if isinstance(item, tuple)] == [21]
