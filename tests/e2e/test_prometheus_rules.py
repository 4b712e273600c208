import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from lrwatch.model import RunSnapshot
from lrwatch.telemetry.metrics import WatcherMetrics
from lrwatch.telemetry.server import Health, Server

pytestmark = pytest.mark.slow

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"

RUN = RunSnapshot(
    run='vision/"exp 1"\\\n\udcff',
    directory="/runs/vision/exp1",
    step=12000,
    signals={"train": 0.5, "eval": float("nan"), "lr": 1e-3, "grad_norm": float("inf")},
    active=(("divergence", "the level has jumped"),),
    verdicts={"divergence": 1},
    decisions={"scale": 1},
    outcomes={"helped": 1},
    seq=3,
    ack_seq=3,
    applied_scale=0.5,
    last_record_at=1790000000.0,
    ack_at=1790000000.0,
    records=10,
    rejected={"json": 1},
    gaps={"restart": 1},
    control_writes=9,
)


@pytest.fixture
def tool(request: pytest.FixtureRequest) -> str:
    """Return the path of a program of Prometheus; a machine without it fails the test, never skips it."""
    name: str = getattr(request, "param", "promtool")
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get update && apt-get install -y --no-install-recommends prometheus")
    return found


def check(*command: str, stdin: bytes = b"") -> None:
    """Run a check that ends within a minute, and show what it says where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    assert not done.stderr.strip(), done.stderr.decode(errors="replace")


def test_rules_are_valid(tool: str) -> None:
    """Prometheus accepts the rules."""
    check(tool, "check", "rules", str(PROMETHEUS / "alerts.yml"))


def test_rules_behave(tool: str) -> None:
    """Each rule fires, stays silent and resolves as its unit tests say."""
    check(tool, "test", "rules", str(PROMETHEUS / "alerts_test.yml"))


def test_example_configuration_is_valid(tool: str) -> None:
    """Prometheus accepts the example configuration together with the rules."""
    check(tool, "check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("runs", [[], [RUN], [RunSnapshot("new", "/new")]], ids=["none", "full", "new"])
def test_page_is_free_of_lint(tool: str, runs: list[RunSnapshot]) -> None:
    """A rendered page follows the naming rules of Prometheus, whatever the runs are called."""
    metrics = WatcherMetrics(lambda: runs)
    metrics.observe(0.02)

    check(tool, "check", "metrics", stdin=generate_latest(metrics.registry))


@pytest.mark.parametrize("tool", ["prometheus"], indirect=True)
def test_prometheus_scrapes_and_alerts(tool: str, tmp_path: Path) -> None:
    """A real Prometheus reads the page over HTTP, and the rule of a diverging run becomes pending."""
    runs = [RUN]
    metrics = WatcherMetrics(lambda: runs)
    server = Server(
        "127.0.0.1",
        0,
        registry=metrics.registry,
        health=lambda: Health(ok=True),
        runs=lambda: runs,
    )
    with server:
        _, port = server.start()
        configuration = tmp_path / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{json.dumps(str(PROMETHEUS / 'alerts.yml'))}]\n"
            "scrape_configs:\n"
            "  - job_name: lrwatch\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n",
            "utf-8",
        )
        with running(tool, configuration, tmp_path) as api:
            up = until_found(api, 'up{job="lrwatch"} == 1')
            (step,) = until_found(api, "lrwatch_run_step")
            (alert,) = until_found(api, 'ALERTS{alertname="LRWatchDivergence"}')

    assert len(up) == 1
    assert step["value"][1] == "12000"
    assert step["metric"]["run"] == 'vision/"exp 1"\\\\n\\udcff'
    assert alert["metric"]["severity"] == "critical"


@contextmanager
def running(prometheus: str, configuration: Path, directory: Path) -> Iterator[str]:
    """Run a Prometheus on the loopback interface; yields the address of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"http://{address}/api/v1/query"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until_found(api: str, expression: str) -> list[dict[str, Any]]:
    """Ask until the expression has a result, for at most half a minute."""
    url = f"{api}?{urllib.parse.urlencode({'query': expression})}"
    end = time.monotonic() + 30.0
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a Prometheus of this test
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except (urllib.error.URLError, ConnectionError):
            found = []
        if found:
            return found
        threading.Event().wait(0.1)
    pytest.fail(f"{expression} found nothing")
