"""Which training a client belongs to, and what goes on when it is resumed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from lrwatch.client import Client
from lrwatch.protocol import Acknowledgement, Plan, Segment, ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


def _interrupted(run: Run) -> tuple[str, dict[str, Any]]:
    """Leave a run that began a ramp to 1/4 over 100 steps at step 100 and was killed at 150."""
    client = run.client()
    client.scale(99)
    run.publish(2, plan=ramp(2, to=0.25, steps=100))
    run.later()
    client.scale(100)
    run.later()
    client.scale(150)
    run.publish(2, plan=ramp(2, to=0.25, steps=100), training_id=client.training_id)
    name, state = client.training_id, client.state_dict()
    run.crash()
    run.later()
    return name, state


def test_a_new_training_in_an_old_directory_holds_one(run: Run) -> None:
    """It acknowledges its own id and does not follow a file that names the training before."""
    name, _ = _interrupted(run)
    client = run.client()
    assert client.scale(0) == 1.0
    assert client.training_id != name
    ack = run.ack()
    assert (ack.training_id, ack.status, ack.refused_because, ack.scale, ack.seq) == (
        client.training_id,
        "refused",
        "training",
        1.0,
        0,
    )


def test_a_new_training_follows_a_file_that_names_none(run: Run) -> None:
    """Null means that the watcher has not heard from a training yet."""
    _interrupted(run)
    run.publish(9, plan=ramp(9, to=0.5, steps=0))
    assert run.client().scale(0) == 0.5


def test_a_loaded_state_continues_the_training(run: Run) -> None:
    """The ramp goes on exactly where it was, with its own start."""
    name, state = _interrupted(run)
    client = run.client()
    client.load_state_dict(json.loads(json.dumps(state)))
    assert client.scale(150) == pytest.approx(0.5)
    assert client.training_id == name
    assert (run.ack().start_step, run.ack().from_scale) == (100, 1.0)


@pytest.mark.parametrize("hint", ["step", "resumed", "tell"])
def test_a_resumed_training_without_its_state_continues_by_the_acknowledgement(run: Run, hint: str) -> None:
    """A first step above 0, or the loop's own word, makes the directory's acknowledgement count."""
    name, _ = _interrupted(run)
    client = run.client()
    if hint == "step":
        scale = client.scale(150)
    elif hint == "tell":
        client.tell(150)
        scale = client.scale()
    else:
        client.resumed = True
        scale = client.scale(150)
    assert scale == pytest.approx(0.5)
    assert client.training_id == name
    assert run.ack().start_step == 100


def test_a_counting_client_counts_on_where_it_is_resumed(run: Run) -> None:
    """The count goes on after the last acknowledged step, and so does the ramp."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=100))
    for _ in range(50):
        client.scale()
    run.later(11)
    client.scale()
    run.crash()
    again = run.client()
    again.resumed = True
    assert again.scale() == pytest.approx(0.25**0.51)
    assert run.ack().step == 51


def test_without_a_control_file_a_resumed_training_keeps_its_scale(run: Run) -> None:
    """The checkpoint alone carries the scale to another directory or machine."""
    _, state = _interrupted(run)
    run.control_path.unlink()
    client = run.client()
    client.load_state_dict(state)
    assert client.scale(150) == pytest.approx(0.5)
    assert client.scale(190) == pytest.approx(0.5)
    assert run.ack().status == "held"


def test_a_plan_that_came_while_the_training_was_down_starts_where_it_stood(run: Run) -> None:
    """Its null start is the scale of the last acknowledgement, at the first step that sees it."""
    name, state = _interrupted(run)
    run.publish(3, plan=ramp(3, to=1.0, steps=10), training_id=name)
    client = run.client()
    client.load_state_dict(state)
    assert client.scale(151) == pytest.approx(0.5)
    assert client.scale(161) == 1.0
    assert run.ack().start_step == 151


def test_an_older_checkpoint_does_not_undo_what_came_after_it(run: Run) -> None:
    """The directory's acknowledgement of the same training is newer: its plan's start stands."""
    client = run.client()
    client.scale(50)
    state = client.state_dict()
    run.publish(2, plan=ramp(2, to=0.5, steps=0))
    run.later()
    client.scale(100)
    run.crash()
    again = run.client()
    again.load_state_dict(state)
    assert again.scale(51) == 0.5
    assert run.ack().start_step == 100


def test_an_older_checkpoint_loaded_in_the_running_process_changes_no_plan(run: Run) -> None:
    """A restore within the process keeps what the file wants now."""
    client = run.client()
    client.scale(50)
    state = client.state_dict()
    run.publish(2, plan=ramp(2, to=0.5, steps=0))
    run.later()
    client.scale(100)
    client.load_state_dict(state)
    assert client.scale(51) == 0.5
    assert run.ack().start_step == 100


def test_a_state_loaded_after_the_first_step_still_counts(run: Run) -> None:
    """Who loads late becomes the training of the checkpoint from there on."""
    name, state = _interrupted(run)
    client = run.client()
    assert client.scale(0) == 1.0
    client.load_state_dict(state)
    assert client.scale(150) == pytest.approx(0.5)
    assert client.training_id == name


def test_the_state_of_another_training_wins_over_the_directory(run: Run) -> None:
    """A checkpoint brought from elsewhere is that training, whatever lies here."""
    _, state = _interrupted(run)
    foreign = {**state, "training_id": "elsewhere", "scale": 0.3}
    client = run.client()
    client.load_state_dict(foreign)
    assert client.scale(150) == 0.3
    assert run.ack().training_id == "elsewhere"


def test_a_base_schedule_goes_on_as_well(run: Run) -> None:
    """A base with a null start is not begun again by a training that is resumed without its state."""
    base = Plan(1, (Segment("linear", 1.0, 0.5, 100),))
    client = run.client()
    run.publish(1, base=base, plan=ramp(1, to=0.8, steps=0))
    client.scale(0)
    run.later()
    client.scale(50)
    run.crash()
    run.publish(2, base=base, plan=ramp(2, to=0.8, steps=0))
    again = run.client()
    assert again.scale(50) == pytest.approx(0.75 * 0.8)
    assert again.scale(100) == pytest.approx(0.5 * 0.8)
    assert (run.ack().base_id, run.ack().base_start_step) == (1, 0)


def test_a_plan_that_had_not_begun_keeps_waiting_for_its_step(run: Run) -> None:
    """A numeric start is not brought forward by a restart, and the scale before it stays."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(10)
    run.publish(2, plan=Plan(2, (Segment("linear", 0.2, 0.1, 10),), start_step=100))
    run.later()
    client.scale(11)
    run.crash()
    again = run.client()
    assert [again.scale(12), again.scale(99)] == [0.5, 0.5]
    assert again.scale(100) == 0.2


def test_resumed_on_another_step_axis_the_ramp_goes_on(run: Run) -> None:
    """A script that counted and now tells its steps is still so many steps into its ramp."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.25, steps=100))
    for _ in range(50):
        client.scale()
    run.later()
    client.scale()
    run.later(11)
    client.scale()
    run.crash()
    for told in (False, True):
        again = run.client()
        if told:
            again.tell(7050)
        scale = again.scale() if told else again.scale(7050)
        assert scale == pytest.approx(0.25**0.52)
        assert run.ack().start_step == 6998
        run.crash()
        if not told:
            run.ack_path.write_bytes(
                Acknowledgement(again.training_id, 1, 1, 1, step=51, start_step=0, from_scale=1.0).encode()
            )


@pytest.mark.parametrize(
    "junk",
    [{}, [], None, 7, {"schema": "lrwatch.ack/1"}, {"training_id": object()}, {"a": float("nan")}, {1: {2: 3}}],
)
def test_a_state_that_is_none_is_counted_and_ignored(run: Run, junk: Any) -> None:
    """An old or foreign checkpoint never raises, and the training is a new one."""
    client = run.client()
    client.load_state_dict(junk)
    assert client.rejections == {"state": 1}
    assert client.scale(0) == 1.0
    assert not client.resumed


def test_a_state_that_breaks_while_it_is_read_is_no_accident(run: Run) -> None:
    """Not even a mapping that raises gets an exception into the training."""

    class Trap(dict[str, Any]):
        def items(self) -> Any:
            raise KeyError("gone")

    client = run.client()
    client.load_state_dict(Trap(a=1))
    assert client.rejections == {"defect": 1}


def test_a_spoilt_acknowledgement_makes_a_resumed_training_a_new_one(run: Run) -> None:
    """Nothing is taken from what cannot be believed; that is counted."""
    _interrupted(run)
    run.ack_path.write_bytes(b'{"schema":"lrwatch.ack/1"')
    client = run.client()
    assert client.scale(150) == 1.0
    assert client.rejections["ack"] == 1


def test_two_clients_of_a_directory_are_one(run: Run) -> None:
    """However the path is spelled; the narrower bounds hold for both."""
    first = run.client(min_scale=0.1, max_scale=10.0)
    (run.directory / "x").mkdir()
    second = Client(run.directory / "x" / "..", min_scale=0.01, max_scale=2.0)
    assert second is first
    run.publish(1, plan=ramp(1, to=100.0, steps=0))
    assert first.scale(0) == 2.0
    assert (run.ack().min_scale, run.ack().max_scale) == (0.1, 2.0)
    with pytest.raises(ValueError, match="nothing in common"):
        Client(run.directory, min_scale=5.0, max_scale=6.0)
    assert first.scale(1) == 2.0


def test_a_closed_client_makes_room_for_another_training(run: Run) -> None:
    """After `close` the directory's next client is a new training."""
    first = run.client()
    first.scale(0)
    first.close()
    second = run.client()
    assert second is not first
    second.scale(0)
    assert run.ack().training_id == second.training_id != first.training_id
    assert not run.ack().finished


def test_a_forgotten_client_makes_room_as_well(run: Run) -> None:
    """The registry keeps nobody alive."""
    first = run.client()
    name = first.training_id
    run.clients.clear()
    del first
    assert run.client().training_id != name


def test_only_the_process_that_made_the_client_acknowledges(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child goes on following and never writes."""
    client = run.client()
    client.scale(0)
    before = run.ack()
    monkeypatch.setattr(os, "getpid", lambda: before.pid + 1)
    assert run.client() is client
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later()
    assert client.scale(1) == 0.5
    client.close()
    assert run.ack() == before


def test_only_rank_zero_acknowledges(run: Run) -> None:
    """Another rank follows, and takes its training id from what rank 0 reports after it has started."""
    run.ack_path.parent.mkdir()
    run.ack_path.write_bytes(Acknowledgement("yesterday").encode())
    client = run.client(rank=1, world_size=2)
    run.publish(1, plan=ramp(1, to=0.5, steps=0), training_id="yesterday")
    assert client.scale(0) == 1.0
    run.later()
    assert client.scale(1) == 1.0
    run.ack_path.write_bytes(Acknowledgement("today").encode())
    run.publish(2, plan=ramp(1, to=0.5, steps=0), training_id="today")
    for step in (2, 3):
        run.later()
        client.scale(step)
    assert client.last_scale == 0.5
    assert run.ack() == Acknowledgement("today")
