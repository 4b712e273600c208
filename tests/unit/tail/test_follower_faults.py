"""A path that cannot be read, for a while or by its nature."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lrwatch.model import Chunk
from lrwatch.tail.follower import Follower


def read(follower: Follower) -> bytes:
    """Read what is new, gaps not being expected."""
    pieces = list(follower.read())
    assert all(isinstance(piece, Chunk) for piece in pieces)
    return b"".join(piece.data for piece in pieces if isinstance(piece, Chunk))


def failing(number: int) -> Callable[..., object]:
    """Return a system call that fails."""

    def fail(*_: object, **__: object) -> object:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A pipe without a writer, a directory and a device give an error at once, and nothing is read."""
    path = tmp_path / "log"
    make(path)
    follower = Follower(path)

    assert read(follower) == b""
    assert follower.error == "not a regular file"
    assert follower.lag == 0


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """Whatever lies at a path, looking at it is harmless."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        follower = Follower(path)
        assert read(follower) == b""

    assert follower.error == "not a regular file"


def test_a_pipe_that_is_replaced_by_a_file(tmp_path: Path) -> None:
    """The error ends with what caused it."""
    path = tmp_path / "log"
    os.mkfifo(path)
    follower = Follower(path)
    read(follower)
    path.unlink()
    path.write_bytes(b"one")

    assert read(follower) == b"one"
    assert follower.error is None


def test_a_loop_of_links(tmp_path: Path) -> None:
    """It is an error and not a hang."""
    path = tmp_path / "log"
    path.symlink_to(path)
    follower = Follower(path)

    assert read(follower) == b""
    assert follower.error == os.strerror(errno.ELOOP)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("call", ["stat", "open", "fstat", "pread"])
def test_any_error_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Whatever call fails is told, loses nothing, and is tried again at the next poll."""
    path = tmp_path / "log"
    path.write_bytes(b"one")
    follower = Follower(path)
    read(follower)
    with path.open("ab") as file:
        file.write(b"two")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        assert read(follower) == b""
        assert follower.error == os.strerror(number)

    assert read(follower) == b"two"
    assert follower.error is None


def test_an_error_of_a_file_held_open_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale handle is given up, and the path opened anew where reading stood."""
    path = tmp_path / "log"
    follower = Follower(path)
    for data in (b"one", b"two"):
        with path.open("ab") as file:
            file.write(data)
        read(follower)
    with path.open("ab") as file:
        file.write(b"three")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing(errno.ESTALE))
        read(follower)

    assert read(follower) == b"three"
    follower.close()


def test_an_error_while_a_path_is_replaced(tmp_path: Path) -> None:
    """A file whose directory became a file is missing, which is no error."""
    directory = tmp_path / "run"
    directory.mkdir()
    follower = Follower(directory / "log")
    (directory / "log").write_bytes(b"one")
    read(follower)
    (directory / "log").unlink()
    directory.rmdir()
    directory.write_bytes(b"")

    assert read(follower) == b""
    assert follower.error is None
