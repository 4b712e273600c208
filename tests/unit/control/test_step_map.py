"""Two counts of one training: the log's steps and the client's."""

import pytest

from lrwatch.control.steps import StepMap


def test_equal_until_something_else_is_learnt() -> None:
    """Without an acknowledgement both count the same."""
    assert (StepMap().to_client(7), StepMap().to_log(7)) == (7, 7)


@pytest.mark.parametrize(("log_step", "client_step"), [(1000, 1200), (1000, 4000), (1000, 300), (1, 4)])
def test_a_log_that_is_merely_late_counts_the_same(log_step: int, client_step: int) -> None:
    """A factor below five is a delay of the log, not another unit."""
    steps = StepMap()
    steps.learn(log_step, client_step)

    assert (steps.to_client(700), steps.to_log(700)) == (700, 700)


def test_epochs_against_optimizer_steps() -> None:
    """A log that counts epochs: epoch 30 is step 30,000 of the client where epoch 20 was its 20,000."""
    steps = StepMap()
    steps.learn(20, 20_000)

    assert (steps.to_client(30), steps.to_log(30_000)) == (30_000, 30)


def test_micro_steps_against_optimizer_steps() -> None:
    """A log that counts micro-steps, eight to an optimizer step."""
    steps = StepMap()
    steps.learn(8000, 1000)

    assert (steps.to_client(16_000), steps.to_log(2000)) == (2000, 16_000)


@pytest.mark.parametrize(("log_step", "client_step"), [(0, 1000), (1000, 0), (0, 0)])
def test_the_first_step_teaches_nothing(log_step: int, client_step: int) -> None:
    """Zero has no ratio: what was learnt before stands."""
    steps = StepMap()
    steps.learn(20, 20_000)
    steps.learn(log_step, client_step)

    assert steps.to_client(1) == 1000
