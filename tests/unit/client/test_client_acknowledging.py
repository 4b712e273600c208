"""When the client writes its acknowledgement, and what stands there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lrwatch.protocol import ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


def test_the_first_step_is_acknowledged_and_makes_the_directory(run: Run) -> None:
    """The watcher learns of the training at once."""
    run.directory = run.directory / "not" / "yet"
    client = run.client(total_steps=500, optimizer="AdamW", world_size=4, min_scale=0.01, max_scale=2.0)
    assert not run.directory.exists()
    client.scale(0)
    ack = run.ack()
    assert (ack.training_id, ack.status, ack.step, ack.step_axis, ack.scale) == (
        client.training_id,
        "held",
        0,
        "global",
        1.0,
    )
    assert (ack.generation, ack.seq, ack.plan_id, ack.request_id, ack.beat) == (0, 0, 0, 0, 0)
    assert (ack.min_scale, ack.max_scale, ack.total_steps, ack.optimizer) == (0.01, 2.0, 500, "AdamW")
    assert (ack.world_size, ack.pid, ack.finished) == (4, os.getpid(), False)
    assert ack.host
    assert ack.at > 1.6e9


def test_an_unchanged_state_is_renewed_every_ten_seconds(run: Run) -> None:
    """Steps and beats alone are no news, but the watcher sees that the training lives."""
    client = run.client()
    client.scale(0)
    for step in range(1, 10):
        run.later()
        run.publish(0, generation=0, beat=step)
        client.scale(step)
    assert (run.ack().step, run.ack().beat) == (1, 1)
    run.later(1.5)
    client.scale(10)
    run.later(1.5)
    client.scale(11)
    assert (run.ack().step, run.ack().beat) == (11, 9)


def test_a_ramp_is_reported_once_per_interval(run: Run) -> None:
    """A scale that moves at every step is not written at every step."""
    client = run.client(poll_seconds=0.5)
    run.publish(1, plan=ramp(1, to=0.5, steps=1000))
    written: set[int | None] = set()
    for step in range(100):
        client.scale(step)
        written.add(run.ack().step)
        run.later(0.05)
    assert 9 <= len(written) <= 11


def test_the_end_of_a_ramp_is_reported(run: Run) -> None:
    """The settled scale does not wait for the heartbeat."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=3))
    for step in range(6):
        client.scale(step)
        run.later()
    assert run.ack().scale == 0.5


def test_a_clean_end_is_told(run: Run) -> None:
    """`close` says finished, the client is quiet afterwards, and a second close is nothing."""
    client = run.client()
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(0)
    client.close()
    client.close()
    assert run.ack().finished
    run.publish(2, plan=ramp(2, to=0.1, steps=0))
    run.later()
    assert client.scale(1) == 0.5
    assert run.ack().seq == 1


def test_a_block_that_ends_well_has_finished_and_one_that_raises_has_not(run: Run) -> None:
    """An exception, or a Ctrl-C, is no clean end."""

    def train(interrupted: bool) -> None:
        with run.client() as client:
            client.scale(0)
            if interrupted:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(interrupted=True)
    assert not run.ack().finished
    train(interrupted=False)
    assert run.ack().finished


def test_a_client_that_never_stepped_leaves_the_acknowledgement_alone(run: Run) -> None:
    """The memory of the training before is not wiped out by a script that ends at once."""
    client = run.client()
    client.scale(0)
    run.crash()
    before = run.ack()
    run.client().close()
    assert run.ack() == before


def test_the_learning_rates_stand_there_before_and_after_the_scale(run: Run) -> None:
    """One number per parameter group, from whoever knows them."""
    client = run.client()
    client.base_rates = lambda: (0.1, 0.01)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    client.scale(0)
    assert (run.ack().base_lr, run.ack().lr) == ((0.1, 0.01), (0.05, 0.005))


def test_a_link_in_the_acknowledgements_place_is_replaced_not_followed(run: Run) -> None:
    """Nobody makes the training write elsewhere."""
    run.ack_path.parent.mkdir()
    victim = run.directory / "victim"
    victim.write_text("precious")
    run.ack_path.symlink_to(victim)
    run.client().scale(0)
    assert victim.read_text() == "precious"
    assert not run.ack_path.is_symlink()


def test_the_directory_may_move_with_the_working_directory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative directory means where the client was made."""
    monkeypatch.chdir(run.directory)
    (run.directory / "elsewhere").mkdir()
    home, run.directory = run.directory, Path()
    client = run.client()
    monkeypatch.chdir(home / "elsewhere")
    client.scale(0)
    run.directory = home
    assert run.ack().step == 0
