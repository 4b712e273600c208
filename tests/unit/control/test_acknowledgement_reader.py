"""The training's word: untrusted, and news only where it has changed."""

import os
from pathlib import Path
from typing import Any

import pytest

from lrwatch.control.acknowledgement import AcknowledgementReader
from lrwatch.protocol import Acknowledgement, document

GOOD = Acknowledgement("t1", generation=1, seq=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the acknowledgement lies."""
    return tmp_path / "ack.json"


@pytest.fixture
def reader(tmp_path: Path) -> AcknowledgementReader:
    """Return a reader of it."""
    return AcknowledgementReader(tmp_path)


def test_nothing_there_is_no_news_and_no_error(reader: AcknowledgementReader) -> None:
    """A training that has no client yet is no trouble."""
    assert not reader.read()
    assert reader.newest is None
    assert reader.rejected == {}


def test_news_only_on_change(reader: AcknowledgementReader, path: Path) -> None:
    """The same file again says nothing new."""
    path.write_bytes(GOOD.encode())

    assert reader.read()
    assert reader.newest == GOOD
    assert not reader.read()
    path.write_bytes(Acknowledgement("t1", generation=1, seq=4).encode())
    assert reader.read()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"[]", "json"),
        (b"\xff\xfe", "json"),
        (b"[" * 60_000, "json"),
        (b"{}", "schema"),
        (GOOD.encode().replace(b"ack/1", b"ack/2"), "schema"),
        (GOOD.encode().replace(b'"seq":3', b'"seq":-3'), "number"),
        (GOOD.encode().replace(b'"seq":3', b'"seq":3e400'), "field"),
        (GOOD.encode().replace(b'"scale":1.0', b'"scale":NaN'), "number"),
        (GOOD.encode().replace(b'"scale":1.0', b'"scale":1e9'), "number"),
        (GOOD.encode().replace(b'"seq":3', b'"seq":"3"'), "field"),
        (GOOD.encode().replace(b'"seq":3', b'"seq":' + b"9" * 5000), "number"),
        (GOOD.encode() + b" " * 70_000, "size"),
    ],
)
def test_hostile_bytes_are_counted_by_reason(
    reader: AcknowledgementReader, path: Path, data: bytes, reason: str
) -> None:
    """What is no acknowledgement counts once for as long as it lies there, and the last good one stands."""
    path.write_bytes(GOOD.encode())
    reader.read()
    path.write_bytes(data)

    for _ in range(3):
        assert not reader.read()

    assert reader.rejected == {reason: 1}
    assert reader.newest == GOOD


def test_a_link_a_pipe_and_a_directory_are_counted(reader: AcknowledgementReader, path: Path) -> None:
    """Nothing but a regular file is read, and no writer is waited for; each counts once."""
    path.symlink_to("/etc/hostname")
    assert [reader.read(), reader.read()] == [False, False]
    path.unlink()
    os.mkfifo(path)
    assert [reader.read(), reader.read()] == [False, False]
    path.unlink()
    path.mkdir()
    assert not reader.read()

    assert reader.rejected == {"symlink": 1, "file": 1}


def test_a_strangers_word_is_counted(
    reader: AcknowledgementReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement of a user who is not trusted is not believed."""
    path.write_bytes(GOOD.encode())
    monkeypatch.setattr(document, "trusted_uids", frozenset)

    assert not reader.read()
    assert reader.rejected == {"owner": 1}


def test_what_cannot_be_read_is_counted(
    reader: AcknowledgementReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk is counted like hostile bytes; when it works again, the file is news."""
    path.write_bytes(GOOD.encode())

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(document, "read", fail)
        assert not reader.read()
    assert reader.rejected == {"unreadable": 1}
    assert reader.read()


def test_the_same_word_after_hostile_bytes_is_no_news(reader: AcknowledgementReader, path: Path) -> None:
    """Only another acknowledgement than the last good one shows that the training lives."""
    path.write_bytes(GOOD.encode())
    reader.read()
    path.write_bytes(b"{")
    reader.read()
    path.write_bytes(GOOD.encode())

    assert not reader.read()
    assert reader.newest == GOOD
