import re
from pathlib import Path

import pytest

from lrwatch.telemetry.metrics import MAX_REASONS, MAX_RUNS, METRICS
from lrwatch.telemetry.server import DEADLINE, MAX_CONNECTIONS

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
README = (DEPLOY / "README.md").read_text("utf-8")
RULES = (DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8")
RULE_TESTS = (DEPLOY / "prometheus" / "alerts_test.yml").read_text("utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES)

REQUIRED = {
    "LRWatchDown": "warning",
    "LRWatchDivergence": "critical",
    "LRWatchPlateau": "info",
    "LRWatchOscillation": "warning",
    "LRWatchStalled": "warning",
    "LRWatchAdjustmentNotApplied": "warning",
    "LRWatchControlWriteFailing": "warning",
    "LRWatchDataRejected": "warning",
}


def rule(alert: str) -> str:
    """Return the text of one alerting rule."""
    return next(part for part in RULES.split("- alert: ")[1:] if part.startswith(f"{alert}\n"))


def test_the_table_of_metrics_is_the_table_in_the_code() -> None:
    """The operator's table holds each metric with its type, its labels and its meaning, and no other."""
    documented = {
        row[0]: tuple(row[1:3] + row[4:])
        for row in (
            [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
            for line in README.splitlines()
            if line.startswith("| `lrwatch_")
        )
    }

    assert documented == {
        metric.name: (metric.type, ", ".join(metric.labels) or "-", metric.help) for metric in METRICS
    }


def test_the_numbers_of_series_are_told() -> None:
    """What is said of the number of series follows from the limits in the code."""
    own = 3 + 12

    assert "at most 76 series" in README
    assert f"the {MAX_RUNS} runs" in README
    assert f"the first {MAX_REASONS - 1} of a run" in README
    assert f"{MAX_RUNS * 76 + own:,} series" in README
    assert f"the daemon itself has {own}." in README


def test_the_limits_of_the_server_are_told() -> None:
    """What is said of connections and deadlines follows from the code."""
    prose = " ".join(README.split())

    assert f"At most {MAX_CONNECTIONS} connections" in prose
    assert f"at most {DEADLINE:.0f} seconds" in prose


@pytest.mark.parametrize(("alert", "severity"), REQUIRED.items())
def test_the_alerts_that_are_promised(alert: str, severity: str) -> None:
    """Each promised alert exists with its severity."""
    assert f"severity: {severity}\n" in rule(alert)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_can_be_acted_on(alert: str) -> None:
    """Each alert has a summary, a description, and a runbook section that says what it means and what to do."""
    text = rule(alert)
    section = README.partition(f"### {alert}\n")[2].partition("\n#")[0]

    assert re.search(r"summary: .+\.\n", text)
    assert "description: " in text
    assert f"runbook_url: deploy/README.md#{alert.lower()}\n" in text
    for part in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
        assert f"**{part}.**" in section


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_its_unit_tests(alert: str) -> None:
    """For each alert it is tested that it stays silent, fires, and is silent again after that."""
    cases = [
        "exp_alerts: []" not in case
        for case in RULE_TESTS.split("- eval_time: ")[1:]
        if f"alertname: {alert}\n" in case
    ]

    assert not cases[0]
    assert any(cases)
    assert not cases[-1]


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if "lrwatch_run" in rule(alert) or "{run" in rule(alert)])
def test_an_alert_of_a_run_outlives_its_daemon(alert: str) -> None:
    """An alert whose series die with the daemon keeps firing until LRWatchDown has taken over."""
    assert "keep_firing_for: 10m\n" in rule(alert)


def test_no_runbook_section_is_left_over() -> None:
    """Each section of the runbook belongs to an alert."""
    assert re.findall(r"^### (\w+)$", README, re.MULTILINE) == ALERTS


def test_rules_use_only_metrics_that_exist() -> None:
    """A rule or a documented query over a metric that nobody exports would stay silent for ever."""
    exported = {metric.name for metric in METRICS}
    parts = {f"{metric.name}_{part}" for metric in METRICS for part in ("bucket", "count", "sum")}

    used = set(re.findall(r"\blrwatch_[a-z_]+", RULES + RULE_TESTS + README))

    assert used <= exported | parts
