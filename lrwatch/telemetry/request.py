"""The little of HTTP that a read-only page needs (RFC 9112): the head of a request, and a response.

Strict where leniency has been an attack (a header that stands twice, a folded line), lenient only towards a
line feed without a carriage return, which people type. Bodies are never read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

MAX_HEAD = 16 * 1024
MAX_LINE = 2 * 1024
MAX_HEADERS = 100

TEXT = "text/plain; charset=utf-8"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") (/[!-~]*) HTTP/1\.([01])")
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\r\n\x00]*)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")

_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back; the connection is closed after it."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, with_body: bool = True) -> bytes:
        """Return the bytes of the response; without a body they are the answer to HEAD."""
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            **_SECURITY,
            **self.headers,
        }
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        return head + self.body if with_body else head


def refusal(status: HTTPStatus, text: str, **headers: str) -> Response:
    """Return a response that says in one line why there is nothing else."""
    return Response(status, f"{text}\n".encode(), headers=headers)


class Refused(Exception):  # noqa: N818 - not an error of the program
    """The request is answered with `response` before anybody asks what it wants."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.response = refusal(status, text)


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request, as far as anybody needs it.

    Parameters
    ----------
    path
        Without the query, undecoded.
    host
        The Host header in lower case; empty where HTTP/1.0 has none.
    """

    method: str
    path: str
    host: str


def parse(received: bytes) -> Request | None:
    """Return the request at the start of `received`, or None while its head is not whole.

    Raises
    ------
    Refused
        It is too long, or no HTTP/1 request; told as early as the bytes allow.
    """
    line, newline, _ = received.partition(b"\n")
    if len(line) > MAX_LINE:
        raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, f"a request line has at most {MAX_LINE} bytes")
    if not newline:
        return None
    start = _REQUEST_LINE.fullmatch(line.removesuffix(b"\r"))
    if start is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "not an HTTP/1 request")
    end = _END_OF_HEAD.search(received, max(len(line) - 1, 0))
    if (end.start() if end else len(received)) > MAX_HEAD:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head of a request has at most {MAX_HEAD} bytes")
    if end is None:
        return None
    method, target, minor = start.groups()
    host = _host(received[len(line) + 1 : end.start() + 1], required=minor == b"1")
    return Request(method.decode("ascii"), target.decode("ascii").partition("?")[0], host)


def _host(head: bytes, *, required: bool) -> str:
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n") if line.strip(b"\r")]
    if len(lines) > MAX_HEADERS:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {MAX_HEADERS} headers")
    hosts = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "a header is malformed")
        name, value = header.groups()
        if name.lower() == b"host":
            hosts.append(value.rstrip(b" \t").decode("latin-1").lower())
    if len(hosts) > 1 or (required and not hosts):
        raise Refused(HTTPStatus.BAD_REQUEST, "a request has one Host header")
    return hosts[0] if hosts else ""
