"""What the construction refuses, so that nothing has to be refused later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lrwatch.client import Client

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


@pytest.mark.usefixtures("run")
def test_a_client_needs_a_directory() -> None:
    """Neither an argument nor LRWATCH_DIR: an error that says how to give one."""
    with pytest.raises(ValueError, match="LRWATCH_DIR"):
        Client()
    with pytest.raises(ValueError, match="LRWATCH_DIR"):
        Client("")


def test_the_directory_defaults_to_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lrwatch run` hands the directory over in LRWATCH_DIR."""
    monkeypatch.setenv("LRWATCH_DIR", str(run.directory))
    client = Client()
    assert client.directory == str(run.directory.resolve())
    client.scale(0)
    assert run.ack().step == 0
    client.close()


@pytest.mark.parametrize("directory", [7, b"runs", object(), ["runs"]])
def test_a_directory_is_a_path(directory: Any) -> None:
    """Anything else is a TypeError at once."""
    with pytest.raises(TypeError):
        Client(directory)


def test_a_path_that_no_file_system_has_is_refused() -> None:
    """A zero byte would fail at every poll."""
    with pytest.raises(ValueError, match="null byte"):
        Client("runs\0exp")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"min_scale": 2.0}, ValueError, "must not be above max_scale"),
        ({"min_scale": 0.0}, ValueError, "min_scale must lie in"),
        ({"min_scale": float("nan")}, ValueError, "min_scale must lie in"),
        ({"max_scale": float("inf")}, ValueError, "max_scale must lie in"),
        ({"max_scale": 1e7}, ValueError, "max_scale must lie in"),
        ({"max_scale": "1"}, TypeError, "max_scale must be a number"),
        ({"min_scale": True}, TypeError, "min_scale must be a number"),
        ({"poll_seconds": -1}, ValueError, "poll_seconds must lie in"),
        ({"poll_seconds": None}, TypeError, "poll_seconds must be a number"),
        ({"total_steps": 0}, ValueError, "total_steps must lie in"),
        ({"total_steps": 1e4}, TypeError, "total_steps must be an integer"),
        ({"optimizer": 7}, TypeError, "optimizer must be a name"),
        ({"clock": 7}, TypeError, "clock must be a function"),
        ({"world_size": 0}, ValueError, "world_size must lie in"),
        ({"rank": -1}, ValueError, "rank must lie in"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_by_name(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    """The message names the argument, what it must be, and what it is."""
    with pytest.raises(error, match=text):
        Client(tmp_path, **options)
    assert Client(tmp_path).scale(0) == 1.0
