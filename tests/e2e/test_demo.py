"""The demo keeps its promise: the watched training ends lower, with a real daemon and without."""

import pytest
from click.testing import CliRunner

from lrwatch.cli import main
from lrwatch.demo.training import LEARNING_RATE, Training
from lrwatch.embedded import Watch

STEPS = 4000


def lock_step(seed: int) -> tuple[float, float, Watch]:
    """Train twice, one of them judged at every step, and return both final losses."""
    watched, unwatched = Training(seed), Training(seed)
    watch, scale = Watch(optimizer="SGD"), 1.0
    for step in range(STEPS):
        loss = watched.step(LEARNING_RATE * scale)
        unwatched.step(LEARNING_RATE)
        scale = watch.log(step, {"train/loss": loss, "train/lr": LEARNING_RATE}).scale_at(step + 1)
    return watched.loss(), unwatched.loss(), watch


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_judged_in_lock_step_the_training_ends_lower(seed: int) -> None:
    """The engine in the process lowers the final loss by cuts that it decided on its own."""
    watched, unwatched, watch = lock_step(seed)

    assert watched < 0.9 * unwatched
    assert {event["because"] for event in watch.events if event["event"] == "decision"} == {"plateau"}
    assert watch.control.scale_at(STEPS) < 1.0


def test_two_trainings_of_one_seed_are_the_same() -> None:
    """Without a difference in the learning rate there is none in the loss."""
    one, other = Training(5), Training(5)

    assert [one.step(0.1) for _ in range(50)] == [other.step(0.1) for _ in range(50)]
    assert one.loss() == other.loss()


def test_the_demo_command_ends_with_both_losses_and_status_0() -> None:
    """`lrwatch demo` starts its daemon, shows what was seen and done, and exits 0 when the watched run won."""
    result = CliRunner().invoke(main, ["demo", "--seed", "4"])

    assert result.exit_code == 0, result.output
    for told in ("verdict plateau", "decision", "applied", "unwatched", "lower."):
        assert told in result.output


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 13))
def test_ten_more_seeds_end_lower(seed: int) -> None:
    """No seed was picked: the watched training ends lower on ten others too."""
    watched, unwatched, _ = lock_step(seed)

    assert watched < unwatched
