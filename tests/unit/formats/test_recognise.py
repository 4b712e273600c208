"""Telling formats apart by their first bytes."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event

from lrwatch.formats import HEAD, recognise
from lrwatch.formats.jsonl import JsonLines
from lrwatch.formats.text import TextLog
from lrwatch.formats.tfevents import EventFile
from lrwatch.testing.formats import event_record

EVENTS = event_record(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
GARBAGE = np.random.default_rng(5).bytes(HEAD)


@pytest.mark.parametrize("name", ["events.out.tfevents.1", "renamed", "log.jsonl"])
def test_events_are_known_by_their_checksum(name: str) -> None:
    """Twelve bytes that are a length and its checksum are no accident."""
    assert isinstance(recognise(Path(name), EVENTS[:12]), EventFile)


def test_an_event_file_with_a_damaged_beginning() -> None:
    """The name says what it should be, and a later record that it is."""
    assert isinstance(recognise(Path("a.tfevents.1"), b"\0" + EVENTS + EVENTS), EventFile)
    assert recognise(Path("a.bin"), b"\0" + EVENTS + EVENTS) is None


@pytest.mark.parametrize("name", ["a.tfevents.1", "log.jsonl", "log", "-"])
def test_nothing_is_not_known_yet(name: str) -> None:
    """An empty file can become anything."""
    assert recognise(Path(name), b"") is None


@pytest.mark.parametrize("name", ["log.jsonl", "log.ndjson"])
def test_lines_by_name(name: str) -> None:
    """The beginning of a line is enough, and other text before the first object does no harm."""
    assert isinstance(recognise(Path(name), b'{"st'), JsonLines)
    assert isinstance(recognise(Path(name), b"Starting training\n" * 9), JsonLines)


def test_lines_by_content() -> None:
    """A file of any name is known by its first whole object."""
    assert isinstance(recognise(Path("metrics.json"), b'\n{"loss": 1}\n{"lo'), JsonLines)
    assert isinstance(recognise(Path("-"), b'{"loss": 1}\n{"lo'), JsonLines)
    assert recognise(Path("metrics.json"), b'{"loss": 1}') is None
    assert recognise(Path("state.json"), b'{\n "loss": 1\n}\n') is None
    assert recognise(Path("deep.json"), b'{"a":' * 10_000 + b"\n") is None


@pytest.mark.parametrize("name", ["train.log", "out.txt", "-"])
def test_console_output_by_name(name: str) -> None:
    """What a training prints before its first loss must not hide the losses that follow."""
    assert isinstance(recognise(Path(name), b"Starting training\n" * 9), TextLog)


def test_console_output_by_content() -> None:
    """A file of any name is known by the first line that holds a loss."""
    assert isinstance(recognise(Path("main"), b"hello\nstep 400: train loss 3.3296, val loss 3.3687\n"), TextLog)
    assert isinstance(recognise(Path("-"), b'Loading\n{"step": 1, "loss": 1}\n'), TextLog)
    assert recognise(Path("main"), b"hello\nworld\n") is None


@pytest.mark.parametrize("name", ["a.tfevents.1", "log.jsonl", "log", "-"])
@pytest.mark.parametrize("data", [GARBAGE, gzip.compress(GARBAGE), bytes(HEAD), "text\n".encode("utf-16")])
def test_binary_garbage_is_not_understood(name: str, data: bytes) -> None:
    """Whatever a file is called, noise in it is not taken for a log."""
    assert recognise(Path(name), data) is None


def test_some_bad_bytes_do_not_hide_a_text() -> None:
    """A log with a character in another encoding, or with a few zeros from a crash, is a text."""
    assert isinstance(recognise(Path("log.jsonl"), b'{"note": "caf\xe9", "loss": 1}\n\0'), JsonLines)


def test_no_more_than_the_head_is_looked_at() -> None:
    """What comes late cannot change what the file is."""
    assert recognise(Path("log"), b"x\n" * (HEAD // 2) + b'{"loss": 1}\n') is None


def test_a_long_first_line_hides_nothing() -> None:
    """Standard input that begins with a line longer than the head is still read."""
    assert isinstance(recognise(Path("-"), b'{"config": "' + b"x" * HEAD), JsonLines)
    assert isinstance(recognise(Path("-"), b"x" * HEAD), TextLog)
