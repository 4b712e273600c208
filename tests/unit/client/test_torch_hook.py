"""The hook in an optimizer: the scaled rate stands for the length of a step and at no other time."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lrwatch.client.torch import Hook, attach
from lrwatch.protocol import Request, ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run


def _parameter() -> Any:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    return parameter


def _sgd(lr: Any = 0.1, **options: Any) -> Any:
    return torch.optim.SGD([_parameter()], lr, **options)


def _halved(run: Run, optimizer: Any) -> Hook:
    """Attach under a control file that wants half the rate."""
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    return run.attach(optimizer)


class Spy(torch.optim.SGD):
    """An optimizer that tells which rates its steps used, and fails on demand."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.used: list[float] = []
        self.fails = False

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Note the rate."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        self.used.append(float(self.param_groups[0]["lr"]))
        if self.fails:
            raise RuntimeError("out of memory")


def _spy(lr: Any = 0.1) -> Spy:
    return Spy([_parameter()], lr)


def test_a_step_uses_the_scaled_rate_and_leaves_the_very_object(run: Run) -> None:
    """The script's float is put back, not a quotient that resembles it."""
    rate = 0.1 + 0.2
    optimizer = _spy(rate)
    hook = _halved(run, optimizer)
    optimizer.step()
    assert optimizer.used == [rate * 0.5]
    assert optimizer.param_groups[0]["lr"] is rate
    assert (hook.scale, hook.lr) == (0.5, [rate * 0.5])


def test_the_acknowledgement_tells_the_rates_and_the_optimizer(run: Run) -> None:
    """What the script set, what was used, and by which class."""
    optimizer = torch.optim.AdamW([{"params": [_parameter()], "lr": 0.1}, {"params": [_parameter()], "lr": 0.02}])
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    hook = attach(optimizer, run.directory, total_steps=700)
    optimizer.step()
    ack = run.ack()
    assert (ack.base_lr, ack.lr) == ((0.1, 0.02), (0.05, 0.01))
    assert (ack.optimizer, ack.total_steps, ack.step_axis) == ("AdamW", 700, "counted")
    hook.close()
    assert run.ack().finished


def test_an_exception_in_a_step_does_not_compound(run: Run) -> None:
    """The rate of a step that raised is undone before the next one, however often it happens."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.fails = True
    for _ in range(3):
        with pytest.raises(RuntimeError, match="out of memory"):
            optimizer.step()
    optimizer.fails = False
    optimizer.step()
    assert optimizer.used == [0.05] * 4
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert hook.overridden == 0


def test_telling_the_step_undoes_a_step_that_raised(run: Run) -> None:
    """A loop that tells its steps need not wait for the next optimizer step."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    hook.step(1)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_an_exception_in_a_closure_leaves_the_scripts_rate(run: Run) -> None:
    """A scheduler that is stepped after a failed closure goes on from the right rate."""
    optimizer = _spy()
    scheduler = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda _: 0.9)
    _halved(run, optimizer)

    def closure() -> None:
        raise KeyboardInterrupt

    optimizer.step()
    scheduler.step()
    for style in ((closure,), ()):
        with pytest.raises(KeyboardInterrupt):
            optimizer.step(*style, **({} if style else {"closure": closure}))
        assert optimizer.param_groups[0]["lr"] == 0.1 * 0.9
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.1 * 0.9 * 0.9
    optimizer.step()
    assert optimizer.used[-1] == 0.1 * 0.9 * 0.9 * 0.5


def test_a_closure_sees_the_scripts_rate(run: Run) -> None:
    """What a trainer logs, or changes, within the closure is the rate before the scale."""
    optimizer = _spy()
    _halved(run, optimizer)
    seen: list[float] = []

    def closure() -> None:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.param_groups[0]["lr"] = 0.3

    optimizer.step(closure)
    assert (seen, optimizer.used, optimizer.param_groups[0]["lr"]) == ([0.1], [0.15], 0.3)


def test_lbfgs_steps_at_the_scaled_rate(run: Run) -> None:
    """An optimizer that calls its closure many times moves as with the rate itself."""

    def train(rate: float, *, watched: bool) -> Any:
        torch.manual_seed(1)
        parameter = torch.nn.Parameter(torch.randn(4))
        optimizer: Any = torch.optim.LBFGS([parameter], rate, max_iter=4)
        if watched:
            _halved(run, optimizer)

        def closure() -> Any:
            optimizer.zero_grad()
            loss: Any = (parameter**4).sum()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        assert optimizer.param_groups[0]["lr"] == rate
        return parameter

    assert torch.equal(train(0.4, watched=False), train(0.8, watched=True))


def test_the_base_classs_step_within_a_subclasss_is_one_step(run: Run) -> None:
    """Torch runs the hooks of both; the rate is scaled once, and one step is counted."""

    class Outer(Spy):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            super().step(closure)
            self.used.append(float(self.param_groups[0]["lr"]))

    _spy()
    optimizer = Outer([_parameter()], 0.1)
    hook = run.attach(optimizer)
    optimizer.step()
    assert optimizer.used == [0.1] * 3
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.later()
    optimizer.step()
    optimizer.step()
    assert optimizer.used[3:] == [0.05] * 6
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert hook.state_dict()["step"] == 2
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    optimizer.fails = False
    optimizer.step()
    assert optimizer.used[-3:] == [0.05] * 3
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_failed_inner_step_that_is_survived_leaves_nothing_behind(run: Run) -> None:
    """The outermost step puts the rate back, even if an inner one never came to its end."""

    class Patient(Spy):
        def step(self, closure: Any = None) -> Any:
            try:
                super().step(closure)
            except RuntimeError:
                self.used.append(-1.0)

    _spy()
    optimizer = Patient([_parameter()], 0.1)
    _halved(run, optimizer)
    optimizer.fails = True
    optimizer.step()
    assert optimizer.used == [0.05, -1.0]
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_attached_twice_it_is_one_hook(run: Run) -> None:
    """The same hook comes back, and the rate is scaled once."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    assert attach(optimizer, run.directory) is hook
    optimizer.step()
    assert optimizer.used == [0.05]


def test_one_optimizer_has_one_directory(run: Run) -> None:
    """Two scales on one rate would be neither."""
    optimizer = _spy()
    hook = run.attach(optimizer)
    with pytest.raises(ValueError, match="detach its hook first"):
        attach(optimizer, run.directory / "other")
    hook.detach()
    assert attach(optimizer, run.directory / "other") is not hook


def test_a_closed_hook_gives_way_to_a_new_one(run: Run) -> None:
    """After `close`, or after its client was closed, the optimizer can be attached again."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.step()
    hook.client.close()
    again = attach(optimizer, run.directory)
    assert again is not hook
    optimizer.step()
    again.close()
    optimizer.step()
    assert optimizer.used == [0.05, 0.05, 0.1]


def test_detached_it_leaves_the_optimizer_as_it_was(run: Run) -> None:
    """No hook stays, and no scaled rate."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    hook.detach()
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_state_dict_post_hooks


def test_a_tensor_that_all_groups_share_is_scaled_once(run: Run) -> None:
    """Torch puts one default tensor into every group; a second factor would be a square."""
    rate = torch.tensor(0.1)
    optimizer = Spy([{"params": [_parameter()]}, {"params": [_parameter()]}], rate)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"]
    hook = _halved(run, optimizer)
    optimizer.step()
    assert optimizer.used == [pytest.approx(0.05)]
    assert float(rate) == pytest.approx(0.1)
    assert hook.lr == pytest.approx([0.05, 0.05])


def test_a_tensor_that_wants_a_gradient_is_scaled_as_well(run: Run) -> None:
    """Writing in place is not recorded."""
    rate = torch.tensor(0.1, requires_grad=True)
    optimizer = _spy(rate)
    _halved(run, optimizer)
    optimizer.step()
    assert optimizer.used == [pytest.approx(0.05)]
    assert float(rate.detach()) == pytest.approx(0.1)
    assert rate.requires_grad


class Wrapper(torch.optim.Optimizer):
    """Like Accelerate's: an optimizer by class, whose own parts were never made."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def step(self, closure: Any = None) -> Any:
        """Step what is inside."""
        return self.optimizer.step(closure)


def test_a_wrapper_is_seen_through(run: Run) -> None:
    """The hook goes into the optimizer whose step does the work, and two wrappings share it."""
    optimizer = _spy()
    wrapper = Wrapper(Wrapper(optimizer))
    hook = _halved(run, wrapper)
    assert attach(optimizer, run.directory) is hook
    wrapper.step()
    assert optimizer.used == [0.05]


@pytest.mark.parametrize("thing", [object(), None, 7])
def test_what_has_no_hooks_is_refused(run: Run, thing: object) -> None:
    """Attaching to something else is a TypeError at once."""
    with pytest.raises(TypeError, match="step hooks"):
        attach(thing, run.directory)


def test_another_post_hook_finds_the_scripts_rate(run: Run) -> None:
    """A scheduler stepped in a post-hook that was there before is not misled."""
    optimizer = _spy()
    scheduler = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda _: 0.9)
    optimizer.register_step_post_hook(lambda *_: scheduler.step())
    _halved(run, optimizer)
    optimizer.step()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1 * 0.9 * 0.9
    assert optimizer.used == [0.1 * 0.5, 0.1 * 0.9 * 0.5]


@pytest.mark.parametrize("tensor", [False, True])
def test_a_checkpoint_never_holds_a_scaled_rate(run: Run, tensor: bool) -> None:
    """Neither taken during a step nor after one that raised."""
    optimizer = _spy(torch.tensor(0.1) if tensor else 0.1)
    _halved(run, optimizer)
    saved: list[Any] = []
    optimizer.register_step_pre_hook(lambda o, *_: saved.append(o.state_dict()))
    optimizer.step()
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    saved.append(optimizer.state_dict())
    rates = [float(state["param_groups"][0]["lr"]) for state in saved]
    assert rates == [pytest.approx(0.1)] * 3
    assert optimizer.used == [pytest.approx(0.05)] * 2


def test_loading_a_checkpoint_keeps_the_hook(run: Run) -> None:
    """`load_state_dict` puts other groups in; the next step scales them."""
    optimizer = _spy()
    _halved(run, optimizer)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 0.4
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step()
    optimizer.fails = False
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.used[-1] == 0.2
    assert optimizer.param_groups[0]["lr"] == 0.4


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_has_no_hook_until_it_is_attached(run: Run, how: str) -> None:
    """A copied optimizer uses the script's rate; attached, it shares the client."""
    optimizer = _sgd()
    hook = _halved(run, optimizer)
    twin = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))  # noqa: S301
    seen: list[float] = []
    again = attach(twin, run.directory)
    assert again is not hook
    assert again.client is hook.client
    twin.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    optimizer.step()
    twin.step()
    assert seen == [0.05]


def test_what_holds_a_hook_can_be_copied(run: Run) -> None:
    """A trainer that is copied as a whole, to keep the best so far, keeps the hook it has."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    trainer = {"optimizer": optimizer, "hook": hook, "client": hook.client}
    twin = copy.deepcopy(trainer)
    assert twin["hook"] is hook
    assert twin["client"] is hook.client
    assert twin["optimizer"] is not optimizer


def test_a_group_added_later_is_scaled_too(run: Run) -> None:
    """The groups are looked at in every step."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.add_param_group({"params": [_parameter()], "lr": 0.3})
    optimizer.step()
    assert hook.lr == [0.05, 0.15]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.3]


def test_a_rate_that_others_changed_within_the_step_is_theirs(run: Run) -> None:
    """It is left as they set it, and counted."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    optimizer.register_step_pre_hook(lambda o, *_: o.param_groups[0].update(lr=0.7))
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.7
    assert hook.overridden == 1


class Idle(torch.optim.SGD):
    """An optimizer that does not look at its rate."""

    def step(self, closure: Any = None) -> Any:
        """Do nothing."""


@pytest.mark.parametrize("rate", [None, "auto", 0, 3, Fraction(1, 3), float("nan"), torch.tensor([0.1, 0.2])])
def test_no_kind_of_rate_breaks_a_step(run: Run, rate: object) -> None:
    """What is no number is left alone, and every rate comes back as the object it was."""
    optimizer = Idle([_parameter()], 0.1)
    optimizer.param_groups[0]["lr"] = rate
    hook = _halved(run, optimizer)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert hook.client.rejections == {}
    assert len(hook.lr) == 1
    assert run.ack().scale == 0.5


def test_a_gradient_scaler_that_leaves_a_step_out_leaves_the_count(run: Run) -> None:
    """Only calls of step() count; a skipped one is none, and the scale is right at the next."""
    optimizer = _spy()
    hook = _halved(run, optimizer)
    for finite in (True, False, False, True):
        if finite:
            optimizer.step()
    assert optimizer.used == [0.05, 0.05]
    assert hook.state_dict()["step"] == 1


def test_a_torch_gradient_scaler_steps_through_the_hook(run: Run) -> None:
    """With an infinite gradient no step is made and no rate is touched."""
    parameter = _parameter()
    optimizer = torch.optim.SGD([parameter], 0.1)
    hook = _halved(run, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for value in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale((parameter * value).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert hook.state_dict()["step"] == 1
    assert torch.allclose(parameter, torch.full((2,), 1.0 - 2 * 0.05))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_several_optimizers_share_one_count(run: Run) -> None:
    """The first takes the steps of the client; when it is gone the next one does."""
    first, second = _spy(), _spy(0.2)
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    hook = run.attach(first)
    other = attach(second, run.directory)
    assert other.client is hook.client
    for _ in range(6):
        first.step()
        second.step()
    assert first.used[5] == pytest.approx(0.05)
    assert second.used[5] == pytest.approx(0.1)
    hook.detach()
    for _ in range(5):
        second.step()
    assert second.used[-1] == 0.05


def test_told_steps_drive_the_plan(run: Run) -> None:
    """With `hook.step` the plan moves with the loop's steps, not with the optimizer's."""
    optimizer = _spy()
    hook = run.attach(optimizer)
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    for step in (0, 5, 5, 10):
        hook.step(step)
        optimizer.step()
        optimizer.step()
    assert optimizer.used == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025])
    run.later(11)
    optimizer.step()
    assert (run.ack().step, run.ack().step_axis) == (10, "global")


def test_an_optimizer_that_has_stepped_resumes_the_training(run: Run) -> None:
    """A loaded optimizer state is a word that this is no new training."""
    optimizer = torch.optim.Adam([_parameter()], 0.1)
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    run.attach(optimizer)
    optimizer.step()
    name = run.ack().training_id
    state = optimizer.state_dict()
    run.crash()
    again = torch.optim.Adam([_parameter()], 0.1)
    hook = run.attach(again)
    again.load_state_dict(state)
    again.step()
    assert run.ack().training_id == name
    assert hook.scale == 0.5


@pytest.mark.parametrize("name", ["Adagrad", "Adam", "SGD"])
def test_an_optimizer_that_has_not_stepped_starts_a_new_training(run: Run, name: str) -> None:
    """Adagrad fills its state in when it is made; that is no step."""
    names = set()
    for _ in range(2):
        optimizer = getattr(torch.optim, name)([_parameter()], 0.1)
        run.attach(optimizer)
        optimizer.step()
        names.add(run.ack().training_id)
        run.crash()
    assert len(names) == 2


def test_the_state_goes_through_a_torch_checkpoint(run: Run, tmp_path: Any) -> None:
    """`hook.state_dict()` is plain enough for weights_only loading, and continues the ramp."""
    optimizer = _spy()
    hook = run.attach(optimizer)
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    for _ in range(5):
        optimizer.step()
    torch.save({"lrwatch": hook.state_dict()}, tmp_path / "checkpoint.pt")
    name = hook.client.training_id
    run.crash()
    again = _spy()
    hook = run.attach(again)
    hook.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["lrwatch"])
    again.step()
    assert hook.client.training_id == name
    assert again.used == pytest.approx([0.05])


def test_requests_come_through_the_hook(run: Run) -> None:
    """Restore and stop are flags that a loop looks at."""
    optimizer = _spy()
    hook = run.attach(optimizer)
    hook.step(100)
    optimizer.step()
    run.publish(2, request=Request(2, "restore", before_step=90))
    run.later()
    optimizer.step()
    assert hook.restore_requested
    assert hook.request.before_step == 90
    hook.restored(80)
    run.publish(3, request=Request(3, "stop"))
    run.later()
    optimizer.step()
    assert hook.stop_requested
    assert run.ack().request_id == 3


def test_a_mistake_of_our_own_costs_an_unscaled_step_at_most(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the hook, the optimizer steps with the script's rate."""
    optimizer = _spy()
    hook = _halved(run, optimizer)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Hook, "_apply", broken)
    optimizer.step()
    assert optimizer.used == [0.1]
    assert hook.lr == [0.1]
    assert hook.client.rejections == {"defect": 1}


@pytest.mark.usefixtures("run")
def test_disabled_the_hook_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """LRWATCH_DISABLE=1 needs no directory, and attaching twice is still one hook."""
    monkeypatch.setenv("LRWATCH_DISABLE", "1")
    optimizer = _spy()
    hook = attach(optimizer)
    assert attach(optimizer) is hook
    optimizer.step()
    assert (optimizer.used, hook.scale) == ([0.1], 1.0)


def test_another_rank_takes_its_number_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """RANK and WORLD_SIZE are what torchrun sets; only rank 0 acknowledges."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    optimizer = _spy()
    attach(optimizer, run.directory).step(0)
    optimizer.step()
    assert not run.ack_path.exists()
    monkeypatch.setenv("RANK", "0")
    other = _spy()
    run.directory = run.directory / "other"
    attach(other, run.directory)
    other.step()
    assert run.ack().world_size == 2


def test_hook_and_client_end_with_their_optimizer(run: Run) -> None:
    """Nothing keeps them alive, so that a script that runs twice has two trainings."""
    optimizer = _spy()
    hook = attach(optimizer, run.directory)
    optimizer.step()
    client = weakref.ref(hook.client)
    del optimizer, hook
    gc.collect()
    assert client() is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tensor", [False, True])
def test_a_compiled_step_calls_the_hook_every_time(run: Run, tensor: bool) -> None:
    """A compiler does not trace into the hook: the clock is read and the scale is new in every step."""
    torch._dynamo.reset()
    optimizer = torch.optim.SGD([_parameter()], torch.tensor(0.1) if tensor else 0.1, foreach=True)
    hook = run.attach(optimizer)
    step = torch.compile(optimizer.step, backend="eager")
    run.publish(1, plan=ramp(1, to=0.25, steps=10))
    for _ in range(20):
        step()
    assert hook.scale == 0.25
    assert hook.state_dict()["step"] == 19
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.1)
    plain = [0.1 * ramp(1, to=0.25, steps=10).scale_at(t) for t in range(20)]
    assert torch.allclose(optimizer.param_groups[0]["params"][0], torch.full((2,), 1.0 - sum(plain)), atol=1e-5)
