"""System calls that fail, and system calls that are watched."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def broken() -> Callable[[int], Any]:
    """Return what makes a system call that always fails with an error number."""

    def broken(number: int) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise OSError(number, "injected")

        return fail

    return broken


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list into which the calls that matter for durability are written, with the names of their files."""
    calls: list[str] = []

    def recorded(module: Any, call: str) -> None:
        original = getattr(module, call)

        def wrapper(descriptor: int, *arguments: Any) -> Any:
            calls.append(f"{call} {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
            return original(descriptor, *arguments)

        monkeypatch.setattr(module, call, wrapper)

    for call in ("write", "pwrite", "fsync"):
        recorded(os, call)
    recorded(fcntl, "flock")
    replace = os.replace

    def replaced(source: str, target: str) -> None:
        calls.append(f"replace {Path(source).name} {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    return calls


@pytest.fixture
def descriptors() -> Callable[[], list[str]]:
    """Return what lists the descriptors of this process, but for that of the listing itself."""

    def descriptors() -> list[str]:
        listed = list(Path("/proc/self/fd").iterdir())
        return sorted(path.name for path in listed if path.is_symlink())

    return descriptors
