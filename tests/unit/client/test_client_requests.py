"""Requests: what only the training script can do, once per id."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lrwatch.protocol import Request, ramp

if TYPE_CHECKING:
    from lrwatch.client import Client
    from tests.unit.client.conftest import Run

RESTORE = Request(2, "restore", before_step=90, skip_batches=4)


def _asked(run: Run) -> Client:
    """Return a client at step 100 that has just been asked to restore."""
    client = run.client()
    client.scale(99)
    run.publish(2, request=RESTORE, plan=ramp(2, to=0.5, steps=0))
    run.later()
    client.scale(100)
    return client


def test_a_request_comes_with_its_scale(run: Run) -> None:
    """The lower scale holds from the step at which the restore is asked for."""
    client = _asked(run)
    assert client.last_scale == 0.5
    assert client.restore_requested
    assert client.request == RESTORE
    assert not client.stop_requested


def test_a_request_is_recorded_before_the_training_hears_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the acknowledgement cannot be written the request waits, so that no crash makes it come twice."""
    client = run.client()
    client.scale(0)
    real = os.replace

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run.publish(2, request=RESTORE)
    monkeypatch.setattr(os, "replace", full)
    run.later()
    client.scale(1)
    assert not client.restore_requested
    monkeypatch.setattr(os, "replace", real)
    run.later()
    client.scale(2)
    assert run.ack().request_id == 2
    assert client.restore_requested


def test_the_record_of_a_request_survives_a_power_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acknowledgement that records a request reaches the disk; ordinary ones do not wait for it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    client = run.client()
    client.scale(0)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later()
    client.scale(1)
    assert synced == []
    run.publish(2, request=RESTORE)
    run.later()
    client.scale(2)
    assert synced


def test_a_restore_is_asked_for_until_the_step_after_it_was_read(run: Run) -> None:
    """A script that only looks at the flag goes back once, not at every step."""
    client = _asked(run)
    client.scale(101)
    assert client.restore_requested
    assert client.restore_requested
    client.scale(102)
    assert not client.restore_requested
    for step in range(103, 110):
        run.later()
        client.scale(step)
        assert not client.restore_requested


def test_a_reported_restore_is_acknowledged(run: Run) -> None:
    """`restored` ends the request, and the acknowledgement tells the step it led to."""
    client = _asked(run)
    assert client.restore_requested
    client.restored(80)
    assert not client.restore_requested
    client.scale(80)
    assert (run.ack().request_id, run.ack().restored_to_step) == (2, 80)


def test_going_back_is_a_restore_without_a_report(run: Run) -> None:
    """A global step that goes back while a restore is open answers it."""
    client = _asked(run)
    assert client.restore_requested
    client.scale(70)
    assert run.ack().restored_to_step == 70
    client.scale(60)
    run.later()
    client.scale(61)
    assert run.ack().restored_to_step == 70


def test_a_count_set_back_by_a_checkpoint_is_a_restore(run: Run) -> None:
    """A loop that tells no steps answers by loading the state that it saved."""
    client = run.client()
    for _ in range(50):
        client.scale()
    state = client.state_dict()
    for _ in range(50):
        client.scale()
    run.publish(2, request=RESTORE, plan=ramp(2, to=0.5, steps=0))
    run.later()
    client.scale()
    assert client.restore_requested
    client.load_state_dict(state)
    assert client.scale() == 0.5
    assert (run.ack().step, run.ack().restored_to_step) == (50, 50)
    assert not client.restore_requested


def test_a_report_nobody_asked_for_is_no_answer(run: Run) -> None:
    """A training that goes back on its own account has not answered a request."""
    client = run.client()
    client.scale(100)
    client.restored(50)
    client.scale(40)
    run.later()
    client.scale(41)
    assert run.ack().restored_to_step is None


def test_a_request_is_handed_over_once_per_id(run: Run) -> None:
    """The same id in a newer file, in another mode, or after a restart of the watcher is not heard again."""
    client = _asked(run)
    assert client.restore_requested
    client.restored(50)
    for seq, generation in ((3, 1), (4, 1), (5, 2)):
        run.publish(seq, request=RESTORE, generation=generation, mode="advise" if seq == 3 else "auto")
        run.later()
        client.scale(seq + 50)
        assert not client.restore_requested
    run.publish(6, request=Request(6, "stop"), generation=2)
    run.later()
    client.scale(60)
    assert client.stop_requested
    assert (run.ack().request_id, run.ack().restored_to_step) == (6, None)


def test_a_request_that_is_there_when_the_client_attaches_is_ignored(run: Run) -> None:
    """It was meant for a process that is gone."""
    run.publish(2, request=Request(2, "stop"))
    client = run.client()
    for step in range(3):
        client.scale(step)
        run.later()
    assert not client.stop_requested
    assert run.ack().request_id == 0
    run.publish(3, request=Request(3, "stop"))
    client.scale(3)
    assert client.stop_requested


def test_a_bad_file_at_the_start_does_not_make_an_old_request_new(run: Run) -> None:
    """What the first readable file asks was asked before, if a file was there at the first step."""
    run.write(b"{")
    client = run.client()
    client.scale(0)
    run.publish(2, request=Request(2, "stop"))
    run.later()
    client.scale(1)
    assert not client.stop_requested


def test_a_stop_stands_until_it_is_withdrawn(run: Run) -> None:
    """A loop may look as often as it likes, and goes on if the watcher changes its mind."""
    client = run.client()
    client.scale(0)
    run.publish(2, request=Request(2, "stop"))
    run.later()
    client.scale(1)
    assert client.stop_requested
    client.scale(2)
    assert client.stop_requested
    run.publish(3)
    run.later()
    client.scale(3)
    assert not client.stop_requested


def test_a_mode_that_does_not_apply_asks_for_nothing(run: Run) -> None:
    """In mode advise a request waits; it is handed over when the mode applies."""
    client = run.client()
    client.scale(0)
    run.publish(2, request=Request(2, "stop"), mode="advise")
    run.later()
    client.scale(1)
    assert not client.stop_requested
    assert run.ack().request_id == 0
    run.publish(3, request=Request(2, "stop"))
    run.later()
    client.scale(2)
    assert client.stop_requested


def test_a_restart_does_not_hear_the_request_that_made_it_restart(run: Run) -> None:
    """A process that ends to be restarted from a checkpoint answers by the step at which it goes on."""
    client = _asked(run)
    assert client.restore_requested
    run.crash()
    run.later()
    again = run.client()
    again.resumed = True
    assert again.scale(60) == 0.5
    assert not again.restore_requested
    ack = run.ack()
    assert (ack.training_id, ack.request_id, ack.restored_to_step) == (client.training_id, 2, 60)


def test_a_recorded_request_is_not_new_because_the_file_was_away(run: Run) -> None:
    """A resumed training that finds no file at first still knows what has been handed over."""
    client = _asked(run)
    assert client.restore_requested
    run.crash()
    data = run.control_path.read_bytes()
    run.control_path.unlink()
    again = run.client()
    again.scale(101)
    run.write(data)
    run.later()
    again.scale(102)
    assert run.ack().status == "applied"
    assert not again.restore_requested


def test_a_request_that_nobody_can_carry_out_any_more_is_not_recorded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word of a training that ends does not claim what it has not been asked."""
    client = run.client()
    client.scale(0)
    run.publish(2, request=RESTORE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        run.later()
        client.scale(1)
    client.close()
    assert run.ack().finished
    assert run.ack().request_id == 0
