"""The journal: whole lines only, on the disk when `append` returns."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.events import Event
from lrwatch.control.journal import Journal, current_segment, read_journal
from lrwatch.errors import NotPossible
from lrwatch.protocol import document
from lrwatch.testing.process import environment

FIRST: Event = {"event": "verdict", "text": "a"}
SECOND: Event = {"event": "decision", "seq": 1}
THIRD: Event = {"event": "outcome", "text": "ü\n\x1b"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the journal of `journal` lies."""
    return tmp_path / "journal.jsonl"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return the journal of an empty directory."""
    return Journal(tmp_path)


def lines(path: Path) -> Sequence[bytes]:
    """Return the lines of a file, all of which must be whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return data.splitlines()


def test_reads_what_was_appended(journal: Journal) -> None:
    """Events come back as they were, in their order."""
    journal.append([FIRST, SECOND])
    journal.append([THIRD])

    assert journal.read() == [FIRST, SECOND, THIRD]


def test_absent_is_empty_and_nothing_makes_no_file(journal: Journal, path: Path) -> None:
    """A journal that was never written has no events, and nothing to append leaves it so."""
    assert journal.read() == []
    journal.append([])
    assert not path.exists()


@pytest.mark.parametrize("torn", [b"{", b'{"event": "verdict", "text": "b"}', b"\0" * 4096, b"x" * 200_000])
def test_a_torn_last_line_is_cut_off_before_the_next(journal: Journal, path: Path, torn: bytes) -> None:
    """Whatever follows the last newline was never finished: it is not read, and what comes next replaces it."""
    journal.append([FIRST])
    with path.open("ab") as file:
        file.write(torn)

    again = Journal(path.parent)
    assert again.read() == [FIRST]
    again.append([SECOND])

    assert len(lines(path)) == 2
    assert again.read() == [FIRST, SECOND]


def test_a_journal_that_is_one_torn_line_is_begun_anew(journal: Journal, path: Path) -> None:
    """Without a single newline nothing of the file stands."""
    path.write_bytes(b'{"event": "ver')

    journal.append([FIRST])

    assert lines(path) == [b'{"event": "verdict", "text": "a"}']


@pytest.mark.parametrize("written", [0, 1, 20, 40, 60])
@pytest.mark.parametrize("can_cut", [True, False])
def test_a_full_disk_leaves_no_half_line(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch, written: int, can_cut: bool
) -> None:
    """What a failed append wrote is cut off, at the next append at the latest, which then writes every line once."""
    journal.append([FIRST])
    write, cut = os.pwrite, os.ftruncate
    is_full = False

    def full(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal is_full
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        is_full = True
        return write(descriptor, bytes(data)[:written], offset) if written else full(descriptor, data, offset)

    def stuck(descriptor: int, length: int) -> None:
        if is_full:
            raise OSError(errno.EIO, "Input/output error")
        cut(descriptor, length)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        if not can_cut:
            patch.setattr(os, "ftruncate", stuck)
        with pytest.raises(OSError, match="No space left"):
            journal.append([SECOND, THIRD])
    if can_cut:
        assert journal.read() == [FIRST]
        assert len(lines(path)) == 1

    journal.append([SECOND, THIRD])

    assert [line[:12] for line in lines(path)] == [b'{"event": "v', b'{"event": "d', b'{"event": "o']


def test_a_file_size_limit_leaves_no_half_line(path: Path) -> None:
    """The system's own limit, met in the middle of a line, leaves whole lines, and an append that fits goes on."""
    script = f"""
import resource
from pathlib import Path
from lrwatch.control.journal import Journal
journal = Journal(Path({str(path.parent)!r}))
journal.append([{{"event": "first"}}])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    journal.append([{{"event": "second"}}, {{"event": "third", "text": "x" * 100}}])
except OSError as error:
    print(error.strerror)
journal.append([{{"event": "fourth"}}])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)

    assert done.stdout == "File too large\n"
    assert [event["event"] for event in read_journal(path)] == ["first", "fourth"]
    assert len(lines(path)) == 2


def test_what_was_not_synced_is_not_journaled(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, broken: Callable[[int], Any]
) -> None:
    """An fsync that fails may have lost the data for good: the events are written anew and stand there once."""
    journal.append([FIRST])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken(errno.EIO))
        with pytest.raises(OSError, match="injected"):
            journal.append([SECOND])

    assert journal.read() == [FIRST]
    journal.append([SECOND])
    assert journal.read() == [FIRST, SECOND]


def test_a_new_journal_survives_a_power_cut_with_its_name(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is synced once the file is there, and before the first line counts as written."""
    synced: list[str] = []
    monkeypatch.setattr(document, "sync_directory", synced.append)

    journal.append([FIRST])
    journal.append([SECOND])

    assert synced == [str(path.parent)]


def test_a_journal_that_was_moved_away_is_begun_anew(journal: Journal, path: Path) -> None:
    """Nothing goes to a file that nobody finds any more."""
    journal.append([FIRST])
    path.rename(path.with_suffix(".old"))

    journal.append([SECOND])

    assert journal.read() == [SECOND]
    assert read_journal(path.with_suffix(".old")) == [FIRST]


def test_holds_no_descriptor(journal: Journal, descriptors: Callable[[], list[str]]) -> None:
    """Thousands of runs must not use up the descriptors of one process."""
    before = descriptors()
    journal.append([FIRST])
    journal.read()

    assert descriptors() == before


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"7",
        b"{}",
        b'{"event": 7}',
        b'{"event": "verdict", "step": NaN}',
        b'{"event": "verdict", "step": 1e999}',
        b'{"event": "verdict"',
        b"[" * 100_000,
        b'{"event": "\xff"}',
        b"1" * 5000,
    ],
)
def test_a_line_that_is_no_event_is_left_out(journal: Journal, path: Path, line: bytes) -> None:
    """A spoilt line costs itself and nothing around it."""
    journal.append([FIRST])
    with path.open("ab") as file:
        file.write(line + b"\n")
    journal.append([SECOND])

    assert journal.read() == [FIRST, SECOND]


def test_a_link_is_not_followed(journal: Journal, path: Path, tmp_path: Path) -> None:
    """Whoever puts a link in the journal's place gets neither their file written nor read."""
    victim = tmp_path / "victim"
    victim.write_bytes(b'{"event": "verdict"}\n')
    path.symlink_to(victim)

    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        journal.append([FIRST])
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        journal.read()
    assert victim.read_bytes() == b'{"event": "verdict"}\n'


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_without_waiting(journal: Journal, path: Path, make: Any) -> None:
    """A pipe or a directory in its place is an error, and no reader or writer is waited for."""
    make(path)

    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        journal.read()
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        journal.append([FIRST])


def test_a_strangers_journal_is_left_alone(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a journal says is carried on into the control file: it must come from a trusted user."""
    journal.append([FIRST])
    monkeypatch.setattr(document, "trusted_uids", frozenset)

    with pytest.raises(NotPossible, match="belongs to uid"):
        journal.read()


def test_the_current_segment_begins_with_the_newest_training() -> None:
    """What was decided for one training says nothing about the next in the same directory."""
    training = {"event": "training", "training_id": "b"}

    assert current_segment([FIRST, SECOND]) == [FIRST, SECOND]
    assert current_segment([FIRST, training, SECOND, training, THIRD]) == [training, THIRD]
