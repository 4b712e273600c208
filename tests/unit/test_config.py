"""The configuration file: defaults, ranges, and what an error says."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrwatch.config import Config, load_config, parse_config, split_listen
from lrwatch.errors import ConfigError
from lrwatch.protocol import Plan, Segment

DEFAULTS: dict[str, Any] = {
    "watch.poll_seconds": 0.5,
    "watch.discover_seconds": 2.0,
    "watch.beat_seconds": 5.0,
    "watch.mode": "auto",
    "signals.train": (),
    "signals.eval": (),
    "signals.lr": (),
    "signals.grad_norm": (),
    "signals.ignore": (),
    "signals.maximize": (),
    "signals.decide_on": None,
    "signals.steps_per_epoch": None,
    "detect.plateau.enabled": True,
    "detect.plateau.gain": 0.02,
    "detect.plateau.min_records": 256,
    "detect.divergence.enabled": True,
    "detect.divergence.nonfinite_records": 3,
    "detect.divergence.sigmas": 6.0,
    "detect.divergence.min_records": 24,
    "detect.oscillation.enabled": True,
    "detect.oscillation.threshold": 0.5,
    "policy.profile": "standard",
    "policy.factor": None,
    "policy.min_scale": 1e-3,
    "policy.max_scale": 1.0,
    "policy.cooldown_steps": None,
    "policy.max_actions": None,
    "policy.total_steps": None,
    "policy.warmup_steps": None,
    "policy.allow_restore": True,
    "policy.allow_stop": False,
    "serve.listen": "127.0.0.1:9877",
}

RANGES: dict[str, tuple[float, float]] = {
    "watch.poll_seconds": (0.01, 3600.0),
    "watch.discover_seconds": (0.05, 3600.0),
    "watch.beat_seconds": (0.1, 10.0),
    "signals.steps_per_epoch": (1, 1e12),
    "detect.plateau.gain": (1e-6, 1.0),
    "detect.plateau.min_records": (32, 1e9),
    "detect.divergence.nonfinite_records": (1, 1e6),
    "detect.divergence.sigmas": (1.0, 100.0),
    "detect.divergence.min_records": (16, 1e9),
    "detect.oscillation.threshold": (0.3, 0.99),
    "policy.factor": (0.01, 0.99),
    "policy.min_scale": (1e-6, 1.0),
    "policy.max_scale": (1e-6, 1e6),
    "policy.cooldown_steps": (0, 1e12),
    "policy.max_actions": (0, 1e6),
    "policy.total_steps": (1, 1e15),
    "policy.warmup_steps": (0, 1e12),
}

INTEGERS = {"steps_per_epoch", "min_records", "nonfinite_records", "cooldown_steps", "max_actions", "total_steps"} | {
    "warmup_steps"
}

WRONG: dict[str, tuple[object, str]] = {
    **dict.fromkeys(RANGES, ("1", "must be a")),
    "watch.mode": ("manual", "must be one of auto, approve, advise"),
    "policy.profile": (3, "must be one of gentle, standard, explore"),
    **{
        f"signals.{role}": ("loss", "must be a list of strings")
        for role in ("train", "eval", "lr", "grad_norm", "ignore", "maximize")
    },
    "signals.decide_on": (["loss"], "must be a string"),
    **{f"detect.{kind}.enabled": (1, "must be true or false") for kind in ("plateau", "divergence", "oscillation")},
    "policy.allow_restore": ("yes", "must be true or false"),
    "policy.allow_stop": (0, "must be true or false"),
    "serve.listen": (9877, "must be a string"),
}


def tables(key: str, value: object) -> dict[str, Any]:
    """Return the nested tables that set one dotted key."""
    *path, last = key.split(".")
    nested: dict[str, Any] = {last: value}
    for name in reversed(path):
        nested = {name: nested}
    return nested


def leaves(config: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of a configuration with its value."""
    for entry in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}", value


def found(config: Config, key: str) -> Any:
    """Return the value at a dotted key."""
    return dict(leaves(config))[key]


def at_limit(key: str, limit: float) -> float | int:
    """Return a limit as its key wants it."""
    return int(limit) if key.rpartition(".")[2] in INTEGERS else limit


def test_every_key_has_a_default() -> None:
    """An empty file is a whole configuration, and this is all of it."""
    assert dict(leaves(parse_config({}))) == {**DEFAULTS, "schedule": None}


@pytest.mark.parametrize("key", RANGES)
def test_both_ends_of_a_range_are_allowed(key: str) -> None:
    """A number may lie at either end of its range."""
    for limit in RANGES[key]:
        value = at_limit(key, limit)
        more = {"max_scale": 1.0} if key == "policy.min_scale" else {"min_scale": 1e-6}
        nested = tables(key, value)
        if key.endswith("_scale"):
            nested["policy"] |= more
        assert found(parse_config(nested), key) == value


@pytest.mark.parametrize("key", RANGES)
def test_beyond_a_range_is_an_error_that_names_everything(key: str) -> None:
    """The message names the file, the key, the value and the allowed range."""
    low, high = RANGES[key]
    for value in (at_limit(key, low) - 1, at_limit(key, high) * 2, -(10**30)):
        with pytest.raises(ConfigError) as caught:
            parse_config(tables(key, value), "my.toml")
        assert str(caught.value) == f"my.toml: {key} = {value!r} must lie in [{low:g}, {high:g}]"


@pytest.mark.parametrize("key", [key for key in RANGES if key.rpartition(".")[2] not in INTEGERS])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite(key: str, value: float) -> None:
    """NaN and infinities are outside of every range."""
    with pytest.raises(ConfigError, match="must lie in"):
        parse_config(tables(key, value))


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_type_is_an_error(key: str) -> None:
    """A value of another type is never bent into the right one."""
    value, says = WRONG[key]
    with pytest.raises(ConfigError) as caught:
        parse_config(tables(key, value), "my.toml")
    assert str(caught.value).startswith(f"my.toml: {key} = {value!r} {says}")


def test_every_key_is_in_one_of_the_tables_above() -> None:
    """A key that is added is also tested for its type."""
    assert set(WRONG) == set(DEFAULTS)


@pytest.mark.parametrize("key", [key for key in RANGES if key.rpartition(".")[2] in INTEGERS])
@pytest.mark.parametrize("value", [100.5, True])
def test_an_integer_is_neither_a_fraction_nor_a_truth(key: str, value: object) -> None:
    """Where a count is wanted, 100.5 and true are mistakes."""
    with pytest.raises(ConfigError, match="must be an integer"):
        parse_config(tables(key, value))


def test_an_integer_will_do_for_a_number() -> None:
    """Whoever writes 1 where 1.0 is meant is understood."""
    assert parse_config({"watch": {"poll_seconds": 1}}).watch.poll_seconds == 1.0


@pytest.mark.parametrize(
    ("nested", "says"),
    [
        ({"wacth": {}}, "unknown key wacth; known: detect, policy, serve, signals, watch, schedule"),
        ({"watch": {"pol": 1}}, "unknown key watch.pol; known: beat_seconds, discover_seconds, mode, poll_seconds"),
        ({"detect": {"spik": {}}}, "unknown key detect.spik; known: divergence, oscillation, plateau"),
        ({"detect": {"plateau": {"x": 1}}}, "unknown key detect.plateau.x; known: enabled, gain, min_records"),
        ({"schedule": {"segment": []}}, "unknown key schedule.segment; known: segments, repeat_from"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_known_ones(nested: dict[str, Any], says: str) -> None:
    """A typing mistake never leaves a default in place in silence."""
    with pytest.raises(ConfigError) as caught:
        parse_config(nested, "my.toml")
    assert str(caught.value).startswith(f"my.toml: {says}")


@pytest.mark.parametrize("nested", [{"watch": 3}, {"detect": {"plateau": []}}, {"schedule": "cosine"}])
def test_a_table_must_be_a_table(nested: dict[str, Any]) -> None:
    """A value where a table belongs is an error."""
    with pytest.raises(ConfigError, match="must be a table"):
        parse_config(nested)


def test_the_bounds_of_the_scale_must_not_cross() -> None:
    """A lower bound above the upper one leaves no scale to go to."""
    with pytest.raises(ConfigError, match=r"policy.min_scale = 0.5 lies above policy.max_scale = 0.1"):
        parse_config({"policy": {"min_scale": 0.5, "max_scale": 0.1}})


def test_lists_of_names() -> None:
    """Roles take lists of strings, and nothing else in them."""
    assert parse_config({"signals": {"train": ["a", "b*"]}}).signals.train == ("a", "b*")
    with pytest.raises(ConfigError, match="must be a list of strings"):
        parse_config({"signals": {"train": ["a", 1]}})


def test_the_schedule_is_a_plan_from_step_zero() -> None:
    """The base schedule begins with the training and is spelt as in the control file."""
    segments = [{"shape": "cosine", "from": 1.0, "to": 0.1, "steps": 1000}]
    config = parse_config({"schedule": {"segments": segments, "repeat_from": 0}})

    assert config.schedule == Plan(0, (Segment("cosine", 1.0, 0.1, 1000),), start_step=0, repeat_from=0)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({}, "schedule.segments must be a list"),
        ({"segments": []}, "schedule.segments must be a list"),
        ({"segments": [{"shape": "sine", "from": 1, "to": 2, "steps": 3}]}, "schedule.segments[0].shape must be one"),
        ({"segments": [{"shape": "linear", "from": 1.0, "to": 1e9, "steps": 3}]}, "schedule.segments[0].to"),
        ({"segments": [{"shape": "linear", "from": None, "to": 0.5, "steps": 3}]}, "schedule.segments[0].from"),
        ({"segments": [{"shape": "constant", "from": 1.0, "steps": 0}], "repeat_from": 0}, "have no steps"),
        ({"segments": [{"shape": "constant", "from": 1.0, "steps": 0}], "repeat_from": 7}, "schedule.repeat_from"),
    ],
)
def test_a_schedule_that_is_no_plan_is_an_error(schedule: dict[str, Any], says: str) -> None:
    """The error names the place within the schedule."""
    with pytest.raises(ConfigError) as caught:
        parse_config({"schedule": schedule}, "my.toml")
    assert str(caught.value).startswith("my.toml: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "split"),
    [
        ("127.0.0.1:9877", ("127.0.0.1", 9877)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),  # noqa: S104 - nothing is bound
    ],
)
def test_host_and_port(listen: str, split: tuple[str, int]) -> None:
    """HOST:PORT is split at the last colon; an IPv6 host stands in brackets."""
    assert split_listen(listen, "here") == split
    assert parse_config({"serve": {"listen": listen}}).serve.listen == listen


@pytest.mark.parametrize(
    "listen", ["", ":", "9877", "host", "host:", ":9877", "host:65536", "host:-1", "host:٣", "h:1x"]
)
def test_what_is_no_host_and_port(listen: str) -> None:
    """Anything else is an error that shows it."""
    with pytest.raises(ConfigError) as caught:
        split_listen(listen, "here")
    assert str(caught.value) == f"here = {listen!r} must be HOST:PORT with a port from 0 to 65535"
    with pytest.raises(ConfigError, match=r"serve\.listen"):
        parse_config({"serve": {"listen": listen}})


@pytest.mark.parametrize(("profile", "budget"), [("gentle", 3), ("standard", 8), ("explore", 64)])
def test_the_budget_follows_the_profile(profile: str, budget: int) -> None:
    """How many actions there may be is decided by the profile, unless it is said."""
    assert parse_config({"policy": {"profile": profile}}).policy.budget == budget
    assert parse_config({"policy": {"profile": profile, "max_actions": 5}}).policy.budget == 5
    assert parse_config({"policy": {"profile": profile, "max_actions": 0}}).policy.budget == 0


def test_a_file(tmp_path: Path) -> None:
    """A TOML file is read as its tables say."""
    path = tmp_path / "lrwatch.toml"
    path.write_text('[policy]\nprofile = "gentle"\nfactor = 0.1\n[signals]\ntrain = ["ä*"]\n', encoding="utf-8")

    config = load_config(path)

    assert (config.policy.profile, config.policy.factor, config.signals.train) == ("gentle", 0.1, ("ä*",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[watch", "not valid TOML"),
        (b"watch = 1\nwatch = 2", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"[watch]\npoll_seconds = nan", "watch.poll_seconds = nan must lie in [0.01, 3600]"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, says: str) -> None:
    """The error begins with the path of the file."""
    path = tmp_path / "lrwatch.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file and a directory are told as such."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(path)


def test_numbers_of_thousands_of_digits_are_no_crash(tmp_path: Path) -> None:
    """Python refuses to convert them, and that is said like any other mistake."""
    file = tmp_path / "lrwatch.toml"
    file.write_text(f"[policy]\ntotal_steps = {'1' * 5000}\n")

    with pytest.raises(ConfigError, match=r"lrwatch\.toml"):
        load_config(file)
    with pytest.raises(ConfigError, match="must be HOST:PORT"):
        split_listen("h:" + "1" * 5000, "--listen")
