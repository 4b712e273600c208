"""The engine inside the training process, as the contract promises it."""

import doctest
import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import lrwatch.embedded
from lrwatch.embedded import Watch
from lrwatch.errors import ConfigError
from lrwatch.protocol import Control
from lrwatch.testing.clock import FakeClock
from tests.curves import noise

LR = 0.1
NAN = float("nan")


def plateau(count: int = 1500, seed: int = 1) -> list[float]:
    """Return a loss that has reached its floor after a thousand steps."""
    steps = np.arange(count)
    values = 2.0 + 4.0 * np.exp(-steps / 150) + 0.02 * noise("gauss", count, np.random.default_rng(seed))
    return [float(value) for value in values]


def train(watch: Watch, losses: Iterable[float], first: int = 0) -> list[Control]:
    """Log one loss per step and the script's learning rate; return what was answered."""
    return [watch.log(first + step, {"train/loss": loss, "lr": LR}) for step, loss in enumerate(losses)]


def of(watch: Watch, *kinds: str) -> list[dict[str, Any]]:
    """Return the events of some kinds, in order."""
    return [event for event in watch.events if event["event"] in kinds]


def decided(watch: Watch) -> dict[str, Any]:
    """Return the first decision."""
    return of(watch, "decision")[0]


def test_the_example_in_the_module() -> None:
    """What the docstring shows is what happens."""
    assert doctest.testmod(lrwatch.embedded).failed == 0
    assert doctest.testmod(lrwatch.embedded).attempted > 0


def test_at_first_nothing_is_asked() -> None:
    """The desired state of a new training is its own learning rate."""
    control = Watch(run="sim").log(0, {"train/loss": 2.3, "lr": LR})

    assert isinstance(control, Control)
    assert [control.scale_at(step) for step in (0, 1, 10**9)] == [1.0] * 3
    assert (control.request.kind, control.run, control.mode) == ("none", "sim", "auto")


def test_a_plateau_is_cut() -> None:
    """The loss hangs, the scale ramps down from the next step on, and holds."""
    watch = Watch(run="sim", optimizer="SGD")
    controls = train(watch, plateau())

    decision = decided(watch)
    step = decision["step"]
    assert (decision["action"], decision["because"], decision["refused_by"]) == ("scale", "plateau", None)
    before, after = controls[step - 1], controls[step]
    assert before.scale_at(step) == 1.0
    assert after.seq == decision["seq"] > before.seq
    assert after.plan.start_step == step + 1
    assert after.scale_at(step + 1) == 1.0
    scales = [after.scale_at(step + 1 + into) for into in range(after.plan.steps + 1)]
    assert scales == sorted(scales, reverse=True)
    assert scales[-1] == pytest.approx(0.3)
    assert controls[step + 2 * after.plan.steps].scale_at(step + 2 * after.plan.steps + 1) == pytest.approx(0.3)


def test_adaptive_optimizers_are_cut_more_gently() -> None:
    """Without a word about the optimizer, or with an adaptive one, the cut is to a half."""
    for optimizer in (None, "AdamW"):
        watch = Watch(optimizer=optimizer)
        train(watch, plateau())
        assert decided(watch)["plan"]["segments"][0]["to"] == 0.5


def test_a_plan_is_acknowledged_by_logging_at_its_start() -> None:
    """The step after the decision is where the plan starts, and logging it says so."""
    watch = Watch()
    train(watch, plateau())
    step, seq = decided(watch)["step"], decided(watch)["seq"]

    acknowledged = [event for event in of(watch, "acknowledged") if event["plan_id"] == seq]
    assert acknowledged[0]["step"] in (step, step + 1)
    assert (acknowledged[0]["start_step"], acknowledged[0]["from_scale"]) == (step + 1, 1.0)
    assert acknowledged[0]["status"] == "applied"
    order = [event["event"] for event in of(watch, "verdict", "decision")][:2]
    assert order == ["verdict", "decision"]


def test_logging_rarely_is_fine() -> None:
    """A log of every tenth step acknowledges with the first step at or after the start."""
    watch = Watch()
    for index, loss in enumerate(plateau(1500)):
        watch.log(10 * index, {"train/loss": loss, "lr": LR})

    refused_by = [event["refused_by"] for event in of(watch, "decision")]
    assert refused_by.count(None) >= 1
    assert "unacknowledged" not in refused_by
    began = next(event for event in of(watch, "acknowledged") if event["plan_id"] == decided(watch)["seq"])
    assert (began["start_step"], began["client_step"]) == (decided(watch)["step"] + 1, decided(watch)["step"] + 10)


def test_the_scale_that_was_given_counts_as_learning_rate() -> None:
    """After a cut the judges start anew, though the script logs the same learning rate as before."""
    watch = Watch()
    train(watch, plateau())

    verdicts = [(event["state"], event["kind"]) for event in of(watch, "verdict")]
    assert verdicts[:2] == [("raised", "plateau"), ("cleared", "plateau")]
    cuts = [event["step"] for event in of(watch, "decision") if event["seq"]]
    assert all(later - earlier > 256 for earlier, later in pairwise(cuts))


def test_what_became_of_it_is_told() -> None:
    """An outcome follows a cut: here the loss falls by a tenth because of it."""
    watch, losses = Watch(), plateau()
    scale = 1.0
    for step, loss in enumerate(losses):
        scale = watch.log(step, {"train/loss": loss - 0.4 * (1.0 - scale), "lr": LR}).scale_at(step + 1)

    outcome = of(watch, "outcome")[0]
    assert (outcome["verdict"], outcome["seq"]) == ("helped", decided(watch)["seq"])
    assert outcome["step"] > decided(watch)["step"]


def diverge(watch: Watch, at: int = 400) -> Control:
    """Log until three losses in a row are no numbers; return the answer to the last."""
    return train(watch, [*plateau(at), NAN, NAN, NAN])[-1]


def test_a_loss_that_is_no_number_asks_for_a_restore() -> None:
    """The third NaN is answered in the same call, with half the learning rate and no ramp."""
    watch = Watch()
    control = diverge(watch)

    assert control.request.kind == "restore"
    assert control.request.id == control.seq == decided(watch)["seq"]
    assert control.request.before_step == 300
    assert [control.scale_at(step) for step in (0, 300, 403, 10**6)] == [0.5] * 4


def test_a_request_goes_when_it_is_acknowledged() -> None:
    """Until then every answer repeats it under the same id; afterwards the kind is none, at once and later."""
    watch = Watch()
    asked = diverge(watch)
    again = watch.log(403, {"train/loss": NAN, "lr": LR})
    assert again.request == asked.request

    watch.acknowledge(seq=again.seq, step=403, restored_to_step=250)

    assert watch.control.request.kind == "none"
    later = watch.log(250, {"train/loss": 2.0, "lr": LR})
    assert (later.request.kind, later.request.id) == ("none", asked.request.id)
    assert of(watch, "acknowledged")[-1]["request_id"] == asked.request.id


def test_after_a_restore_the_steps_may_go_back() -> None:
    """The lower scale holds from the checkpoint on, the log's restart is told, and the divergence is over."""
    watch = Watch()
    control = diverge(watch)
    watch.acknowledge(seq=control.seq, step=402, restored_to_step=250)
    controls = train(watch, plateau()[250:600], first=250)

    assert [event["step"] for event in of(watch, "gap")] == [250]
    assert of(watch, "gap")[0]["reason"] == "restart"
    assert {control.scale_at(step + 1) for step, control in enumerate(controls, 250)} == {0.5}
    assert [(event["state"], event["step"]) for event in of(watch, "verdict")][:2] == [
        ("raised", 402),
        ("cleared", 250),
    ]
    began = [event for event in of(watch, "acknowledged") if event["plan_id"] == control.plan.id]
    assert began[0]["start_step"] == 250


def test_after_a_restore_the_steps_may_go_on() -> None:
    """A script that restores its weights and counts on is acknowledged at the next step."""
    watch = Watch()
    control = diverge(watch)
    watch.acknowledge(seq=control.seq, step=402, restored_to_step=402)
    controls = train(watch, plateau()[403:700], first=403)

    assert of(watch, "gap") == []
    assert {control.scale_at(step + 1) for step, control in enumerate(controls, 403)} == {0.5}
    assert [event["state"] for event in of(watch, "verdict")][:2] == ["raised", "cleared"]


def test_a_training_that_fails_again_at_the_same_step_is_helped_again() -> None:
    """Each failure after a restore is another request, at half the scale again, until the budget is spent."""
    watch = Watch(config={"policy": {"max_actions": 3}})
    control = diverge(watch)
    for scale in (0.5, 0.25, 0.125):
        assert control.request.kind == "restore"
        assert control.scale_at(250) == scale
        watch.acknowledge(seq=control.seq, step=402, restored_to_step=250)
        control = train(watch, [*plateau()[250:400], NAN, NAN, NAN], first=250)[-1]

    assert control.request.kind == "none"
    assert [event["refused_by"] for event in of(watch, "decision")] == [None, None, None, "budget"]


def test_going_back_without_a_word_is_survived() -> None:
    """A script that restores and forgets to acknowledge keeps the lower scale; nothing else is decided meanwhile."""
    watch = Watch()
    diverge(watch)
    controls = train(watch, plateau()[250:500], first=250)

    assert {control.scale_at(step + 1) for step, control in enumerate(controls, 250)} == {0.5}
    assert len([event for event in of(watch, "decision") if event["seq"]]) == 1


def test_a_stop_is_asked_for_if_allowed() -> None:
    """Without restore, and with stop allowed, a training without numbers is to stop; the scale stays."""
    watch = Watch(config={"policy": {"allow_restore": False, "allow_stop": True}})
    control = diverge(watch)

    assert control.request.kind == "stop"
    assert control.scale_at(403) == 1.0
    watch.acknowledge(seq=control.seq, step=402)
    assert watch.control.request.kind == "none"


def test_advice_changes_nothing() -> None:
    """In mode advise the scale stays 1 and nothing is asked; what would have been done is in the events."""
    config = {"watch": {"mode": "advise"}, "schedule": {"segments": [{"shape": "constant", "from": 0.5, "steps": 0}]}}
    watch = Watch(config=config)
    controls = train(watch, [*plateau(), NAN, NAN, NAN])

    assert {control.scale_at(step + 1) for step, control in enumerate(controls)} == {1.0}
    assert {control.request.kind for control in controls} == {"none"}
    assert controls[-1].mode == "advise"
    assert {event["action"] for event in of(watch, "decision") if event["seq"]} == {"scale", "restore"}
    assert {event["status"] for event in of(watch, "acknowledged")} == {"held"}
    assert of(watch, "outcome") == []


def test_approval_waits_for_a_person() -> None:
    """In mode approve everything is refused by the mode, once for each verdict."""
    watch = Watch(config={"watch": {"mode": "approve"}})
    controls = train(watch, plateau())

    assert [event["refused_by"] for event in of(watch, "decision")] == ["mode"]
    assert controls[-1].scale_at(4000) == 1.0


def test_the_base_schedule_is_a_factor_of_its_own() -> None:
    """The scale is base times plan; a cut is relative to the schedule and does not count it twice."""
    segments = [{"shape": "constant", "from": 0.5, "steps": 0}]
    watch = Watch(config={"schedule": {"segments": segments}})
    assert watch.log(0, {"train/loss": 6.0}).scale_at(1) == 0.5
    controls = train(watch, plateau(), first=1)

    assert decided(watch)["plan"]["segments"][0]["to"] == 0.5
    began = [event for event in of(watch, "acknowledged") if event["plan_id"] == decided(watch)["seq"]]
    assert began[0]["from_scale"] == 1.0
    first = controls[decided(watch)["step"] - 1]
    assert first.seq == decided(watch)["seq"]
    assert (first.scale_at(decided(watch)["step"] + 1), first.scale_at(10**6)) == (0.5, 0.25)


def test_the_budget_of_the_explore_profile() -> None:
    """The configuration is that of the daemon."""
    watch = Watch(config={"policy": {"profile": "explore", "total_steps": 6000, "max_actions": 0}}, run="sim")
    train(watch, plateau())

    assert [event["refused_by"] for event in of(watch, "decision")] == ["budget"]


@pytest.mark.parametrize(
    "config", [{"polcy": {}}, {"policy": {"profile": "wild"}}, {"policy": {"factor": 7}}, {"serve": {"listen": "x"}}]
)
def test_a_configuration_that_cannot_be_used(config: dict[str, Any]) -> None:
    """A mistake in the configuration is told at once, by its key."""
    with pytest.raises(ConfigError, match=next(iter(config))):
        Watch(config=config)


@pytest.mark.parametrize(
    "value",
    [float("inf"), -float("inf"), NAN, "nan", "Infinity", "0.5", 1, True, np.float32(0.5), np.array(0.5), 1e308],
)
def test_what_float_understands_is_a_value(value: Any) -> None:
    """Numbers of any kind are records, and so is the spelling of one."""
    watch = Watch()
    watch.log(0, {"train/loss": value})

    assert (watch.snapshot.records, watch.snapshot.rejected) == (1, {})


@pytest.mark.parametrize("value", ["abc", "", None, [1.0, 2.0], {}, object(), 10**400, 1j, np.ones(3)])
def test_what_is_no_number_is_counted(value: Any) -> None:
    """Anything else is rejected and counted, and never raises into the training."""
    watch = Watch()
    control = watch.log(0, {"train/loss": value, "val/loss": 1.0})

    assert control.scale_at(1) == 1.0
    assert (watch.snapshot.records, watch.snapshot.rejected) == (1, {"value": 1})


def test_any_step_and_any_signals_will_do() -> None:
    """No values, unknown names, numpy's integers and leaps forward are all fine."""
    watch = Watch()
    watch.log(0, {})
    watch.log(np.int64(5), {"gpu": 1.0, "": 2.0, "train/loss": 1.0})  # type: ignore[arg-type]
    watch.log(2**53, {"train/loss": 1.0})

    assert watch.snapshot.step == 2**53
    assert of(watch, "gap") == []


@pytest.mark.parametrize(
    "losses",
    [lambda: plateau(1500), lambda: [*plateau(300), *[NAN] * 50, *plateau(900)], lambda: [1.0, "x", None, 1e308] * 100],
)
def test_equal_inputs_give_equal_events(losses: Callable[[], list[Any]]) -> None:
    """Two engines that are told the same say the same, however fast they are asked."""
    clock = FakeClock()
    slow, fast = Watch(run="a", clock=clock), Watch(run="a")
    for step, loss in enumerate(losses()):
        clock.advance(3600.0)
        answers = [watch.log(step, {"train/loss": loss, "lr": LR}) for watch in (slow, fast)]
        assert answers[0].scale_at(step + 1) == answers[1].scale_at(step + 1)

    assert slow.events == fast.events


def test_a_step_may_be_logged_in_parts() -> None:
    """Values of one step may come in several calls, hours apart."""
    clock = FakeClock()
    watch = Watch(clock=clock)
    for step, loss in enumerate(plateau(1500)):
        for values in ({"lr": LR}, {"train/loss": loss}, {"val/loss": loss}):
            clock.advance(3600.0)
            watch.log(step, values)

    assert decided(watch)["refused_by"] is None


def test_the_events_are_those_of_the_contract() -> None:
    """Every event is a dict that JSON can spell, of a known kind, and names the run."""
    watch = Watch(run="sim")
    control = train(watch, [*plateau(2000), NAN, NAN, NAN])[-1]
    watch.acknowledge(seq=control.seq, step=2002, restored_to_step=1800)
    train(watch, plateau(2500)[1800:], first=1800)

    assert {event["event"] for event in watch.events} == {"verdict", "decision", "acknowledged", "outcome", "gap"}
    assert {event["run"] for event in watch.events} == {"sim"}
    assert json.loads(json.dumps(watch.events, allow_nan=False)) == watch.events
    published = [event["seq"] for event in of(watch, "decision") if event["seq"] is not None]
    assert published == sorted(set(published))


def test_the_order_of_the_learning_rate_does_not_matter() -> None:
    """A small learning rate is understood whether it stands before the loss, behind it, or nowhere."""
    cuts = []
    for names in (["lr", "train/loss"], ["train/loss", "lr"], ["train/loss"]):
        watch = Watch()
        for step, loss in enumerate(plateau()):
            watch.log(step, {name: 3e-4 if name == "lr" else loss for name in names})
        cuts.append([event["step"] for event in of(watch, "decision")][:1])
    assert cuts[0] == cuts[1] == cuts[2] != []


def test_a_score_is_watched_too() -> None:
    """Without a loss the training score decides, upwards."""
    watch = Watch()
    for step, loss in enumerate(plateau()):
        watch.log(step, {"train/accuracy": 1.0 - loss / 10})

    assert (decided(watch)["because"], decided(watch)["signal"]) == ("plateau", "train/accuracy")


def test_decide_on_names_the_signal() -> None:
    """Only verdicts of the named signal change the learning rate."""
    watch = Watch(config={"signals": {"decide_on": "aux/loss"}})
    for step, loss in enumerate(plateau(2000)):
        control = watch.log(step, {"train/loss": loss, "aux/loss": 6.0 - step / 1000})

    assert {event["signal"] for event in of(watch, "verdict")} == {"train/loss"}
    assert control.scale_at(2000) == 1.0
    assert of(watch, "decision") == []
