import io
import json
import logging
import math
import re
from collections.abc import Iterator

import pytest

from lrwatch.telemetry.logs import QuietHandler, configure, fields

LOG = logging.getLogger("lrwatch.telemetry.test")


class HandClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds that the test has set."""
        return self.now

    def wall(self) -> float:
        """Fail: a wall clock that is set back must not silence the log."""
        raise AssertionError("durations are monotonic")


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    """Take the handler away again, and the level."""
    logger = logging.getLogger("lrwatch")
    level = logger.level
    yield
    logger.setLevel(level)
    for handler in list(logger.handlers):
        if isinstance(handler, QuietHandler):
            logger.removeHandler(handler)
            handler.close()


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def text(clock: HandClock) -> io.StringIO:
    """Return what a text log writes to."""
    stream = io.StringIO()
    configure("text", stream=stream, clock=clock)
    return stream


@pytest.fixture
def objects(clock: HandClock) -> io.StringIO:
    """Return what a JSON log writes to."""
    stream = io.StringIO()
    configure("json", stream=stream, clock=clock)
    return stream


def test_a_line_of_text(text: io.StringIO) -> None:
    """A line has the time in UTC, the level, the logger, the message, and what varies as key=value."""
    LOG.warning("cannot read the log", extra=fields(run="exp1", error=OSError("no such file")))

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning lrwatch\.telemetry\.test: "
        r'cannot read the log run=exp1 error="no such file"\n',
        text.getvalue(),
    )


def test_a_line_of_json(objects: io.StringIO) -> None:
    """The same as an object a line."""
    LOG.warning("cannot read the log", extra=fields(run="exp1", step=3, level=math.nan))

    line = json.loads(objects.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "lrwatch.telemetry.test",
        "message": "cannot read the log",
        "fields": {"run": "exp1", "step": 3, "level": None},
    }


@pytest.mark.parametrize(
    "evil",
    [
        "a\n2026-01-01T00:00:00.000Z error lrwatch: fake",
        "\x1b[2J\x1b]0;title\x07",
        "a\rb",
        "\u202egnp.exe",
        "a\u2028b",
        "\x9b31m",
        "a\udcffb",
        'a" level="error',
        "a b=c",
        "",
        "x" * 100_000,
    ],
)
def test_values_cannot_write_on_the_terminal(text: io.StringIO, evil: str) -> None:
    """Whatever stands in a log file is shown on the one line of its message, and as one value."""
    LOG.warning("bad line", extra=fields(text=evil, after=1))

    (line,) = text.getvalue().splitlines()
    assert line.isprintable()
    assert line.endswith(" after=1")
    assert len(line) < 10_000
    assert len(re.findall(r'(?<=\s)[a-z]+=("(?:[^"\\]|\\.)*"|[^\s"]+)(?=\s|$)', line)) == 2


@pytest.mark.parametrize("evil", ["a\nb", "\x1b[2J", "a\udcffb", "\u2028", "x" * 100_000])
def test_json_lines_stay_lines(objects: io.StringIO, evil: str) -> None:
    """A JSON line is ASCII without control characters, whatever it holds."""
    LOG.warning(evil, extra=fields(text=evil))

    (line,) = objects.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 10_000
    json.loads(line)


def test_a_message_cannot_start_another_line(text: io.StringIO) -> None:
    """A message with a line feed in it stays on its line."""
    LOG.warning("first\nsecond")

    assert text.getvalue().endswith("first\\nsecond\n")


def test_a_traceback_is_indented(text: io.StringIO) -> None:
    """No line of a traceback starts where a log line starts, whatever the error says."""
    try:
        raise ValueError("boom\n2026-01-01T00:00:00.000Z error lrwatch: fake\x1b[2J")
    except ValueError:
        LOG.exception("broken")

    first, *rest = text.getvalue().splitlines()
    assert first.endswith("broken")
    assert rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


def test_a_traceback_in_json(objects: io.StringIO) -> None:
    """A traceback is a list of lines within the object."""
    try:
        raise ValueError("boom")
    except ValueError:
        LOG.exception("broken")

    assert json.loads(objects.getvalue())["traceback"][-1] == "ValueError: boom"


def test_a_repetition_is_held_back_and_counted(text: io.StringIO, clock: HandClock) -> None:
    """The same message appears once in 30 seconds, and then says how many were held back."""
    for _ in range(5):
        LOG.warning("cannot read", extra=fields(run="a", error="x"))
        clock.now += 1.0
    clock.now += 24.9
    LOG.warning("cannot read", extra=fields(run="a", error="y"))
    clock.now += 0.2
    LOG.warning("cannot read", extra=fields(run="a", error="z"))

    lines = text.getvalue().splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "cannot read run=a error=x",
        "cannot read run=a error=z repeated=5",
    ]


def test_runs_do_not_silence_each_other(text: io.StringIO) -> None:
    """The same message of two runs is two messages."""
    LOG.warning("cannot read", extra=fields(run="a"))
    LOG.warning("cannot read", extra=fields(run="b"))

    assert len(text.getvalue().splitlines()) == 2


def test_different_messages_do_not_silence_each_other(text: io.StringIO) -> None:
    """What differs in its text, its level or its logger is not a repetition."""
    LOG.info("plateau raised")
    LOG.info("plateau cleared")
    LOG.warning("plateau cleared")
    LOG.getChild("other").warning("plateau cleared")

    assert len(text.getvalue().splitlines()) == 4


def test_a_key_says_what_is_the_same(text: io.StringIO) -> None:
    """Where the text varies without end, a key makes it one message."""
    for number in range(10):
        LOG.warning("line %d is malformed", number, extra=fields(key="malformed"))

    assert len(text.getvalue().splitlines()) == 1


def test_memory_of_repetitions_is_bounded(clock: HandClock) -> None:
    """Messages without end are remembered only so far back."""
    configure(stream=io.StringIO(), clock=clock)
    (handler,) = (h for h in logging.getLogger("lrwatch").handlers if isinstance(h, QuietHandler))

    for number in range(5000):
        LOG.warning("message %d", number)

    assert len(handler._seen) <= 1024


def test_configure_again_replaces(clock: HandClock) -> None:
    """A second set-up takes the first one's place: no line is written twice."""
    first, second = io.StringIO(), io.StringIO()
    configure(stream=first, clock=clock)
    configure(stream=second, clock=clock)

    LOG.warning("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_the_level_is_kept(text: io.StringIO, clock: HandClock) -> None:
    """Below the level nothing is written."""
    LOG.debug("quiet")
    assert text.getvalue() == ""

    configure(level="debug", stream=text, clock=clock)
    LOG.debug("quiet")
    assert text.getvalue().endswith("quiet\n")


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str], clock: HandClock) -> None:
    """Lines go to standard error; standard output belongs to --json."""
    configure(clock=clock)

    LOG.warning("here")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("here\n")


class Full(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        """Fail as a pipe does."""
        raise BrokenPipeError(text)


@pytest.mark.parametrize("closed", [False, True])
def test_a_broken_stream_loses_lines_and_nothing_else(
    closed: bool,
    clock: HandClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """When nobody can be told, the daemon goes on, prints no traceback, and counts."""
    stream = io.StringIO() if closed else Full()
    if closed:
        stream.close()
    configure(stream=stream, clock=clock)
    (handler,) = (h for h in logging.getLogger("lrwatch").handlers if isinstance(h, QuietHandler))

    LOG.warning("lost")

    assert handler.lost == 1
    assert capsys.readouterr() == ("", "")


def test_wrong_arguments_are_not_fatal(
    text: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log call whose arguments do not fit its message is lost, and the caller goes on."""
    monkeypatch.setattr(logging.getLogger("lrwatch"), "propagate", False)  # pytest's own handler would raise
    LOG.warning("%d of %d", "one")

    assert text.getvalue() == ""
    assert capsys.readouterr() == ("", "")
