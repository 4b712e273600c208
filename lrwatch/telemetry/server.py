"""The HTTP side: four read-only paths that stay answerable while clients are slow, hostile or gone.

``/metrics`` for Prometheus, ``/healthz`` for a supervisor, ``/api/runs`` for programs, ``/`` for people.

A web page that a user visits can make the browser send requests to services on the loopback interface (DNS
rebinding), so a server that listens there answers only to the exact names of that interface. One that
listens on any other address, a wildcard included, answers to any name: whoever chose that address is in
charge of who reaches it.

Known limitations: no TLS, no authentication, no keep-alive (each request has its own connection), no
compression; put a reverse proxy in front where these are needed.
"""

import contextlib
import ipaddress
import json
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, generate_latest

from lrwatch.model import RunSnapshot
from lrwatch.telemetry.connection import Connection, listen
from lrwatch.telemetry.logs import fields
from lrwatch.telemetry.page import runs_as_html, runs_as_json
from lrwatch.telemetry.request import Refused, Request, Response, refusal
from lrwatch.telemetry.text import jsonable

DEADLINE = 10.0
MAX_CONNECTIONS = 32

_METHODS = ("GET", "HEAD")
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the road from the logs to the control files still moves.

    Parameters
    ----------
    ok
        The last poll is recent.
    reason
        For a person, where `ok` is false.
    seconds_since_poll
        The age of the last completed poll; None before the first.
    """

    ok: bool
    reason: str = ""
    seconds_since_poll: float | None = None


class Server:
    """Serves what the watcher shows; owns one listening socket and its threads.

    Parameters
    ----------
    host
        An address or a name; ``""`` listens on all of IPv4, ``::`` on everything.
    port
        0 takes a free one.
    registry
        What ``/metrics`` renders.
    health, runs
        Called in the thread of a request. They give finished values and must not block: a call that does
        holds one of the connections and nothing else.
    deadline
        Seconds from the accepted connection to the last byte of the response, however the bytes drip.
    max_connections
        Connections, and threads, at a time. One more takes the place of that which has kept the server
        waiting longest.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        runs: Callable[[], Sequence[RunSnapshot]],
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = port
        self._registry = registry
        self._health = health
        self._runs = runs
        self._deadline = deadline
        self._routes: dict[str, Callable[[float], Response]] = {
            "/": self._page,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/api/runs": self._api_runs,
        }
        self._names: frozenset[str] | None = None
        self._slots = threading.BoundedSemaphore(max_connections)
        self._rendering = threading.Lock()
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._wake: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    def start(self) -> tuple[str, int]:
        """Listen, and answer in daemon threads from now on.

        Returns
        -------
        tuple of str and int
            The address and the port that it listens on.

        Raises
        ------
        NotPossible
            The port is busy, or the address is not of this machine; the text says which.
        """
        self._listener = listen(self._host, self._port)
        address, port = self._listener.getsockname()[:2]
        self._names = _names(self._host, address, port)
        self._wake, woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener, woken), name="lrwatch-http", daemon=True
        )
        self._acceptor.start()
        return address, port

    def close(self) -> None:
        """Stop listening, hang up on everybody, and wait for the threads for at most two seconds."""
        self._stopping.set()
        if self._wake is None or self._acceptor is None:
            return
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        self._acceptor.join(1.0)
        self._wake.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.hang_up()
        until = time.monotonic() + 1.0
        for connection in connections:
            connection.thread.join(max(until - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        with listener, woken, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if self._stopping.is_set():
                    return
                try:
                    accepted, _ = listener.accept()
                except (BlockingIOError, ConnectionError):
                    continue
                except OSError as error:  # out of file descriptors: what is already open goes on
                    _log.warning("cannot accept a connection", extra=fields(error=error))
                    self._stopping.wait(0.1)
                    continue
                self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        if not self._slots.acquire(blocking=False):
            self._make_room()
            if not self._slots.acquire(timeout=0.5):
                accepted.close()
                return
        connection = Connection(accepted, time.monotonic() + self._deadline)
        connection.thread = threading.Thread(
            target=self._serve, args=(connection,), name="lrwatch-http-request", daemon=True
        )
        with self._lock:
            self._connections.add(connection)
        try:
            connection.thread.start()
        except RuntimeError as error:  # out of threads
            _log.warning("cannot serve a connection", extra=fields(error=error))
            accepted.close()
            self._forget(connection)

    def _make_room(self) -> None:
        with self._lock:
            waiting = [
                (since, connection)
                for connection in self._connections
                if (since := connection.waiting_since) is not None
            ]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].hang_up()

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._connections.discard(connection)
        self._slots.release()

    def _serve(self, connection: Connection) -> None:
        try:
            with connection.socket:
                connection.send(self._response_to(connection))
                connection.linger()
        except OSError:  # the client hung up, or its time is over: nobody is left to be told
            return
        finally:
            self._forget(connection)

    def _response_to(self, connection: Connection) -> bytes:
        try:
            request = connection.receive()
        except Refused as refused:
            return refused.response.encode()
        try:
            response = self._answer(request, connection.deadline)
        except Exception:  # noqa: BLE001 - one broken page must not take the others away, nor show its traceback
            _log.exception("cannot answer a request", extra=fields(path=request.path))
            response = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log tells more")
        return response.encode(with_body=request.method != "HEAD")

    def _answer(self, request: Request, deadline: float) -> Response:
        if self._names is not None and request.host not in self._names:
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "this server does not answer to that name")
        if request.method not in _METHODS:
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "read only", Allow=", ".join(_METHODS))
        route = self._routes.get(request.path)
        if route is None:
            return refusal(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._routes)}")
        return route(deadline)

    def _metrics(self, deadline: float) -> Response:
        """Render one page at a time: each may hold some megabytes, and together they are no faster."""
        if not self._rendering.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many scrapes at a time")
        try:
            return Response(HTTPStatus.OK, generate_latest(self._registry), _METRICS)
        finally:
            self._rendering.release()

    def _healthz(self, _: float) -> Response:
        health = self._health()
        body = {"status": "ok" if health.ok else "stuck", **asdict(health)}
        return Response(
            HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE,
            json.dumps(jsonable(body), allow_nan=False).encode() + b"\n",
            _JSON,
        )

    def _api_runs(self, _: float) -> Response:
        return Response(HTTPStatus.OK, runs_as_json(self._runs()), _JSON)

    def _page(self, _: float) -> Response:
        health = self._health()
        return Response(
            HTTPStatus.OK, runs_as_html(self._runs(), None if health.ok else health.reason or "stuck"), _HTML
        )


def _names(host: str, address: str, port: int) -> frozenset[str] | None:
    """Return the Host headers that are answered, or None for all of them."""
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return None
    hosts = {host.lower(), address, "127.0.0.1", "localhost", "::1"}
    bracketed = {f"[{name}]" if ":" in name else name for name in hosts}
    with_port = {f"{name}:{port}" for name in bracketed}
    return frozenset(with_port | bracketed if port == 80 else with_port)
