"""Under the hook, schedulers and optimizers do exactly what they do without it, at another rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from lrwatch.protocol import ramp

if TYPE_CHECKING:
    from tests.unit.client.conftest import Run

schedules = torch.optim.lr_scheduler

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda n: 0.95**n),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 20),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.9),
    "MultiplicativeLR": lambda o: schedules.MultiplicativeLR(o, lambda _: 0.93),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, [0.1, 0.01], total_steps=31),
    "StepLR": lambda o: schedules.StepLR(o, 4, 0.5),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.01, 0.1, step_size_up=5, cycle_momentum=False),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 7),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, patience=2),
    "SequentialLR": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, 0.1, 1.0, 5), schedules.ExponentialLR(o, 0.9)], [5]
    ),
    "ChainedScheduler": lambda o: schedules.ChainedScheduler(
        [schedules.LinearLR(o, 0.5, 1.0, 5), schedules.ExponentialLR(o, 0.9)]
    ),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 25, 2.0),
}


def _model() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(3, 3)), torch.nn.Parameter(torch.randn(3))]


def _rate(value: float, tensor: bool) -> Any:
    return torch.tensor(value) if tensor else value


def _train(
    run: Run | None, make: Callable[[Optimizer], Any], tensor: bool
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the groups' rates after each of 30 steps, and those that each step used."""
    first, second = _model()
    optimizer = torch.optim.SGD(
        [{"params": [first], "lr": _rate(0.1, tensor)}, {"params": [second], "lr": _rate(0.01, tensor)}],
        momentum=0.9,
    )
    scheduler = make(optimizer)
    hook = None if run is None else run.attach(optimizer)
    used: list[list[float]] = []
    after: list[list[float]] = []
    optimizer.register_step_pre_hook(lambda o, *_: used.append([float(group["lr"]) for group in o.param_groups]))
    for step in range(30):
        if run is not None and step in (8, 20):
            run.publish(step, plan=ramp(step, to=0.5 if step == 8 else 2.0, steps=0))
            run.later()
        for parameter in (first, second):
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        if hook is not None:
            assert hook.lr == pytest.approx(used[-1], rel=1e-6)
        scheduler.step(*((1.0,) if isinstance(scheduler, schedules.ReduceLROnPlateau) else ()))
        after.append([float(group["lr"]) for group in optimizer.param_groups])
    return after, used


@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch")
def test_a_scheduler_never_sees_the_scale(run: Run, name: str, tensor: bool) -> None:
    """The script's rates are bit for bit those without a hook, and each step used them times the scale."""
    plain, plain_used = _train(None, SCHEDULERS[name], tensor)
    hooked, hooked_used = _train(run, SCHEDULERS[name], tensor)
    assert hooked == plain
    for step, (base, used) in enumerate(zip(plain_used, hooked_used, strict=True)):
        scale = 1.0 if step < 8 else 0.5 if step < 20 else 2.0
        assert used == pytest.approx([scale * rate for rate in base], rel=1e-6)


OPTIMIZERS: dict[str, Callable[[list[Tensor], Any], Optimizer]] = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=0.01),
    "SGD fused": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, fused=True),
    "Adam": lambda p, lr: torch.optim.Adam(p, lr),
    "AdamW foreach": lambda p, lr: torch.optim.AdamW(p, lr, foreach=True),
    "AdamW loop": lambda p, lr: torch.optim.AdamW(p, lr, foreach=False),
    "AdamW fused": lambda p, lr: torch.optim.AdamW(p, lr, fused=True),
    "Adagrad": lambda p, lr: torch.optim.Adagrad(p, lr),
    "RMSprop": lambda p, lr: torch.optim.RMSprop(p, lr),
    "Rprop": lambda p, lr: torch.optim.Rprop(p, lr),
    "NAdam": lambda p, lr: torch.optim.NAdam(p, lr),
    "Adamax": lambda p, lr: torch.optim.Adamax(p, lr),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_moves_as_with_the_scaled_rate_itself(run: Run, name: str) -> None:
    """Five steps at scale 1/2 give the very weights of five steps at half the rate."""
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    results = []
    for rate, watched in ((0.05, False), (0.1, True)):
        parameters = _model()
        optimizer = OPTIMIZERS[name](parameters, rate)
        if watched:
            run.attach(optimizer)
        for step in range(5):
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, 0.1 * (step + 1))
            optimizer.step()
        results.append(parameters)
    assert all(torch.equal(plain, hooked) for plain, hooked in zip(*results, strict=True))


@pytest.mark.parametrize("name", ["AdamW fused", "AdamW loop"])
def test_a_tensor_rate_stays_the_same_object(run: Run, name: str) -> None:
    """Compiled and captured steps hold on to the tensor: it is scaled in place and put back in place."""
    run.publish(1, plan=ramp(1, to=0.5, steps=0))
    parameters = _model()
    rate = torch.tensor(0.1)
    optimizer = OPTIMIZERS[name](parameters, rate)
    run.attach(optimizer)
    seen: list[Any] = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append((o.param_groups[0]["lr"], float(rate))))
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert seen[0][0] is rate
    assert seen[0][1] == pytest.approx(0.05)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == torch.tensor(0.1)
