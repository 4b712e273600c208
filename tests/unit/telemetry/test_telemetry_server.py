import http.client
import json
import logging
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lrwatch.errors import NotPossible
from lrwatch.model import RunSnapshot
from lrwatch.telemetry.metrics import WatcherMetrics
from lrwatch.telemetry.server import Health, Server

RUN = RunSnapshot(
    run="exp1",
    directory="/runs/exp1",
    step=12000,
    signals={"train": 0.5, "eval": math.nan},
    active=(("plateau", "val/loss has not improved"),),
    verdicts={"plateau": 1},
    scale=0.5,
    seq=3,
    last_record_at=1790000000.0,
    records=10,
)


@dataclass
class Watcher:
    """Stands for the pipeline: what it shows can be changed while the server runs."""

    snapshots: list[RunSnapshot] = field(default_factory=lambda: [RUN])
    state: Health = field(default_factory=lambda: Health(ok=True, seconds_since_poll=0.5))

    def runs(self) -> Sequence[RunSnapshot]:
        """Give the runs as they stand."""
        return self.snapshots

    def health(self) -> Health:
        """Give the state of the pipeline."""
        return self.state


def serve(watcher: Watcher, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> Server:
    """Return a server of what `watcher` shows, not started."""
    return Server(
        host,
        port,
        registry=WatcherMetrics(watcher.runs).registry,
        health=watcher.health,
        runs=watcher.runs,
        **settings,
    )


@pytest.fixture
def watcher() -> Watcher:
    """Return a pipeline with one run."""
    return Watcher()


@pytest.fixture
def address(watcher: Watcher) -> Iterator[tuple[str, int]]:
    """Return where a server of that pipeline listens."""
    with serve(watcher) as server:
        yield server.start()


def ask(
    address: tuple[str, int], path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send one request as a well-behaved client does."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def raw(address: tuple[str, int], request: bytes) -> bytes:
    """Send bytes that no HTTP library would, and return all that comes back."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(request)
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


def status(response: bytes) -> int:
    """Return the status code of a raw response."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", response)
    assert match is not None, response[:100]
    return int(match[1])


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition, and fail where it never holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        threading.Event().wait(0.005)


def request_threads() -> int:
    """Count the connections that are being served."""
    return sum(thread.name == "lrwatch-http-request" for thread in threading.enumerate())


# What the paths say


def test_metrics_are_the_text_that_prometheus_reads(address: tuple[str, int]) -> None:
    """/metrics is a page of the text format, with its version in the content type."""
    code, headers, body = ask(address, "/metrics")

    assert code == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert "lrwatch_run_step" in names


def test_health_is_ok_while_the_pipeline_polls(address: tuple[str, int]) -> None:
    """/healthz is 200 and tells the age of the last poll."""
    code, headers, body = ask(address, "/healthz")

    assert code == 200
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"status": "ok", "ok": True, "reason": "", "seconds_since_poll": 0.5}


def test_health_is_503_when_the_pipeline_is_stuck(address: tuple[str, int], watcher: Watcher) -> None:
    """/healthz is 503 with the reason, while /metrics still answers."""
    watcher.state = Health(ok=False, reason="no poll for 61 s", seconds_since_poll=61.0)

    code, _, body = ask(address, "/healthz")

    assert code == 503
    assert json.loads(body)["status"] == "stuck"
    assert json.loads(body)["reason"] == "no poll for 61 s"
    assert ask(address, "/metrics")[0] == 200


def test_runs_as_json(address: tuple[str, int]) -> None:
    """/api/runs is an array with one object a run; a loss that is NaN is null."""
    code, headers, body = ask(address, "/api/runs")

    (run,) = json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert code == 200
    assert headers["Content-Type"] == "application/json"
    assert run["run"] == "exp1"
    assert run["step"] == 12000
    assert run["signals"] == {"train": 0.5, "eval": None}
    assert run["active"] == [{"kind": "plateau", "text": "val/loss has not improved"}]
    assert run["ack_seq"] is None


def test_json_of_awkward_values(address: tuple[str, int], watcher: Watcher) -> None:
    """Numpy's numbers, infinities and lone surrogates come out as JSON that any parser reads."""
    values: Any = {"train": np.float32(1.5), "lr": -math.inf}
    step: Any = np.int64(7)
    watcher.snapshots = [replace(RUN, run="a\udcff", step=step, signals=values)]

    (run,) = json.loads(ask(address, "/api/runs")[2])

    assert run["step"] == 7
    assert run["signals"] == {"train": 1.5, "lr": None}
    assert run["run"] == "a\\udcff"


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep one tag."""
        self.found.append((tag, dict(attrs)))


def test_the_page_asks_nobody_else(address: tuple[str, int]) -> None:
    """/ loads itself again and nothing from anywhere: no script, no picture, no style sheet, no font."""
    code, headers, body = ask(address, "/")

    tags = Tags()
    tags.feed(body.decode())
    assert code == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert {tag for tag, _ in tags.found}.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    assert all(str(attributes.get("href", "/")).startswith("/") for _, attributes in tags.found)
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in tags.found
    assert "url(" not in body.decode()
    assert "exp1" in body.decode()


def test_the_page_shows_text_as_text(address: tuple[str, int], watcher: Watcher) -> None:
    """Markup in the name of a run, a tag or a reason is shown and never becomes part of the page."""
    evil = "<script>alert(1)</script>\"'><b>"
    verdicts: Any = (("plateau", evil),)
    watcher.snapshots = [replace(RUN, run=evil, active=verdicts, signals={evil: 1.0}, set_aside=evil)]
    watcher.state = Health(ok=False, reason=evil)

    body = ask(address, "/")[2].decode()

    tags = Tags()
    tags.feed(body)
    assert {tag for tag, _ in tags.found}.isdisjoint({"script", "b"})
    assert body.count("&lt;script&gt;") == 5


@pytest.mark.parametrize("seconds", [1e18, -1e18, math.nan, math.inf])
def test_the_page_survives_a_wild_clock(address: tuple[str, int], watcher: Watcher, seconds: float) -> None:
    """A time that no calendar has does not take the page away."""
    watcher.snapshots = [replace(RUN, last_record_at=seconds)]

    assert ask(address, "/")[0] == 200
    assert ask(address, "/metrics")[0] == 200
    assert ask(address, "/api/runs")[0] == 200


# Read-only, and strict about it


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/api/runs"])
def test_head_is_get_without_a_body(address: tuple[str, int], path: str) -> None:
    """HEAD gives the headers of GET, its length included, and no body."""
    code, headers, body = ask(address, path, "HEAD")

    assert code == 200
    assert int(headers["Content-Length"]) > 0
    assert body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/runs", "/nothing"])
def test_any_other_method_is_405(address: tuple[str, int], method: str, path: str) -> None:
    """Whatever might change something is refused, wherever it is asked for."""
    host = f"{address[0]}:{address[1]}".encode()

    response = raw(address, f"{method} {path} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n\r\n")

    assert status(response) == 405
    assert b"\r\nAllow: GET, HEAD\r\n" in response


def test_a_body_that_nobody_reads_does_not_lose_the_answer(address: tuple[str, int]) -> None:
    """A client that sends a body sees the refusal, not a connection that was reset."""
    host = f"{address[0]}:{address[1]}"

    code, _, _ = ask(address, "/metrics", "POST", Host=host, **{"Content-Length": "0"})
    long = raw(
        address,
        f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 300000\r\n\r\n".encode() + b"x" * 300_000,
    )

    assert code == 405
    assert status(long) == 405


@pytest.mark.parametrize(
    "path", ["/nothing", "/metrics/", "/../", "/../../etc/passwd", "/%2e%2e/", "//metrics", "/METRICS", "/api"]
)
def test_only_four_paths_exist(address: tuple[str, int], path: str) -> None:
    """A path is one of four texts; nothing is decoded, normalised or looked up."""
    assert ask(address, path)[0] == 404


def test_a_query_changes_nothing(address: tuple[str, int]) -> None:
    """What stands after the question mark is left unread."""
    assert ask(address, "/healthz?x=1")[2] == ask(address, "/healthz")[2]


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/api/runs", "/nothing"])
def test_security_headers(address: tuple[str, int], path: str) -> None:
    """Every answer forbids sniffing, framing and any content from elsewhere, and names no version."""
    _, headers, _ = ask(address, path)

    policy = [part.strip() for part in headers["Content-Security-Policy"].split(";")]
    assert policy[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.com", "localhost", "127.0.0.1", "", "127.0.0.1:1", "evil.example:{port}"],
)
def test_a_foreign_host_is_misdirected(address: tuple[str, int], host: str) -> None:
    """On the loopback interface only its exact names with the port are answered (DNS rebinding)."""
    code, _, body = ask(address, "/api/runs", Host=host.format(port=address[1]))

    assert code == 421
    assert b"exp1" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_names_of_the_loopback_interface_are_answered(address: tuple[str, int], host: str) -> None:
    """Each name by which this machine calls itself is answered, in any case of letters."""
    assert ask(address, "/healthz", Host=f"{host}:{address[1]}")[0] == 200


def test_http_1_0_without_a_host_is_misdirected(address: tuple[str, int]) -> None:
    """HTTP/1.0 may leave the host out, but then nothing says that the client meant this server."""
    assert status(raw(address, b"GET /metrics HTTP/1.0\r\n\r\n")) == 421


def test_a_wildcard_answers_to_any_name(watcher: Watcher) -> None:
    """Whoever listens on every address has chosen who reaches it; its names cannot be known."""
    with serve(watcher, "0.0.0.0") as server:  # noqa: S104 - the rule under test
        _, port = server.start()

        assert ask(("127.0.0.1", port), "/healthz", Host="training-7.cluster:9877")[0] == 200


def test_ipv6(watcher: Watcher) -> None:
    """The server listens on an IPv6 address, with or without brackets around it."""
    for host in ("::1", "[::1]"):
        with serve(watcher, host) as server:
            address = server.start()

            assert address[0] == "::1"
            assert ask(address, "/healthz")[0] == 200
            assert ask(address, "/healthz", Host="evil.example")[0] == 421


def test_a_name_is_listened_on_by_its_ipv4_address(watcher: Watcher) -> None:
    """A client that is told 127.0.0.1 finds a server that was told localhost."""
    with serve(watcher, "localhost") as server:
        host, port = server.start()

        assert host == "127.0.0.1"
        assert ask(("127.0.0.1", port), "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET /\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET http://127.0.0.1/metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : HOST\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nno colon\r\n\r\n", 400),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"X-A: b\r\n" * 2000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"a:b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nX: " + b"x" * 50_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n", 200),
        (b"GET / HTTP/1.1\nHost: HOST\n\n", 200),
        (b"GET / HTTP/1.0\r\nHost:HOST \r\n\r\n", 200),
    ],
)
def test_malformed_requests(address: tuple[str, int], request_bytes: bytes, code: int) -> None:
    """What is no small HTTP/1 request gets a clear status at once, and never a traceback."""
    host = f"{address[0]}:{address[1]}".encode()

    assert status(raw(address, request_bytes.replace(b"HOST", host))) == code


def test_a_request_in_single_bytes(address: tuple[str, int]) -> None:
    """A request is the same however its bytes are cut."""
    with socket.create_connection(address, timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in f"GET /healthz HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode():
            client.sendall(bytes([byte]))

        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


# Slow, many, gone


def test_half_open_requests_do_not_keep_a_scrape_out(watcher: Watcher) -> None:
    """With 300 clients that never finish their request, a scrape takes less than a second."""
    with serve(watcher) as server:
        address = server.start()
        clients = [socket.create_connection(address, timeout=20) for _ in range(300)]
        try:
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nX: ")
            begun = time.monotonic()
            code, _, _ = ask(address, "/metrics")
            taken = time.monotonic() - begun

            assert code == 200
            assert taken < 1.0
            assert request_threads() <= 32
        finally:
            for client in clients:
                client.close()


def test_the_longest_wait_gives_way(watcher: Watcher) -> None:
    """One connection too many takes the place of that which has kept the server waiting longest."""
    with serve(watcher, max_connections=2) as server:
        address = server.start()
        first, second = (socket.create_connection(address, timeout=20) for _ in range(2))
        with first, second:
            for client in (first, second):
                client.sendall(b"GET")
            until(lambda: request_threads() == 2)

            assert ask(address, "/healthz")[0] == 200
            assert first.recv(1) == b""
            second.settimeout(0.0)
            with pytest.raises(BlockingIOError):
                second.recv(1)


def test_a_dripping_request_meets_a_total_deadline(watcher: Watcher) -> None:
    """A client that always sends one more byte is hung up on when its time is over."""
    with serve(watcher, deadline=0.3) as server:
        address = server.start()
        begun = time.monotonic()
        with socket.create_connection(address, timeout=0.02) as client:

            def hung_up() -> bool:
                try:
                    client.sendall(b"G")
                    return client.recv(1) == b""
                except TimeoutError:
                    return False
                except OSError:
                    return True

            until(hung_up, seconds=5.0)

        assert time.monotonic() - begun >= 0.25
        until(lambda: request_threads() == 0)


def test_a_client_that_does_not_read_meets_the_deadline(watcher: Watcher) -> None:
    """A response that nobody takes is given up when the time of the request is over."""
    watcher.snapshots = [replace(RUN, run=f"r{n}", rejected={"x" * 150: 1}) for n in range(2000)]
    with serve(watcher, deadline=2.0) as server:
        address = server.start()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(f"GET /metrics HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode())
            until(lambda: request_threads() == 1)

            until(lambda: request_threads() == 0)


def test_many_scrapes_at_a_time(watcher: Watcher) -> None:
    """Fifty scrapes while the runs change are fifty whole pages."""
    snapshots = watcher.snapshots
    with serve(watcher, max_connections=64) as server, ThreadPoolExecutor(51) as pool:
        address = server.start()
        stop = threading.Event()

        def storm() -> None:
            n = 0
            while not stop.wait(0.001):
                n += 1
                watcher.snapshots = [replace(RUN, run=f"r{i}", step=n) for i in range(n % 20 + 1)]

        changing = pool.submit(storm)
        try:
            answers = list(pool.map(lambda _: ask(address, "/metrics"), range(50)))
        finally:
            stop.set()
            changing.result()
            watcher.snapshots = snapshots

    for code, headers, body in answers:
        assert code == 200
        assert len(body) == int(headers["Content-Length"])
        steps = {
            sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
            if sample.name == "lrwatch_run_step"
        }
        assert len(steps) == 1


def test_a_client_that_hangs_up_leaves_no_trace(
    watcher: Watcher, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A client that is gone in the middle of an answer is neither logged nor printed."""
    watcher.snapshots = [replace(RUN, run=f"r{n}") for n in range(500)]
    with serve(watcher) as server:
        address = server.start()
        for path in ("/metrics", "/api/runs", "/"):
            client = socket.create_connection(address, timeout=20)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
        until(lambda: request_threads() == 0)

        assert ask(address, "/healthz")[0] == 200

    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_broken_page_is_500_without_its_traceback(
    address: tuple[str, int], watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect behind one path is logged, tells the client nothing, and leaves the other paths alone."""
    broken: Any = [object()]
    watcher.snapshots = broken

    with caplog.at_level(logging.ERROR, "lrwatch"):
        code, _, body = ask(address, "/api/runs")

    assert code == 500
    assert body == b"internal error; the log tells more\n"
    assert caplog.records[0].exc_info is not None
    assert ask(address, "/healthz")[0] == 200


def test_a_blocked_source_holds_up_its_own_request_only(watcher: Watcher) -> None:
    """While a call for the runs does not return, /healthz still answers."""
    release = threading.Event()

    def blocked() -> Sequence[RunSnapshot]:
        release.wait(20)
        return []

    server = Server(
        "127.0.0.1",
        0,
        registry=WatcherMetrics(watcher.runs).registry,
        health=watcher.health,
        runs=blocked,
    )
    with server, ThreadPoolExecutor(1) as pool:
        address = server.start()
        waiting = pool.submit(ask, address, "/api/runs")
        try:
            until(lambda: request_threads() == 1)
            code = ask(address, "/healthz")[0]
        finally:
            release.set()

        assert code == 200
        assert waiting.result()[0] == 200


def test_out_of_file_descriptors(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no connection can be accepted the server goes on, and accepts again as soon as it can."""
    accept = socket.socket.accept
    failures = iter([OSError(24, "Too many open files")] * 3)

    def failing(self: socket.socket) -> tuple[socket.socket, Any]:
        for failure in failures:
            raise failure
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with serve(watcher) as server:
        assert ask(server.start(), "/healthz")[0] == 200


def test_out_of_threads(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection for which no thread can be had is closed, and the next one is served."""
    start = threading.Thread.start
    failures = iter([RuntimeError("can't start new thread")])

    def failing(self: threading.Thread) -> None:
        if self.name == "lrwatch-http-request":
            for failure in failures:
                raise failure
        start(self)

    monkeypatch.setattr(threading.Thread, "start", failing)
    with serve(watcher) as server:
        address = server.start()
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            ask(address, "/healthz")

        assert ask(address, "/healthz")[0] == 200


# Beginning and end


def test_a_busy_port_is_said_clearly(watcher: Watcher, address: tuple[str, int]) -> None:
    """A port that is taken is no traceback, but a sentence that names it and what to do."""
    with (
        serve(watcher, port=address[1]) as second,
        pytest.raises(NotPossible, match=rf"127\.0\.0\.1:{address[1]}: another program .*--listen"),
    ):
        second.start()


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("192.0.2.1", 0, "this machine has no such address"),
        ("2001:db8::1", 0, r"cannot listen on \[2001:db8::1\]:0: "),
        ("127.0.0.1", 70000, "a port lies in 0 to 65535"),
        ("127.0.0.1", -1, "a port lies in 0 to 65535"),
        ("no such name", 0, "nobody knows that name"),
        ("a" * 300, 0, "nobody knows that name"),
    ],
)
def test_an_impossible_address_is_said_clearly(watcher: Watcher, host: str, port: int, text: str) -> None:
    """An address that cannot be listened on is refused in one sentence."""
    with serve(watcher, host, port) as server, pytest.raises(NotPossible, match=text):
        server.start()


def test_port_zero_takes_a_free_one(watcher: Watcher) -> None:
    """Two servers on port 0 have two ports, and each says which."""
    with serve(watcher) as one, serve(watcher) as other:
        ports = {one.start()[1], other.start()[1]}

    assert len(ports) == 2
    assert 0 not in ports


def test_the_port_is_free_again_at_once(watcher: Watcher) -> None:
    """A daemon that is started again finds its port, though old connections are still dying."""
    with serve(watcher) as server:
        address = server.start()
        ask(address, "/healthz")

    with serve(watcher, port=address[1]) as again:
        assert again.start() == address
        assert ask(address, "/healthz")[0] == 200


def open_files() -> int:
    """Count the file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_close_leaves_nothing_behind(watcher: Watcher) -> None:
    """After close there is no thread, no socket and no listener, though a client was in the middle."""
    before = open_files()
    server = serve(watcher)
    address = server.start()
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"GET / HT")
        until(lambda: request_threads() == 1)
        begun = time.monotonic()

        server.close()

        assert time.monotonic() - begun < 2.0
        assert client.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lrwatch-http")]
    assert open_files() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=20)


def test_close_twice_or_before_start(watcher: Watcher) -> None:
    """Closing is always allowed."""
    server = serve(watcher)
    server.close()

    other = serve(watcher)
    other.start()
    other.close()
    other.close()


def test_the_threads_end_with_the_program(watcher: Watcher) -> None:
    """Every thread of the server is a daemon: it never keeps the process alive."""
    with serve(watcher) as server:
        address = server.start()
        with socket.create_connection(address, timeout=20):
            until(lambda: request_threads() == 1)

            threads = [thread for thread in threading.enumerate() if thread.name.startswith("lrwatch-http")]

            assert all(thread.daemon for thread in threads)
            assert len(threads) == 2
