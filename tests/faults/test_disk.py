"""A disk that is full, out of inodes or read-only costs time and nothing else; needs root and private mounts."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lrwatch.control.events import Event
from lrwatch.control.journal import read_journal
from lrwatch.protocol import Control, decode_control
from lrwatch.testing.process import Daemon, eventually

pytestmark = pytest.mark.slow

CONFIG = "[watch]\npoll_seconds = 0.02\ndiscover_seconds = 0.05\nbeat_seconds = 0.1\n"
MOUNT = 'mount -t tmpfs -o size=256k,nr_inodes=64 tmpfs "$0" && exec "$@"'


class Disk:
    """A daemon whose control directory is a small disk of its own, and a log that grows beside it."""

    def __init__(self, place: Path) -> None:
        self.log = place / "runs" / "exp" / "train.jsonl"
        self.log.parent.mkdir(parents=True)
        self.mounted = place / "disk"
        self.mounted.mkdir()
        config = place / "lrwatch.toml"
        config.write_text(CONFIG)
        self.step = 0
        self.write(50)
        prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(self.mounted)]
        self.daemon = Daemon(
            place / "runs", "--config", config, "--control-dir", self.mounted / "control", prefix=prefix
        )

    @property
    def inside(self) -> Path:
        """The disk as the daemon sees it, whose mount is its own."""
        return Path(f"/proc/{self.daemon.process.pid}/root{self.mounted}")

    @property
    def home(self) -> Path:
        """Where the daemon writes."""
        return self.inside / "control" / "exp" / "lrwatch"

    @property
    def control(self) -> Control:
        """What a reader sees, which must be whole."""
        return decode_control((self.home / "control.json").read_bytes())

    @property
    def journal(self) -> list[Event]:
        """What was journaled, in whole lines."""
        data = (self.home / "journal.jsonl").read_bytes()
        assert data.endswith(b"\n")
        for line in data.splitlines():
            json.loads(line)
        return read_journal(self.home / "journal.jsonl")

    def write(self, count: int, value: float = 1.0) -> None:
        """Append records to the log."""
        with self.log.open("a") as file:
            for _ in range(count):
                file.write(json.dumps({"step": self.step, "loss": value}) + "\n")
                self.step += 1

    def failures(self) -> float:
        """Return how many writes have failed."""
        return self._metric("lrwatch_control_write_failures_total")

    def records(self) -> float:
        """Return how many records were read."""
        return self._metric("lrwatch_records_total")

    def _metric(self, name: str) -> float:
        for family in text_string_to_metric_families(self.daemon.get("/metrics")):
            for sample in family.samples:
                if sample.name == name:
                    return float(sample.value)
        return 0.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a disk with a daemon that has begun to write to it."""
    assert os.geteuid() == 0, "private mounts need root"
    for tool in ("unshare", "mount", "nsenter"):
        assert shutil.which(tool), f"{tool} is missing (util-linux)"
    disk = Disk(tmp_path)
    with disk.daemon:
        disk.daemon.watching()
        eventually(lambda: (disk.home / "control.json").exists())
        yield disk
        assert disk.daemon.process.poll() is None, disk.daemon.output
        assert disk.daemon.stop(seconds=5.0) == 0
        assert "Traceback" not in disk.daemon.output


def fill_up(disk: Disk) -> None:
    """Leave not a byte."""
    with (disk.inside / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


def free(disk: Disk) -> None:
    """Give everything back."""
    (disk.inside / "filler").unlink()


def use_up_inodes(disk: Disk) -> None:
    """Leave no room for another name."""
    try:
        for number in range(1000):
            (disk.inside / f"inode{number}").touch()
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - the loop ends here


def free_inodes(disk: Disk) -> None:
    """Give the names back."""
    for path in disk.inside.glob("inode*"):
        path.unlink()


def remount(options: str) -> Callable[[Disk], None]:
    """Return what remounts the disk under the daemon."""

    def mount(disk: Disk) -> None:
        enter = ["nsenter", "--target", str(disk.daemon.process.pid), "--mount"]
        subprocess.run([*enter, "mount", "-o", f"remount,{options}", str(disk.mounted)], check=True)

    return mount


FAULTS = {
    "full": (fill_up, free),
    "out of inodes": (use_up_inodes, free_inodes),
    "read-only": (remount("ro"), remount("rw")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails_and_recovers(disk: Disk, fault: str) -> None:
    """While it fails the control file stays whole and old, and is counted; then each decision has its one line."""
    begin, end = FAULTS[fault]
    before = disk.control
    begin(disk)
    disk.write(3, float("nan"))
    eventually(lambda: disk.records() == 53)
    failed = disk.failures()
    eventually(lambda: disk.failures() >= failed + 5)
    stuck = disk.control
    assert (stuck.seq, stuck.request.kind) == (before.seq, "none")
    assert "cannot write" in disk.daemon.output
    assert "No space left" in disk.daemon.output or "Read-only file system" in disk.daemon.output
    end(disk)
    eventually(lambda: disk.control.request.kind == "restore")
    beat = disk.control.beat
    eventually(lambda: disk.control.beat > beat + 3)
    healed = disk.failures()
    disk.write(5)
    eventually(lambda: disk.records() == 58)

    assert disk.failures() == healed
    assert disk.control.seq == before.seq + 1
    assert disk.control.beat > stuck.beat
    assert [event["because"] for event in disk.journal if event["event"] == "decision"] == ["start", "divergence"]
    assert [event["state"] for event in disk.journal if event["event"] == "verdict"] == ["raised", "cleared"]
    assert sorted(path.name for path in disk.home.iterdir()) == ["control.json", "journal.jsonl", "lock"]


def test_a_disk_that_fills_up_in_the_middle_of_a_line(disk: Disk) -> None:
    """The journal holds whole lines while there is no room, and every event once when there is room again."""
    fill_up(disk)
    for episode in range(40):
        disk.write(3, float("nan"))
        disk.write(1)
        eventually(lambda wanted=50 + 4 * (episode + 1): disk.records() == wanted)  # type: ignore[misc]
        told = [(event["state"], event["step"]) for event in disk.journal if event["event"] == "verdict"]
    assert disk.failures() > 0
    assert len(told) < 80
    free(disk)
    eventually(lambda: len([event for event in disk.journal if event["event"] == "verdict"]) == 80)

    told = [(event["state"], event["step"]) for event in disk.journal if event["event"] == "verdict"]
    assert told == [
        (state, 50 + 4 * episode + more) for episode in range(40) for state, more in (("raised", 2), ("cleared", 3))
    ]
    seqs = [event["seq"] for event in disk.journal if event["event"] == "decision" and event["seq"] is not None]
    assert seqs == sorted(set(seqs))
    assert disk.control.seq == seqs[-1]
