"""One run's directory with a hand on both of its files and on the clock."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lrwatch.client import Client
from lrwatch.client.torch import Hook, attach
from lrwatch.protocol import Acknowledgement, Control, decode_acknowledgement, hold, initial_control
from lrwatch.protocol.document import replace


class Run:
    """What a test does to a run: publish a control file, let time pass, read the acknowledgement."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 1000.0
        self.clients: list[Client] = []

    @property
    def control_path(self) -> Path:
        """Where the control file lies."""
        return self.directory / "lrwatch" / "control.json"

    @property
    def ack_path(self) -> Path:
        """Where the acknowledgement lies."""
        return self.directory / "lrwatch" / "ack.json"

    def client(self, **options: Any) -> Client:
        """Return a client of the run that looks at this run's clock."""
        options.setdefault("min_scale", 1e-6)
        options.setdefault("max_scale", 100.0)
        client = Client(self.directory, clock=lambda: self.now, **options)
        self.clients.append(client)
        return client

    def attach(self, optimizer: Any, **options: Any) -> Hook:
        """Attach to an optimizer; the client looks at this run's clock."""
        self.client(**options)
        return attach(optimizer, self.directory, min_scale=1e-6, max_scale=100.0)

    def crash(self) -> None:
        """Forget the clients of this process as if it had been killed."""
        for client in self.clients:
            client.__exit__(SystemExit, None, None)
        self.clients.clear()

    def write(self, data: bytes) -> None:
        """Put bytes where the control file belongs."""
        self.control_path.parent.mkdir(exist_ok=True)
        self.control_path.write_bytes(data)

    def publish(self, seq: int, **fields: Any) -> Control:
        """Put a control file down; the plan holds unless `fields` says otherwise."""
        fields = {"generation": 1, "seq": seq, "plan": hold(0), **fields}
        control = dataclasses.replace(initial_control("exp", "w"), **fields)
        self.control_path.parent.mkdir(exist_ok=True)
        replace(str(self.control_path), control.encode(), durable=False)
        return control

    def ack(self) -> Acknowledgement:
        """Return the acknowledgement as the watcher reads it."""
        return decode_acknowledgement(self.ack_path.read_bytes())

    def later(self, seconds: float = 1.0) -> None:
        """Let time pass; a second is more than the poll interval."""
        self.now += seconds


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a run in an empty directory, and an environment without settings of lrwatch's."""
    for name in [*os.environ]:
        if name.startswith("LRWATCH_") or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
    run = Run(tmp_path)
    yield run
    run.crash()
