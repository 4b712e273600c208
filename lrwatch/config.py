"""The configuration: every table and key of lrwatch.toml, with its default and its allowed range.

A run with no configuration works. A key that is not listed here is an error, and so is a value out of range:
a typing mistake must never silently leave a default in place.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lrwatch.errors import ConfigError, ProtocolError
from lrwatch.protocol.plan import MAX_SCALE, MIN_SCALE, Plan, plan_from_json

Mode = Literal["auto", "approve", "advise"]
Profile = Literal["gentle", "standard", "explore"]

ACTIONS_BY_PROFILE: Mapping[Profile, int] = {"gentle": 3, "standard": 8, "explore": 64}


def _within(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """``[watch]``: how the daemon looks.

    Parameters
    ----------
    poll_seconds
        Seconds between two looks at the files; a file notification only shortens the wait.
    discover_seconds
        Seconds between two searches for new runs and files.
    beat_seconds
        Seconds between two rewrites of an unchanged control file: the sign of life for clients.
    mode
        ``auto`` applies, ``approve`` waits for a person, ``advise`` only says.
    """

    poll_seconds: float = _within(0.5, 0.01, 3600.0)
    discover_seconds: float = _within(2.0, 0.05, 3600.0)
    beat_seconds: float = _within(5.0, 0.1, 10.0)
    mode: Mode = "auto"


@dataclass(frozen=True, slots=True)
class SignalsConfig:
    """``[signals]``: names or globs of tags for each role; what is listed here wins over the guess by name.

    Parameters
    ----------
    decide_on
        The signal whose verdicts may change the learning rate; None picks one (evaluation is not preferred:
        it is sparse, and the training loss shows a learning rate first).
    steps_per_epoch
        For logs that count epochs; None where steps are logged.
    """

    train: tuple[str, ...] = ()
    eval: tuple[str, ...] = ()
    lr: tuple[str, ...] = ()
    grad_norm: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    maximize: tuple[str, ...] = ()
    decide_on: str | None = None
    steps_per_epoch: int | None = _within(None, 1, 1e12)


@dataclass(frozen=True, slots=True)
class PlateauConfig:
    """``[detect.plateau]``.

    Parameters
    ----------
    gain
        A doubling of the time spent at this learning rate must promise less than this share of the loss: what
        a cut of the learning rate buys on real language models is 1.5 to 2.4 % of the loss.
    min_records
        Records at one learning rate before the first verdict.
    """

    enabled: bool = True
    gain: float = _within(0.02, 1e-6, 1.0)
    min_records: int = _within(256, 32, 1e9)


@dataclass(frozen=True, slots=True)
class DivergenceConfig:
    """``[detect.divergence]``.

    Parameters
    ----------
    nonfinite_records
        So many NaN or infinite records in a row are a critical divergence; fewer are counted only.
    sigmas
        Standard errors by which the present level must lie above the best one.
    min_records
        Records before the first verdict about finite values.
    """

    enabled: bool = True
    nonfinite_records: int = _within(3, 1, 1e6)
    sigmas: float = _within(6.0, 1.0, 100.0)
    min_records: int = _within(24, 16, 1e9)


@dataclass(frozen=True, slots=True)
class OscillationConfig:
    """``[detect.oscillation]``.

    Parameters
    ----------
    threshold
        The autocorrelation that a half, a whole and one and a half periods must all show. Under noise alone
        (white to AR(0.98), 64 blocks) it stays below 0.51 in 999 of 1,000 looks; two looks must agree.
    """

    enabled: bool = True
    threshold: float = _within(0.5, 0.3, 0.99)


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """``[detect.<kind>]``: one table per verdict."""

    plateau: PlateauConfig = PlateauConfig()
    divergence: DivergenceConfig = DivergenceConfig()
    oscillation: OscillationConfig = OscillationConfig()


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """``[policy]``: what may be done about a verdict.

    Parameters
    ----------
    factor
        What a plateau multiplies the scale with; None: 0.3 for SGD, 0.5 for adaptive or unknown optimizers.
    min_scale, max_scale
        Bounds of the scale; a raise above 1 needs `max_scale` here and in the training script.
    cooldown_steps
        Training steps between two actions; None: a tenth of the steps so far (a cut shows its peak gain after
        6 to 12 % of them).
    max_actions
        Actions in one training; None: 3, 8 or 64 by profile.
    total_steps
        The planned length of the training in steps, if known.
    warmup_steps
        No action before this step; None: none while the logged learning rate has been rising from its start.
    allow_restore, allow_stop
        Whether the watcher may ask the script to go back to a checkpoint, or to stop.
    """

    profile: Profile = "standard"
    factor: float | None = _within(None, 0.01, 0.99)
    min_scale: float = _within(1e-3, MIN_SCALE, 1.0)
    max_scale: float = _within(1.0, MIN_SCALE, MAX_SCALE)
    cooldown_steps: int | None = _within(None, 0, 1e12)
    max_actions: int | None = _within(None, 0, 1e6)
    total_steps: int | None = _within(None, 1, 1e15)
    warmup_steps: int | None = _within(None, 0, 1e12)
    allow_restore: bool = True
    allow_stop: bool = False

    @property
    def budget(self) -> int:
        """Actions in one training."""
        return ACTIONS_BY_PROFILE[self.profile] if self.max_actions is None else self.max_actions


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """``[serve]``: the HTTP side.

    Parameters
    ----------
    listen
        HOST:PORT; port 0 takes a free one.
    """

    listen: str = "127.0.0.1:9877"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; `schedule` is the base plan of ``[schedule]``, None for the script's own."""

    watch: WatchConfig = WatchConfig()
    signals: SignalsConfig = SignalsConfig()
    detect: DetectConfig = DetectConfig()
    policy: PolicyConfig = PolicyConfig()
    schedule: Plan | None = None
    serve: ServeConfig = ServeConfig()


def load_config(path: Path) -> Config:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        Naming the file, the key, the value and what would be right.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {why}") from error
    except (ValueError, RecursionError) as error:  # a ValueError too for an integer of thousands of digits
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return parse_config(tables, str(path))


def parse_config(tables: Mapping[str, Any], where: str = "config") -> Config:
    """Turn nested tables into a `Config`; raises `ConfigError` as `load_config` does."""
    rest = dict(tables)
    schedule = rest.pop("schedule", None)
    config: Config = _build(Config, rest, where, "")
    if schedule is not None:
        config = dataclasses.replace(config, schedule=_schedule(schedule, where))
    if config.policy.min_scale > config.policy.max_scale:
        raise ConfigError(
            f"{where}: policy.min_scale = {config.policy.min_scale} lies above "
            f"policy.max_scale = {config.policy.max_scale}"
        )
    split_listen(config.serve.listen, f"{where}: serve.listen")
    return config


def split_listen(listen: str, where: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 host stands in brackets. Raises `ConfigError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"{where} = {listen!r} must be HOST:PORT with a port from 0 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _schedule(table: object, where: str) -> Plan:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: schedule must be a table")
    unknown = sorted(set(table) - {"segments", "repeat_from"})
    if unknown:
        raise ConfigError(f"{where}: unknown key schedule.{unknown[0]}; known: segments, repeat_from")
    try:
        return plan_from_json({"id": 0, "start_step": 0, **table}, "schedule")
    except ProtocolError as error:
        raise ConfigError(f"{where}: {error}") from error


def _build(kind: type[Any], table: object, where: str, prefix: str) -> Any:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {prefix.rstrip('.') or 'the file'} must be a table, not {table!r}")
    fields = {entry.name: entry for entry in dataclasses.fields(kind) if entry.name != "schedule"}
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in table.items():
        if key not in fields:
            known = ", ".join(sorted(fields) + (["schedule"] if kind is Config else []))
            close = difflib.get_close_matches(key, fields, 1)
            meant = f" (did you mean {prefix}{close[0]}?)" if close else ""
            raise ConfigError(f"{where}: unknown key {prefix}{key}; known: {known}{meant}")
        if dataclasses.is_dataclass(hints[key]):
            values[key] = _build(typing.cast("type[Any]", hints[key]), value, where, f"{prefix}{key}.")
        else:
            values[key] = _value(hints[key], fields[key].metadata, value, f"{where}: {prefix}{key}")
    return kind(**values)


def _value(hint: Any, limits: Mapping[str, float], value: object, name: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise ConfigError(f"{name} = {value!r} must be one of {', '.join(allowed)}")
        return value
    if hint is bool:
        return _of_type(value, bool, "true or false", name)
    if hint is str:
        return _of_type(value, str, "a string", name)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name} = {value!r} must be a list of strings")
        return tuple(value)
    wanted = "an integer" if hint is int else "a number"
    if isinstance(value, bool) or not isinstance(value, int if hint is int else int | float):
        raise ConfigError(f"{name} = {value!r} must be {wanted}")
    if not limits["low"] <= value <= limits["high"]:
        raise ConfigError(f"{name} = {value!r} must lie in [{limits['low']:g}, {limits['high']:g}]")
    return hint(value)


def _of_type(value: object, kind: type[Any], wanted: str, name: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigError(f"{name} = {value!r} must be {wanted}")
    return value
