"""Sockets that nobody can keep for longer than was said: one deadline from the first byte to the last."""

import contextlib
import errno
import socket
import threading
import time

from lrwatch.errors import NotPossible
from lrwatch.telemetry.request import Request, parse

_LINGER = 1.0
_LINGER_BYTES = 1024 * 1024


class Connection:
    """One accepted socket, and the instant until which it may be used.

    Parameters
    ----------
    accepted
        The connection owns it.
    deadline
        On the monotonic clock: one limit for the whole exchange, however the bytes drip.

    Attributes
    ----------
    thread
        The one that serves it.
    waiting_since
        When the client began to keep the server waiting; None while the server works for it.
    """

    def __init__(self, accepted: socket.socket, deadline: float) -> None:
        self.socket = accepted
        self.deadline = deadline
        self.waiting_since: float | None = time.monotonic()
        self.thread = threading.current_thread()

    def receive(self) -> Request:
        """Return the request.

        Raises
        ------
        Refused
            It is answered before anybody asks what it wants.
        OSError
            The client hung up, or the deadline is over.
        """
        received = bytearray()
        while (request := parse(bytes(received))) is None:
            self._limit(self.deadline)
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionAbortedError("the client hung up")
            received += piece
        self.waiting_since = None
        return request

    def send(self, response: bytes) -> None:
        """Send all of `response`; the limit of `socket.sendall` is one for the whole."""
        self.waiting_since = time.monotonic()
        self._limit(self.deadline)
        self.socket.sendall(response)

    def linger(self) -> None:
        """Let the client read to the end: closing over unread input resets the connection under its response."""
        self.socket.shutdown(socket.SHUT_WR)
        until = min(self.deadline, time.monotonic() + _LINGER)
        left = _LINGER_BYTES
        while left > 0:
            self._limit(until)
            piece = self.socket.recv(65536)
            if not piece:
                return
            left -= len(piece)

    def hang_up(self) -> None:
        """Wake the thread that waits for this client, and let it find the connection gone."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _limit(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket that does not block.

    Parameters
    ----------
    host
        An address or a name; ``""`` stands for all of IPv4, ``::`` for everything.
    port
        0 takes a free one.

    Raises
    ------
    NotPossible
        The port is busy, or the address is not of this machine; the text says which.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not 0 <= port <= 65535:
        raise NotPossible(f"cannot listen on {where}: a port lies in 0 to 65535")
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104
    except (socket.gaierror, UnicodeError):
        raise NotPossible(f"cannot listen on {where}: nobody knows that name") from None
    # A name such as localhost may stand for both; clients that are given 127.0.0.1 must find it.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = None
    try:
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind(address)
        listener.listen(1024)
        listener.settimeout(0.0)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise NotPossible(f"cannot listen on {where}: {_because(error)}") from error
    return listener


def _because(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses that port; name another with --listen, or port 0 for a free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    if error.errno == errno.EACCES:
        return "not permitted; ports below 1024 need a privilege"
    return error.strerror or str(error)
