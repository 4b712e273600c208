"""How a small document is read from a stranger and put down for others."""

import os
from pathlib import Path

import pytest

from lrwatch.errors import ProtocolError
from lrwatch.protocol import document


def _reason(path: Path) -> str:
    with pytest.raises(ProtocolError) as caught:
        document.read(str(path))
    return caught.value.reason


def test_a_plain_file_of_ones_own_is_read_whole(tmp_path: Path) -> None:
    """What `replace` put down is what `read` gives."""
    path = tmp_path / "control.json"
    document.replace(str(path), b'{"a":1}\n', durable=True)
    assert document.read(str(path)) == b'{"a":1}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["control.json"]


def test_a_missing_file_is_no_protocol_error(tmp_path: Path) -> None:
    """Nobody has written yet: that is another answer than a bad document."""
    with pytest.raises(FileNotFoundError):
        document.read(str(tmp_path / "control.json"))


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """A link is not followed, whether or not it leads anywhere."""
    (tmp_path / "real").write_bytes(b"{}")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert _reason(tmp_path / "link") == "symlink"
    assert _reason(tmp_path / "dangling") == "symlink"


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    """A FIFO that nobody writes to does not block the reader."""
    os.mkfifo(tmp_path / "pipe")
    assert _reason(tmp_path / "pipe") == "file"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no document."""
    assert _reason(tmp_path) == "file"


def test_a_strangers_file_is_refused_until_he_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this user, root and those in LRWATCH_TRUST_UIDS are believed."""
    path = tmp_path / "control.json"
    path.write_bytes(b"{}")
    owner = path.stat().st_uid
    real = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[4] = owner + 4711
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", foreign)
    assert _reason(path) == "owner"
    monkeypatch.setenv("LRWATCH_TRUST_UIDS", f"junk, {owner + 4711},")
    assert document.read(str(path)) == b"{}"


def test_sixty_four_kib_are_the_most(tmp_path: Path) -> None:
    """A document of exactly 64 KiB is read, one byte more is refused unread."""
    path = tmp_path / "control.json"
    path.write_bytes(b" " * 65536)
    assert len(document.read(str(path))) == 65536
    path.write_bytes(b" " * 65537)
    assert _reason(path) == "size"


def test_a_temporary_left_by_a_killed_writer_is_replaced(tmp_path: Path) -> None:
    """A leftover of the same process number does not stand in the way."""
    path = tmp_path / "ack.json"
    Path(f"{path}.{os.getpid()}.tmp").write_bytes(b"half a docu")
    document.replace(str(path), b"{}", durable=False)
    assert path.read_bytes() == b"{}"
    assert [entry.name for entry in tmp_path.iterdir()] == ["ack.json"]


def test_a_link_at_the_temporarys_name_is_not_written_through(tmp_path: Path) -> None:
    """A link planted where the temporary goes leaves its target alone."""
    path, victim = tmp_path / "ack.json", tmp_path / "victim"
    victim.write_bytes(b"precious")
    Path(f"{path}.{os.getpid()}.tmp").symlink_to(victim)
    document.replace(str(path), b"{}", durable=False)
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()


def test_a_failed_replacement_leaves_the_old_document_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the reader still sees the document before."""
    path = tmp_path / "ack.json"
    path.write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        document.replace(str(path), b"new", durable=False)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["ack.json"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "json"),
        (b'{"a":', "json"),
        (b"\xff\xfe{}", "json"),
        (b"[]", "json"),
        (b"7", "json"),
        (b'{"a":1,"a":2}', "json"),
        (b'{"a":NaN}', "number"),
        (b'{"a":-Infinity}', "number"),
        (b'{"a":' + b"9" * 5000 + b"}", "number"),
        (b"[" * 60000, "json"),
        (b" " * 65537, "size"),
    ],
)
def test_what_is_no_document_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    """Torn, doubled, non-finite, endless and oversized input each have a reason."""
    with pytest.raises(ProtocolError) as caught:
        document.decode(data)
    assert caught.value.reason == reason


def test_encoding_refuses_what_is_no_json() -> None:
    """NaN never gets into a document."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        document.encode({"a": float("nan")})
