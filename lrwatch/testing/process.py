"""The program as a process of its own, and waiting without sleeping blindly."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import lrwatch

ROOT = Path(lrwatch.__file__).parent.parent
PATIENCE = 30.0

_Found = TypeVar("_Found")


def eventually(
    look: Callable[[], _Found], *, seconds: float = PATIENCE, also: Callable[[], object] | None = None
) -> _Found:
    """Return what `look` returns as soon as that is true.

    Parameters
    ----------
    also
        Called before each look: something that has to go on meanwhile.

    Raises
    ------
    AssertionError
        It was not, for so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        if also is not None:
            also()
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {look}")
        time.sleep(0.005)


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of lrwatch from this very checkout."""
    return [sys.executable, "-m", "lrwatch", *map(str, arguments)]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment without settings of lrwatch's, and with the checkout to import from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LRWATCH_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(more or {})}


def lrwatch_once(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return its exit status and output."""
    options.setdefault("timeout", PATIENCE)
    options.setdefault("stdin", subprocess.DEVNULL)
    options["env"] = environment(options.pop("env", None))
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, **options)  # noqa: S603


class Daemon:
    """`lrwatch watch` on a free port, until the end of the `with` block at the latest.

    Parameters
    ----------
    arguments
        Of `watch`.
    prefix
        A command that starts the daemon in its turn, such as ``unshare``.
    options
        For `subprocess.Popen`, such as ``stdin`` or ``cwd``.

    Attributes
    ----------
    process
        The process.
    """

    def __init__(self, *arguments: str | Path, prefix: Sequence[str] = (), **options: Any) -> None:
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        options.setdefault("stdin", subprocess.DEVNULL)
        options["env"] = environment(options.pop("env", None))
        self.process = subprocess.Popen(  # noqa: S603 - this very program
            [*prefix, *command("watch", "--listen", "127.0.0.1:0", *arguments)],
            stdout=self._output,
            stderr=self._output,
            **options,
        )

    @property
    def output(self) -> str:
        """What it has written so far."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode("utf-8", "replace")

    def watching(self) -> Self:
        """Wait until it listens.

        Raises
        ------
        AssertionError
            It ended instead.
        """
        eventually(lambda: self.port or self.process.poll() is not None)
        if self.port is None:
            raise AssertionError(self.output)
        return self

    @property
    def port(self) -> int | None:
        """Where it listens; None before it does."""
        found = re.search(r" listen=127\.0\.0\.1:([0-9]+)", self.output)
        return int(found[1]) if found else None

    def get(self, path: str) -> str:
        """Return what it answers at a path, such as ``/metrics``."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode("utf-8")
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = PATIENCE) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if kind is not None:
            sys.stderr.write(self.output)
        self._output.close()
