from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lrwatch import __version__
from lrwatch.model import KINDS, RunSnapshot
from lrwatch.telemetry.metrics import MAX_LABEL, MAX_REASONS, MAX_RUNS, METRICS, WatcherMetrics

CONTRACT = {
    "lrwatch_build_info",
    "lrwatch_runs",
    "lrwatch_run_step{run}",
    "lrwatch_signal_value{run,signal}",
    "lrwatch_verdict_active{run,kind}",
    "lrwatch_verdicts_total{run,kind}",
    "lrwatch_decisions_total{run,action}",
    "lrwatch_outcomes_total{run,verdict}",
    "lrwatch_scale_ratio{run}",
    "lrwatch_control_seq{run}",
    "lrwatch_ack_seq{run}",
    "lrwatch_applied_scale_ratio{run}",
    "lrwatch_last_record_timestamp_seconds{run}",
    "lrwatch_ack_timestamp_seconds{run}",
    "lrwatch_run_finished{run}",
    "lrwatch_records_total{run}",
    "lrwatch_rejected_total{run,reason}",
    "lrwatch_gaps_total{run,reason}",
    "lrwatch_control_writes_total{run}",
    "lrwatch_control_write_failures_total{run}",
    "lrwatch_poll_duration_seconds",
}

FULL = RunSnapshot(
    run="exp1",
    directory="/runs/exp1",
    step=12000,
    signals={"train": 0.5, "eval": 0.75, "lr": 1e-3, "grad_norm": float("nan")},
    active=(("plateau", "val/loss has not improved"),),
    verdicts={"plateau": 2},
    decisions={"scale": 1},
    outcomes={"helped": 1},
    scale=0.5,
    seq=3,
    ack_seq=2,
    applied_scale=1.0,
    last_record_at=1790000000.5,
    ack_at=1790000001.5,
    finished=True,
    records=4711,
    rejected={"json": 3},
    gaps={"restart": 1},
    control_writes=9,
    control_write_failures=1,
)

Labels = tuple[tuple[str, str], ...]


def page(*runs: RunSnapshot) -> dict[tuple[str, Labels], float]:
    """Render and read back a page, as Prometheus would: a series that stands twice is an error."""
    samples: dict[tuple[str, Labels], float] = {}
    text = generate_latest(WatcherMetrics(lambda: runs).registry).decode("utf-8")
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def series(samples: dict[tuple[str, Labels], float], name: str, label: str) -> dict[str, float]:
    """Return the values of one metric by one of its labels."""
    return {dict(labels)[label]: value for (found, labels), value in samples.items() if found == name}


def test_contract_names_and_labels() -> None:
    """The table holds every metric that the contract names, with the labels that it names."""
    table = {
        metric.name + ("{" + ",".join(metric.labels) + "}" if metric.labels else "")
        for metric in METRICS
        if metric.name != "lrwatch_build_info"
    }

    assert table | {"lrwatch_build_info"} >= CONTRACT


def test_only_the_labels_of_the_contract() -> None:
    """No metric has a label that could hold a raw tag, a step or a message."""
    allowed = {"run", "signal", "kind", "action", "reason", "verdict"}

    assert {label for metric in METRICS[1:] for label in metric.labels} <= allowed


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("lrwatch_runs", {}, 1),
        ("lrwatch_runs_dropped", {}, 0),
        ("lrwatch_run_step", {"run": "exp1"}, 12000),
        ("lrwatch_signal_value", {"run": "exp1", "signal": "eval"}, 0.75),
        ("lrwatch_verdict_active", {"run": "exp1", "kind": "plateau"}, 1),
        ("lrwatch_verdict_active", {"run": "exp1", "kind": "divergence"}, 0),
        ("lrwatch_verdicts_total", {"run": "exp1", "kind": "plateau"}, 2),
        ("lrwatch_decisions_total", {"run": "exp1", "action": "scale"}, 1),
        ("lrwatch_decisions_total", {"run": "exp1", "action": "stop"}, 0),
        ("lrwatch_outcomes_total", {"run": "exp1", "verdict": "helped"}, 1),
        ("lrwatch_outcomes_total", {"run": "exp1", "verdict": "hurt"}, 0),
        ("lrwatch_scale_ratio", {"run": "exp1"}, 0.5),
        ("lrwatch_control_seq", {"run": "exp1"}, 3),
        ("lrwatch_ack_seq", {"run": "exp1"}, 2),
        ("lrwatch_applied_scale_ratio", {"run": "exp1"}, 1.0),
        ("lrwatch_last_record_timestamp_seconds", {"run": "exp1"}, 1790000000.5),
        ("lrwatch_ack_timestamp_seconds", {"run": "exp1"}, 1790000001.5),
        ("lrwatch_run_finished", {"run": "exp1"}, 1),
        ("lrwatch_run_set_aside", {"run": "exp1"}, 0),
        ("lrwatch_records_total", {"run": "exp1"}, 4711),
        ("lrwatch_rejected_total", {"run": "exp1", "reason": "json"}, 3),
        ("lrwatch_gaps_total", {"run": "exp1", "reason": "restart"}, 1),
        ("lrwatch_control_writes_total", {"run": "exp1"}, 9),
        ("lrwatch_control_write_failures_total", {"run": "exp1"}, 1),
    ],
)
def test_value_of_each_metric(name: str, labels: dict[str, str], value: float) -> None:
    """Each metric of a run shows the field of its snapshot."""
    assert page(FULL)[name, tuple(sorted(labels.items()))] == value


def test_every_kind_is_exported() -> None:
    """All the kinds of verdict have a series from the first scrape on, so that a rule can count on it."""
    samples = page(RunSnapshot("a", "/a"))

    assert series(samples, "lrwatch_verdict_active", "kind") == dict.fromkeys(KINDS, 0)
    assert series(samples, "lrwatch_verdicts_total", "kind") == dict.fromkeys(KINDS, 0)


def test_unknown_is_left_out() -> None:
    """What a run does not know yet has no series, rather than a zero that would look like a value."""
    names = {name for name, _ in page(RunSnapshot("a", "/a"))}

    assert not names & {
        "lrwatch_run_step",
        "lrwatch_signal_value",
        "lrwatch_ack_seq",
        "lrwatch_applied_scale_ratio",
        "lrwatch_last_record_timestamp_seconds",
        "lrwatch_ack_timestamp_seconds",
    }


def test_a_run_that_is_gone_has_no_series() -> None:
    """A run that the watcher no longer has leaves nothing behind on the next page."""
    runs = [FULL, replace(FULL, run="exp2")]
    metrics = WatcherMetrics(lambda: runs)

    before = generate_latest(metrics.registry)
    del runs[1]
    after = generate_latest(metrics.registry)

    assert b"exp2" in before
    assert b"exp2" not in after
    assert b"exp1" in after


def test_the_global_registry_stays_untouched() -> None:
    """Another library's metrics never appear on the page, nor lrwatch's on another's."""
    WatcherMetrics(lambda: [FULL])

    assert b"lrwatch_" not in generate_latest(REGISTRY)


def test_registering_asks_for_no_runs() -> None:
    """The page can be set up before the watcher has anything to show."""

    def runs() -> Any:
        raise AssertionError("asked too early")

    WatcherMetrics(runs)


def test_a_signal_without_a_watched_role_is_left_out() -> None:
    """Only the roles are labels: a raw tag that slips into a snapshot is not exported."""
    samples = page(replace(FULL, signals={"train": 1.0, "layer0/weights/mean": 2.0, "ignore": 3.0}))

    assert series(samples, "lrwatch_signal_value", "signal") == {"train": 1.0}


@pytest.mark.parametrize(
    "name", ["a\udcff", "a\x1b[31m", 'a"\\\nb', "a\x00", "a\u2028b", "a\u202eb", "", "\u6f22\u5b57", "x" * 5000]
)
def test_any_text_is_a_safe_label(name: str) -> None:
    """Whatever a directory or a reason is called, the page renders, parses, and has one line a sample."""
    samples = page(replace(FULL, run=name, rejected={name: 1}))

    (label,) = series(samples, "lrwatch_run_step", "run")
    assert label
    assert label.isprintable()
    assert len(label) <= MAX_LABEL


def test_long_names_with_the_same_beginning_stay_two() -> None:
    """Cutting a label must not make one series of two runs: that would fail the whole scrape."""
    samples = page(replace(FULL, run="x" * 5000 + "1"), replace(FULL, run="x" * 5000 + "2"))

    assert len(series(samples, "lrwatch_run_step", "run")) == 2


def test_runs_of_the_same_name_stay_two() -> None:
    """Two runs that are called the same are told apart by their directories, whichever comes first."""
    one, other = replace(FULL, directory="/a/exp1"), replace(FULL, directory="/b/exp1", step=1)

    first = series(page(one, other), "lrwatch_run_step", "run")
    second = series(page(other, one), "lrwatch_run_step", "run")

    assert len(first) == 2
    assert first == second


def test_the_same_run_twice_is_shown_once() -> None:
    """A run that stands twice in the list is exported once, and the other is counted as dropped."""
    samples = page(FULL, FULL)

    assert len(series(samples, "lrwatch_run_step", "run")) == 1
    assert samples["lrwatch_runs_dropped", ()] == 1


def test_the_newest_runs_are_exported() -> None:
    """More runs than the page holds: those with the newest records stay, the others are counted."""
    runs = [RunSnapshot(f"r{n}", f"/r{n}", step=n, last_record_at=float(n)) for n in range(MAX_RUNS + 5)]
    never = RunSnapshot("never", "/never", step=1)

    samples = page(never, *runs)

    exported = series(samples, "lrwatch_run_step", "run")
    assert len(exported) == MAX_RUNS
    assert "never" not in exported
    assert min(exported.values()) == 5
    assert samples["lrwatch_runs", ()] == MAX_RUNS + 6
    assert samples["lrwatch_runs_dropped", ()] == 6


def test_reasons_are_bounded() -> None:
    """A flood of reasons ends in one series, and no piece of it is lost from the sum."""
    flood = {f"reason {n}": 1 for n in range(1000)}

    reasons = series(page(replace(FULL, rejected=flood)), "lrwatch_rejected_total", "reason")

    assert len(reasons) == MAX_REASONS
    assert sum(reasons.values()) == 1000
    assert reasons["other"] == 1000 - (MAX_REASONS - 1)


def test_the_reasons_seen_first_keep_their_series() -> None:
    """A reason that comes later never moves an earlier one, whose counter would jump."""
    earlier = {f"reason {n}": 1 for n in range(1000)}

    before = series(page(replace(FULL, gaps=earlier)), "lrwatch_gaps_total", "reason")
    after = series(page(replace(FULL, gaps={**earlier, "aaa": 1})), "lrwatch_gaps_total", "reason")

    assert before.keys() == after.keys()


def test_a_kind_of_a_plugin_is_counted_as_other() -> None:
    """What the contract does not name is summed up, so that a plugin cannot make series without bound."""
    verdicts: Any = {"plateau": 1, "mine": 2, "yours": 3}

    kinds = series(page(replace(FULL, verdicts=verdicts)), "lrwatch_verdicts_total", "kind")

    assert kinds["other"] == 5
    assert len(kinds) == len(KINDS) + 1


def test_a_number_beyond_floats_costs_only_its_own_sample() -> None:
    """An integer that no float holds is left out; the rest of the page stands."""
    samples = page(replace(FULL, step=10**400))

    assert not series(samples, "lrwatch_run_step", "run")
    assert series(samples, "lrwatch_scale_ratio", "run") == {"exp1": 0.5}


def worst(run: str) -> RunSnapshot:
    """Return a run with more of everything than the page may show."""
    many: Any = {f"x{n}": 1 for n in range(100)}
    active: Any = tuple((name, "s") for name in many)
    return replace(FULL, run=run, active=active, verdicts=many, decisions=many, outcomes=many, rejected=many, gaps=many)


def test_series_of_a_run_are_bounded() -> None:
    """No run has more than 76 series, the number that the operator is told."""
    one, two = len(page(worst("a"))), len(page(worst("a"), worst("b")))

    assert two - one == 76


def test_build_info_tells_the_versions() -> None:
    """The versions are labels of one series that is always 1."""
    ((labels, value),) = [
        (dict(labels), value) for (name, labels), value in page().items() if name == "lrwatch_build_info"
    ]

    assert value == 1
    assert labels["version"] == __version__
    assert labels["python"].startswith("3.")


def test_polls_fall_into_cumulative_buckets() -> None:
    """A poll counts in the bucket whose bound it does not exceed, and in all above."""
    metrics = WatcherMetrics(list)
    for seconds in (0.0005, 0.001, 0.2, 99.0):
        metrics.observe(seconds)

    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
    }

    assert samples["lrwatch_poll_duration_seconds_bucket", "0.001"] == 2
    assert samples["lrwatch_poll_duration_seconds_bucket", "0.1"] == 2
    assert samples["lrwatch_poll_duration_seconds_bucket", "0.5"] == 3
    assert samples["lrwatch_poll_duration_seconds_bucket", "30.0"] == 3
    assert samples["lrwatch_poll_duration_seconds_bucket", "+Inf"] == 4
    assert samples["lrwatch_poll_duration_seconds_count", None] == 4
    assert samples["lrwatch_poll_duration_seconds_sum", None] == pytest.approx(99.2015)


def test_the_runs_may_be_a_generator_of_new_lists() -> None:
    """Each scrape asks anew and holds on to nothing."""

    def lists() -> Iterator[list[RunSnapshot]]:
        yield [FULL]
        yield []

    source = lists()
    metrics = WatcherMetrics(lambda: next(source))

    assert b"exp1" in generate_latest(metrics.registry)
    assert b"exp1" not in generate_latest(metrics.registry)
