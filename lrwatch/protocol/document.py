"""Small JSON documents between processes: decoded strictly, read with care, written whole."""

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from lrwatch.errors import ProtocolError

MAX_BYTES = 64 * 1024


def decode(data: bytes) -> dict[str, Any]:
    """Decode `data` as one JSON object without NaN, Infinity, or a key that stands twice.

    Raises
    ------
    ProtocolError
        With reason ``size``, ``json`` or ``number``; nothing else, whatever the bytes are.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolError("size", f"{len(data)} bytes are more than the {MAX_BYTES} of a document")
    try:
        document = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except ProtocolError:
        raise
    except (ValueError, RecursionError) as error:
        raise ProtocolError("json", f"not a whole JSON document: {error}") from None
    if not isinstance(document, dict):
        raise ProtocolError("json", f"a document is a JSON object, not {type(document).__name__}")
    return document


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode `document` as one line of JSON."""
    return (json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n").encode("utf-8")


def read(path: str) -> bytes:
    """Read a small document without following a link, trusting a stranger, or waiting for anybody.

    Raises
    ------
    FileNotFoundError
        Nobody has written it yet.
    OSError
        It cannot be read.
    ProtocolError
        With reason ``symlink``, ``file``, ``owner`` or ``size``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if stat.S_ISLNK(_mode(path)):
            raise ProtocolError("symlink", f"{path} is a symbolic link") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ProtocolError("file", f"{path} is not a regular file")
        if status.st_uid not in trusted_uids():
            raise ProtocolError(
                "owner", f"{path} belongs to uid {status.st_uid}; name it in LRWATCH_TRUST_UIDS to trust it"
            )
        if status.st_size > MAX_BYTES:
            raise ProtocolError("size", f"{path} has {status.st_size} bytes, more than {MAX_BYTES}")
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def replace(path: str, data: bytes, *, durable: bool) -> None:
    """Put `data` at `path` so that a reader sees the old or the new document, never a mixture.

    Parameters
    ----------
    path
        Its directory must exist.
    durable
        Also survive a power cut: the file and then its directory reach the disk before this returns.

    Raises
    ------
    OSError
        Nothing was replaced, or (from the directory's fsync) it may be lost at a power cut.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(temporary, _CREATE, 0o644)
    except FileExistsError:  # left over by a process of the same number that was killed
        os.unlink(temporary)
        descriptor = os.open(temporary, _CREATE, 0o644)
    try:
        try:
            os.fchmod(descriptor, 0o644)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        _discard(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or ".")


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def trusted_uids() -> frozenset[int]:
    """Return the users whose documents are believed: this one, root, and those in LRWATCH_TRUST_UIDS."""
    listed = os.environ.get("LRWATCH_TRUST_UIDS", "")
    return frozenset(
        {
            os.geteuid(),
            0,
            *(int(uid) for uid in listed.split(",") if uid.strip().isascii() and uid.strip().isdigit()),
        }
    )


def integer_field(fields: Mapping[str, Any], key: str, where: str, low: int, high: int) -> int:
    """Return `fields[key]` if it is an integer in [low, high]."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError("field", f"{where}.{key} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ProtocolError("number", f"{where}.{key} must lie in [{low}, {high}], not {value}")
    return value


def number_field(fields: Mapping[str, Any], key: str, where: str, low: float, high: float) -> float:
    """Return `fields[key]` as a float if it is a number in [low, high]."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProtocolError("field", f"{where}.{key} must be a number, not {value!r}")
    if not low <= value <= high:
        raise ProtocolError("number", f"{where}.{key} must lie in [{low}, {high}], not {value}")
    return float(value)


def text_field(fields: Mapping[str, Any], key: str, where: str) -> str:
    """Return `fields[key]` if it is a string, fit to be printed."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise ProtocolError("field", f"{where}.{key} must be a string, not {value!r}")
    return printable(value)


def printable(text: str) -> str:
    """Replace the lone surrogates that JSON can smuggle in and that no terminal, page or journal can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _discard(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _refuse_constant(name: str) -> float:
    raise ProtocolError("number", f"{name} is not a finite number")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ProtocolError("number", f"an integer of {len(digits)} digits is out of range")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ProtocolError("json", "a key stands twice in one object")
    return fields
