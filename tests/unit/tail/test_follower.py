"""Following a path: growth, rotation, truncation, deletion."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lrwatch.model import Chunk, Gap
from lrwatch.tail.follower import QUIET, Follower


def read(follower: Follower, limit: int | None = None) -> list[bytes | Gap]:
    """Read what is new: the bytes between gaps, joined."""
    found: list[bytes | Gap] = []
    for piece in follower.read(limit):
        if isinstance(piece, Gap):
            found.append(piece)
        elif found and isinstance(found[-1], bytes):
            found[-1] += piece.data
        else:
            found.append(piece.data)
    return found


def append(path: Path, data: bytes) -> None:
    """Append to a file as a training does."""
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A path at which there is no file yet."""
    return tmp_path / "log"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system calls made on files, by name."""
    calls: list[str] = []
    for name in ("stat", "open", "fstat", "pread"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name), calls))
    return calls


def counted(name: str, call: Callable[..., object], calls: list[str]) -> Callable[..., object]:
    """Return `call`, noting each use."""

    def counting(*arguments: object, **options: object) -> object:
        calls.append(name)
        return call(*arguments, **options)

    return counting


def test_what_is_appended_is_read_once(log: Path) -> None:
    """Each byte comes once and in order."""
    log.write_bytes(b"one")
    follower = Follower(log)

    assert read(follower) == [b"one"]
    assert read(follower) == []
    append(log, b"two")
    append(log, b"three")
    assert read(follower) == [b"twothree"]


def test_a_file_may_come_late(log: Path) -> None:
    """A path that is missing, or whose directory is, is waited for and is no error."""
    follower = Follower(log.parent / "later" / "log")

    assert read(follower) == []
    assert follower.error is None
    assert follower.lag == 0
    (log.parent / "later").mkdir()
    follower.path.write_bytes(b"one")
    assert read(follower) == [b"one"]


def test_chunks_are_bounded(log: Path) -> None:
    """A large file comes in pieces of a bearable size."""
    log.write_bytes(b"x" * 1000)

    assert [len(piece.data) for piece in Follower(log, chunk_bytes=300).read() if isinstance(piece, Chunk)] == [
        300,
        300,
        300,
        100,
    ]


def test_a_read_is_bounded_by_its_limit(log: Path) -> None:
    """What is left is lag, and comes next time."""
    log.write_bytes(b"abcdefgh")
    follower = Follower(log)

    assert follower.lag == 8
    assert read(follower, limit=3) == [b"abc"]
    assert follower.lag == 5
    assert read(follower, limit=0) == []
    assert read(follower, limit=100) == [b"defgh"]
    assert follower.lag == 0


def test_a_reader_that_stops_halfway_loses_nothing(log: Path) -> None:
    """What was not taken from the iterator is still to be read."""
    log.write_bytes(b"abcdefgh")
    follower = Follower(log, chunk_bytes=3)

    assert next(follower.read()) == Chunk(b"abc")
    assert read(follower) == [b"defgh"]


def test_an_idle_poll_is_one_stat(log: Path, opened: list[str]) -> None:
    """A thousand finished files must cost next to nothing."""
    log.write_bytes(b"one")
    follower = Follower(log)
    read(follower)
    read(follower)
    opened.clear()

    assert read(follower) == []
    assert opened == ["stat"]


def test_truncation(log: Path) -> None:
    """A file cut short is read from its beginning, after a gap."""
    log.write_bytes(b"old content")
    follower = Follower(log)
    read(follower)
    log.write_bytes(b"new")

    assert read(follower) == [Gap("truncated"), b"new"]
    append(log, b"er")
    assert read(follower) == [b"er"]


def test_truncation_to_nothing(log: Path) -> None:
    """The gap comes when the file is empty, and only then."""
    log.write_bytes(b"old")
    follower = Follower(log)
    read(follower)
    log.write_bytes(b"")

    assert read(follower) == [Gap("truncated")]
    assert read(follower) == []


@pytest.mark.parametrize("content", [b"NEW CONTENT", b"NEW CONTENT and more"], ids=["same size", "larger"])
@pytest.mark.parametrize("polls", [1, 2, 5])
def test_a_rewrite_in_place(log: Path, content: bytes, polls: int) -> None:
    """Other content is found by what was read, the size telling nothing."""
    log.write_bytes(b"old content")
    follower = Follower(log)
    for _ in range(polls):
        read(follower)
    log.write_bytes(content)
    os.utime(log, ns=(0, polls))

    assert read(follower) == [Gap("replaced"), content]


def test_a_rewrite_at_the_same_moment(log: Path) -> None:
    """The time of a file is coarse: one that was new at the last look is looked into once more."""
    log.write_bytes(b"old")
    os.utime(log, ns=(0, 0))
    follower = Follower(log)
    read(follower)
    log.write_bytes(b"new")
    os.utime(log, ns=(0, 0))

    assert read(follower) == [Gap("replaced"), b"new"]


def test_a_touch_is_no_change(log: Path) -> None:
    """A new time on the old content is nothing new."""
    log.write_bytes(b"content")
    follower = Follower(log)
    read(follower)
    os.utime(log, ns=(0, 0))

    assert read(follower) == []


@pytest.mark.parametrize("content", [b"new", b"new content, longer than the old"])
def test_rename_and_create(log: Path, content: bytes) -> None:
    """The rest of a file renamed away is read before the file that took its place."""
    log.write_bytes(b"one")
    follower = Follower(log)
    read(follower)
    append(log, b"two")
    read(follower)
    append(log, b"three")
    log.rename(log.with_suffix(".1"))
    log.write_bytes(content)

    assert read(follower) == [b"three", Gap("replaced"), content]


def test_a_pause_between_rename_and_create(log: Path) -> None:
    """In between the file held open goes on."""
    log.write_bytes(b"one")
    follower = Follower(log)
    read(follower)
    append(log, b"two")
    read(follower)
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), b"three")

    assert read(follower) == [b"three"]
    assert read(follower) == []
    log.write_bytes(b"new")
    assert read(follower) == [Gap("replaced"), b"new"]


def test_the_limit_holds_over_a_rotation(log: Path) -> None:
    """The old file's rest comes first, and the new one waits for its turn."""
    log.write_bytes(b"a")
    follower = Follower(log)
    read(follower)
    append(log, b"b")
    read(follower)
    append(log, b"cdef")
    log.rename(log.with_suffix(".1"))
    log.write_bytes(b"xyz")

    assert [read(follower, limit=3) for _ in range(4)] == [[b"cde"], [b"f", Gap("replaced"), b"xy"], [b"z"], []]


def test_a_longer_copy_goes_on(log: Path) -> None:
    """Where rsync or an object store puts a longer copy in place of a file, nothing is read twice."""
    log.write_bytes(b"one" * 1000)
    follower = Follower(log)
    read(follower)
    for _ in range(3):
        copy = log.with_name("copy")
        shutil.copy(log, copy)
        append(copy, b"two")
        copy.rename(log)

        assert read(follower) == [b"two"]


@pytest.mark.parametrize("content", [b"new", b"completely new"])
def test_delete_and_create_again(log: Path, content: bytes) -> None:
    """Also where the new file gets the inode number of the old one, as ext4 likes to do."""
    log.write_bytes(b"old file")
    follower = Follower(log)
    read(follower)
    log.unlink()
    log.write_bytes(content)

    gap, *rest = read(follower)

    assert gap in (Gap("replaced"), Gap("truncated"))
    assert rest == [content]


def test_a_deleted_file_may_be_written_to(log: Path) -> None:
    """While a training holds its deleted log open, so do we, but not for ever."""
    log.write_bytes(b"one")
    follower = Follower(log)
    read(follower)
    with log.open("ab", buffering=0) as training:
        training.write(b"two")
        read(follower)
        log.unlink()
        training.write(b"three")
        assert read(follower) == [b"three"]
    for _ in range(QUIET + 1):
        assert read(follower) == []
    assert descriptors() == descriptors_without(follower)


def test_a_link_that_is_turned_to_another_file(log: Path) -> None:
    """A link `latest` is followed to where it leads."""
    log.with_name("run1").write_bytes(b"one")
    log.with_name("run2").write_bytes(b"another")
    log.symlink_to("run1")
    follower = Follower(log)
    assert read(follower) == [b"one"]

    log.unlink()
    log.symlink_to("run2")

    assert read(follower) == [Gap("replaced"), b"another"]


def test_finished_files_are_not_held_open(tmp_path: Path) -> None:
    """A thousand finished logs take no descriptors; a growing one takes one, until it is quiet."""
    before = descriptors()
    followers = []
    for index in range(20):
        path = tmp_path / str(index)
        path.write_bytes(b"x")
        followers.append(Follower(path))
        read(followers[-1])
    assert descriptors() == before

    append(followers[0].path, b"y")
    read(followers[0])
    assert descriptors() == before + 1
    for _ in range(QUIET):
        for follower in followers:
            read(follower)
        assert descriptors() <= before + 1
    assert descriptors() == before


def test_close_lets_go_and_reading_takes_up_again(log: Path) -> None:
    """The place in the file is kept."""
    log.write_bytes(b"one")
    follower = Follower(log)
    read(follower)
    append(log, b"two")
    read(follower)
    before = descriptors()
    follower.close()
    assert descriptors() == before - 1
    append(log, b"three")

    assert read(follower) == [b"three"]
    follower.close()


def test_a_sparse_terabyte_costs_a_bounded_read(log: Path) -> None:
    """The size on disk is lag, and a poll reads no more than it may."""
    log.touch()
    os.truncate(log, 1 << 40)
    follower = Follower(log)

    assert sum(len(piece.data) for piece in follower.read(4 << 20) if isinstance(piece, Chunk)) == 4 << 20
    assert follower.lag == (1 << 40) - (4 << 20)


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def descriptors_without(follower: Follower) -> int:
    """Return how many it has after `follower` has let go of its own."""
    follower.close()
    return descriptors()
