"""The learning rate of a torch-style optimizer, scaled for the length of each step and for nothing else.

Right before a step every group's learning rate is multiplied by the scale; right after it the very object that
stood there comes back. Between steps, in closures and in checkpoints the script's own rate stands, so that
schedulers, loggers and saved states never see a scaled one.

What to know:

- `param_groups[..]["lr"]`, `get_last_lr()` and what trainers log is the rate before the scale; `Hook.lr` is the
  one that was used. A decoupled weight decay (AdamW: lr x decay) scales with it.
- A copied or unpickled optimizer has no hooks: attach again. Loading a state keeps them.
- Counting counts calls of `step()`: `GradScaler` leaves some out, fused optimizers none.
- An exception inside `step()`, outside of a closure, leaves the scaled rate standing until the optimizer's next
  step, or `Hook.step`, undoes it; a checkpoint taken in between is right all the same.
- A captured CUDA graph replays the scale of its capture.
- In a job of several ranks see `lrwatch.client.client.Client`: each rank polls on its own, rank 0 acknowledges.

Nothing here imports torch: whatever has torch's step hooks will do.
"""

import numbers
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType
from typing import Any

from lrwatch.client.client import Client
from lrwatch.client.mailbox import Directory
from lrwatch.protocol import Request

Group = dict[str, Any]

_REAL = (float, int, numbers.Real)  # the abstract class last: it is slow to ask

_hooks: "weakref.WeakKeyDictionary[Any, Hook]" = weakref.WeakKeyDictionary()


def attach(
    optimizer: Any,
    directory: Directory | None = None,
    *,
    min_scale: float = 1e-3,
    max_scale: float = 1.0,
    poll_seconds: float = 0.5,
    total_steps: int | None = None,
) -> "Hook":
    """Let the control file of `directory` scale the learning rate of `optimizer`.

    Parameters
    ----------
    optimizer
        Torch's, or a wrapper around it (Accelerate's, DeepSpeed's). Attached twice, it has one hook.
    directory, min_scale, max_scale, poll_seconds, total_steps
        See `lrwatch.Client`. The rank and size of the job come from ``RANK`` and ``WORLD_SIZE``.

    Raises
    ------
    ValueError, TypeError
        The arguments cannot work, or the optimizer has no step hooks or another directory.
    """
    inner = _unwrapped(optimizer)
    client = Client(
        directory,
        min_scale=min_scale,
        max_scale=max_scale,
        poll_seconds=poll_seconds,
        total_steps=total_steps,
        optimizer=type(inner).__name__,
        rank=_from_environment("RANK", 0),
        world_size=max(1, _from_environment("WORLD_SIZE", 1)),
    )
    hook = _hooks.get(inner)
    if hook is not None and hook.client.closed:
        hook.detach()
        hook = None
    if hook is None:
        hook = _hooks[inner] = Hook(inner, client)
    elif hook.client.directory != client.directory:
        raise ValueError(f"this optimizer follows {hook.client.directory} already: detach its hook first")
    return hook


class Hook:
    """What `attach` gives: the hooks in one optimizer, and the client they ask.

    Several optimizers of one directory share a client; the first of them takes its steps.

    Attributes
    ----------
    client
        The client.
    overridden
        How often a learning rate was changed by others within a step, and left as they set it.
    """

    def __init__(self, optimizer: Any, client: Client) -> None:
        self.client = client
        self.overridden = 0
        self._optimizer = weakref.ref(optimizer)
        self._scale = 1.0
        self._rates: list[Any] = []  # what the groups held when the newest step began
        self._scaled: list[tuple[Group, Any, Any]] = []  # group, what stood there, what stands there meanwhile
        self._depth = 0
        self._started = False
        before, after = _opaque(self._before), _opaque(self._after)
        self._handles = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
        others: Any = getattr(optimizer, "_optimizer_step_post_hooks", None)
        if hasattr(others, "move_to_end"):  # a scheduler stepped by another post-hook must find its own rate
            others.move_to_end(self._handles[1].id, last=False)
        if hasattr(optimizer, "register_state_dict_post_hook"):
            self._handles.append(optimizer.register_state_dict_post_hook(self._saved))
        self._take_the_wheel()

    def step(self, global_step: int) -> None:
        """Name the global step of the optimizer steps that follow; best called right before each of them."""
        self._note_start()
        if self._depth and self._running() == 0:  # the newest optimizer step raised
            self._depth = 0
            self._restore()
        self.client.tell(global_step)

    @property
    def scale(self) -> float:
        """The scale of the newest step."""
        return self._scale

    @property
    def lr(self) -> list[float]:
        """The learning rate that each group's newest step used; NaN for a group without one."""
        return [_number(rate) * self._scale for rate in self._rates]

    @property
    def request(self) -> Request:
        """See `Client.request`."""
        return self.client.request

    @property
    def restore_requested(self) -> bool:
        """See `Client.restore_requested`."""
        return self.client.restore_requested

    @property
    def stop_requested(self) -> bool:
        """See `Client.stop_requested`."""
        return self.client.stop_requested

    def restored(self, step: int) -> None:
        """See `Client.restored`."""
        self.client.restored(step)

    def state_dict(self) -> dict[str, Any]:
        """See `Client.state_dict`."""
        return self.client.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Client.load_state_dict`."""
        self.client.load_state_dict(state)

    def detach(self) -> None:
        """Leave the optimizer as if there had never been a hook."""
        self._restore()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        optimizer = self._optimizer()
        if optimizer is not None and _hooks.get(optimizer) is self:
            del _hooks[optimizer]
        if self._drives():
            self.client.driver = self.client.base_rates = None

    def close(self) -> None:
        """End the training cleanly, and leave the optimizer."""
        self.client.close()
        self.detach()

    def __deepcopy__(self, _memo: dict[int, object]) -> "Hook":
        return self  # it belongs to its optimizer, and a copied optimizer has none

    def _before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            if self._depth:
                if self._running() > 1:  # a subclass's step() within which its base's step() runs the hooks again
                    self._depth += 1
                    return None
                self._restore()  # the step before this one raised
            self._depth = 1
            self._scale = scale = self._tick()
            groups = optimizer.param_groups
            self._rates = [group.get("lr") for group in groups]
            if scale == 1.0:
                return None
            self._apply(groups, scale)
            return _with_closure(args, kwargs, partial(self._closure, optimizer))
        except Exception:  # noqa: BLE001 - an unscaled step is better than none
            self.client.rejections["defect"] += 1
            self._restore()
            self._scale = 1.0
            return None

    def _after(self, _optimizer: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        if self._depth > 1 and self._running() > 1:
            self._depth -= 1
            return
        self._depth = 0
        if self._scaled:
            self._restore()

    def _tick(self) -> float:
        client = self.client
        driver = client.driver
        if driver is None or driver() is None:
            self._take_the_wheel()
        if not self._started:
            self._note_start()
        return client.scale() if self._drives() else client.last_scale

    def _drives(self) -> bool:
        driver = self.client.driver
        return driver is not None and driver() is self

    def _take_the_wheel(self) -> None:
        """Take the client's steps, unless another optimizer does."""
        client = self.client
        if client.driver is None or client.driver() is None:
            client.driver = weakref.ref(self)
            client.base_rates = partial(_base_rates, self._optimizer)

    def _note_start(self) -> None:
        """Tell the client whether the optimizer has made steps before its first one here."""
        if not self._started:
            self._started = True
            self.client.resumed = self.client.resumed or _has_stepped(self._optimizer())

    def _apply(self, groups: list[Group], scale: float) -> None:
        seen: set[int] = set()
        for group in groups:
            rate: Any = group.get("lr")
            if isinstance(rate, _REAL):
                scaled = rate * scale
                group["lr"] = scaled
                self._scaled.append((group, rate, scaled))
            elif _is_tensor(rate) and id(rate) not in seen:  # torch lets all groups share one tensor
                seen.add(id(rate))
                base: Any = rate.detach().clone()
                rate.detach().mul_(scale)  # in place: compiled and captured steps hold on to this object
                self._scaled.append((group, base, rate))

    def _restore(self) -> None:
        try:
            for group, base, scaled in self._scaled:
                rate = group.get("lr")
                if _is_tensor(scaled):
                    scaled.detach().copy_(base)
                    self.overridden += rate is not scaled
                elif _ours(rate, scaled):
                    group["lr"] = base
                else:
                    self.overridden += 1
        except Exception:  # noqa: BLE001 - whatever stands in a group must not end a training
            self.client.rejections["defect"] += 1
        finally:
            self._scaled.clear()

    def _closure(self, optimizer: Any, closure: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run the script's closure with the script's own rate, which stands as well if it raises."""
        self._restore()
        result = closure(*args, **kwargs)
        try:
            self._apply(optimizer.param_groups, self._scale)
        except Exception:  # noqa: BLE001 - as before the step
            self.client.rejections["defect"] += 1
            self._restore()
        return result

    def _saved(self, optimizer: Any, state: dict[str, Any]) -> None:
        """Put the script's own rate into a checkpoint that is taken during a step, or after one that raised."""
        pending = list(self._scaled)
        try:
            tensors = {id(scaled): base for _, base, scaled in pending if _is_tensor(scaled)}
            plain = {id(group): (base, scaled) for group, base, scaled in pending if not _is_tensor(scaled)}
            for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=False):
                rate = group.get("lr")
                if id(rate) in tensors:
                    saved["lr"] = tensors[id(rate)].clone()
                elif id(group) in plain and _ours(rate, plain[id(group)][1]):
                    saved["lr"] = plain[id(group)][0]
        except Exception:  # noqa: BLE001 - a checkpoint must be written whatever happens here
            self.client.rejections["defect"] += 1

    def _running(self) -> int:
        """Count the hooked `step()` calls of this optimizer on the stack; only for the rare cases."""
        optimizer = self._optimizer()
        frame: FrameType | None = sys._getframe(1)
        code, count = None, 0
        while frame is not None:
            if frame.f_locals.get("self") is optimizer and code in (None, frame.f_code):
                code, count = frame.f_code, count + 1
            frame = frame.f_back
        return count


def _unwrapped(optimizer: Any) -> Any:
    """Return the optimizer whose `step` runs the hooks: a wrapper may be an optimizer by class only."""
    inner = optimizer
    for _ in range(8):
        if "_optimizer_step_pre_hooks" in getattr(inner, "__dict__", {}):
            return inner
        inner = getattr(inner, "optimizer", None) or getattr(inner, "_optimizer", None)
    raise TypeError(f"{type(optimizer).__name__} has no optimizer with torch's step hooks in it")


def _opaque(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a compiler from tracing into `hook`, where it would find a clock and a file."""
    disable = getattr(getattr(sys.modules.get("torch"), "compiler", None), "disable", None)
    return hook if disable is None else disable(hook)


def _with_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], wrapper: Callable[..., Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the arguments of `step()` with its closure wrapped; None if it has none."""
    if len(args) > 1:
        return None if not callable(args[1]) else ((args[0], partial(wrapper, args[1]), *args[2:]), kwargs)
    closure = kwargs.get("closure")
    return None if not callable(closure) else (args, {**kwargs, "closure": partial(wrapper, closure)})


def _has_stepped(optimizer: Any) -> bool:
    """Say whether the optimizer's state stems from steps; some fill it in when they are made."""
    for entry in getattr(optimizer, "state", {}).values():
        step = entry.get("step") if isinstance(entry, Mapping) else None
        if step is None or float(step) > 0:
            return True
    return False


def _base_rates(reference: Callable[[], Any]) -> tuple[float, ...]:
    """Return the groups' rates, or none where a device would have to be waited for."""
    rates = [group.get("lr") for group in getattr(reference(), "param_groups", ())]
    if any(_is_tensor(rate) and getattr(getattr(rate, "device", None), "type", "cpu") != "cpu" for rate in rates):
        return ()
    return tuple(_number(rate) for rate in rates)


def _number(rate: Any) -> float:
    try:
        return float(rate) if isinstance(rate, _REAL) or _is_tensor(rate) else float("nan")
    except (TypeError, ValueError, RuntimeError):  # a tensor of several elements
        return float("nan")


def _is_tensor(rate: Any) -> bool:
    return hasattr(rate, "copy_") and hasattr(rate, "detach")


def _ours(rate: Any, scaled: Any) -> bool:
    return rate is scaled or (isinstance(rate, _REAL) and bool(rate == scaled))


def _from_environment(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default
