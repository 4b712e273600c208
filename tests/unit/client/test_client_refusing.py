"""What the client does not believe, and that nothing of it reaches the training."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from lrwatch.protocol import ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


def test_a_torn_file_is_refused_once_and_the_next_whole_one_followed(run: Run) -> None:
    """The same bytes are not parsed, nor counted, twice."""
    client = run.client()
    whole = run.publish(1, plan=ramp(1, to=0.5, steps=0)).encode()
    client.scale(0)
    run.write(whole[: len(whole) // 2])
    for step in range(1, 4):
        run.later()
        assert client.scale(step) == 0.5
    assert client.rejections == {"json": 1}
    assert (run.ack().status, run.ack().refused_because, run.ack().scale) == ("refused", "json", 0.5)
    run.publish(2, plan=ramp(2, to=0.25, steps=0))
    run.later()
    assert client.scale(4) == 0.25
    assert (run.ack().status, run.ack().refused_because) == ("applied", None)


def test_a_good_file_that_comes_back_ends_the_refusal(run: Run) -> None:
    """The state before a bad file is believed again when it lies there again."""
    client = run.client()
    good = run.publish(1, plan=ramp(1, to=0.5, steps=0)).encode()
    client.scale(0)
    for bad in (b"{}", None):
        if bad is None:
            run.control_path.unlink()
            run.control_path.symlink_to("nowhere")
        else:
            run.write(bad)
        run.later()
        client.scale(1)
        assert run.ack().status == "refused"
        run.control_path.unlink()
        run.write(good)
        run.later()
        assert client.scale(2) == 0.5
        assert run.ack().status == "applied"


def test_a_seq_that_goes_back_is_refused(run: Run) -> None:
    """An older state, of the same writer or of one that was fenced off, is not followed."""
    client = run.client()
    run.publish(5, plan=ramp(5, to=0.5, steps=0), generation=2)
    client.scale(0)
    for seq, generation in ((4, 2), (9, 1)):
        run.publish(seq, plan=ramp(seq, to=0.1, steps=0), generation=generation)
        run.later()
        assert client.scale(1) == 0.5
    assert client.rejections == {"order": 2}
    assert run.ack().seq == 5
    run.publish(5, plan=ramp(5, to=0.5, steps=0), generation=3, beat=4)
    run.later()
    client.scale(2)
    assert (run.ack().generation, run.ack().status) == (3, "applied")


def test_a_control_file_for_another_training_is_refused(run: Run) -> None:
    """Only a file that names this training, or none, is followed."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0), training_id="somebody")
    assert client.scale(0) == 1.0
    assert client.rejections == {"training": 1}
    assert (run.ack().status, run.ack().refused_because) == ("refused", "training")
    run.publish(2, plan=ramp(1, to=0.5, steps=0), training_id=client.training_id)
    run.later()
    assert client.scale(1) == 0.5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "lrwatch.control/9"}, "schema"),
        ({"seq": -1}, "number"),
        ({"plan": {"id": 1, "segments": [{"shape": "linear", "from": 1.0, "to": 0.0, "steps": 1}]}}, "number"),
        ({"plan": {"id": 1, "segments": [{"shape": "linear", "from": 1.0, "to": 1e308, "steps": 1}]}}, "number"),
        ({"plan": {"id": 1, "segments": []}}, "field"),
        ({"mode": "always"}, "field"),
        ({"request": {"id": 1, "kind": "format"}}, "field"),
        ({"why": {"text": "x" * 70000}}, "size"),
    ],
)
def test_a_hostile_file_leaves_the_scale_alone(run: Run, change: dict[str, object], reason: str) -> None:
    """Whatever is wrong has its reason in the counts and in the acknowledgement."""
    client = run.client()
    good = run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(0)
    run.write(json.dumps({**json.loads(good.encode()), "seq": 2, **change}).encode())
    run.later()
    assert client.scale(1) == 0.5
    assert client.rejections == {reason: 1}
    assert run.ack().refused_because == reason


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_what_is_no_file_is_refused_without_waiting(run: Run, kind: str) -> None:
    """A pipe, a directory or a link at the control file's place neither blocks nor leads anywhere."""
    client = run.client()
    client.scale(0)
    run.control_path.parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(run.control_path)
    elif kind == "directory":
        run.control_path.mkdir()
    else:
        run.control_path.symlink_to("/etc/hostname")
    for step in range(1, 4):
        run.later()
        assert client.scale(step) == 1.0
    assert client.rejections == {"symlink" if kind == "link" else "file": 1}


def test_a_file_in_the_place_of_the_directory_costs_the_training_nothing(run: Run) -> None:
    """Neither file can be reached: both are counted, the scale stays."""
    (run.directory / "lrwatch").write_text("in the way")
    client = run.client()
    assert [client.scale(step) for step in range(3)] == [1.0] * 3
    assert client.rejections == {"io": 1, "write": 1}


def test_an_acknowledgement_that_cannot_be_written_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is counted at every try and forgotten when it is over."""
    client = run.client()
    real = os.replace

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    client.scale(0)
    run.later()
    client.scale(1)
    assert client.rejections == {"write": 2}
    assert not run.ack_path.exists()
    monkeypatch.setattr(os, "replace", real)
    run.later()
    client.scale(2)
    assert run.ack().step == 2


def test_a_mistake_of_our_own_costs_the_training_nothing(run: Run) -> None:
    """Even a clock that fails is counted and the last scale holds."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(0)
    del run.now
    assert client.scale(1) == 0.5
    assert client.rejections == {"defect": 1}
    run.now = 2000.0


def test_rates_that_cannot_be_told_do_not_stop_the_scale(run: Run) -> None:
    """A failing reporter costs the acknowledgement, not the step."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0))

    def broken() -> tuple[float, ...]:
        raise RuntimeError("no device")

    client.base_rates = broken
    assert client.scale(0) == 0.5
    assert client.rejections == {"defect": 1}


def test_disabled_it_touches_no_file_and_scales_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """LRWATCH_DISABLE=1 makes the client inert, wherever it points."""
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    monkeypatch.setenv("LRWATCH_DISABLE", "1")
    client = run.client(max_scale=0.25)
    assert [client.scale(step) for step in range(3)] == [1.0] * 3
    client.close()
    assert not run.ack_path.exists()
    assert not client.stop_requested


def test_disabled_it_needs_no_directory_and_keeps_the_state(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script made for `lrwatch run` runs without it, and a checkpoint keeps its identity."""
    client = run.client()
    client.scale(0)
    state = client.state_dict()
    monkeypatch.setenv("LRWATCH_DISABLE", "1")
    inert = type(client)()
    inert.load_state_dict(state)
    assert inert.scale(7) == 1.0
    assert inert.state_dict()["training_id"] == client.training_id
