"""What the files of a run say about it, without any daemon."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lrwatch.control.events import Event
from lrwatch.control.journal import FILE_NAME as JOURNAL
from lrwatch.control.journal import current_segment, read_journal
from lrwatch.errors import ProtocolError
from lrwatch.protocol import Acknowledgement, Control, decode_acknowledgement, decode_control, document
from lrwatch.protocol.acknowledgement import FILE_NAME as ACKNOWLEDGEMENT
from lrwatch.protocol.control import FILE_NAME as CONTROL
from lrwatch.tail.discover import OWN

_Document = TypeVar("_Document")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run as its files tell.

    Parameters
    ----------
    verdicts
        The events of verdicts that were raised and not cleared.
    last_decision
        The newest decision about a verdict, granted or refused.
    problems
        Files that could not be read, and why.
    """

    run: str
    directory: Path
    control: Control | None
    ack: Acknowledgement | None
    verdicts: tuple[Event, ...]
    last_decision: Event | None
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one line of `status --json`."""
        control, ack = self.control, self.ack
        plan = None if control is None else control.plan
        return {
            "run": self.run,
            "directory": str(self.directory),
            "verdicts": [
                {key: event.get(key) for key in ("signal", "kind", "severity", "step", "since", "text")}
                for event in self.verdicts
            ],
            "control": None
            if control is None or plan is None
            else {
                "seq": control.seq,
                "generation": control.generation,
                "mode": control.mode,
                "scale": plan.scale_at(plan.steps, 1.0 if ack is None else ack.scale),
                "plan": plan.to_json(),
                "request": control.request.to_json(),
                "training_id": control.training_id,
                "writer": control.writer,
            },
            "ack": None
            if ack is None
            else {
                "seq": ack.seq,
                "plan_id": ack.plan_id,
                "status": ack.status,
                "refused_because": ack.refused_because,
                "step": ack.step,
                "scale": ack.scale,
                "finished": ack.finished,
                "training_id": ack.training_id,
                "at": ack.at,
            },
            "last_decision": self.last_decision,
            "problems": list(self.problems),
        }


def statuses(path: Path) -> Iterator[RunStatus]:
    """Yield the status of every run whose `lrwatch` directory lies at or below `path`, sorted by name."""
    for home in sorted({file.parent for name in (CONTROL, JOURNAL, ACKNOWLEDGEMENT) for file in _found(path, name)}):
        yield status_of(home)


def status_of(home: Path) -> RunStatus:
    """Return the status of the run whose `lrwatch` directory is `home`; what cannot be read is a problem."""
    problems: list[str] = []
    control = _read(home / CONTROL, decode_control, problems)
    ack = _read(home / ACKNOWLEDGEMENT, decode_acknowledgement, problems)
    try:
        events = current_segment(read_journal(home / JOURNAL))
    except OSError as error:
        problems.append(f"{home / JOURNAL}: {error.strerror}")
        events = []
    active: dict[tuple[Any, Any], Event] = {}
    decision: Event | None = None
    for event in events:
        if event["event"] == "verdict":
            key = event.get("signal"), event.get("kind")
            if event.get("state") == "raised":
                active[key] = event
            else:
                active.pop(key, None)
        elif event["event"] == "decision" and "text" in event:
            decision = event
    name = home.parent.name if control is None else control.run
    return RunStatus(name, home.parent, control, ack, tuple(active.values()), decision, tuple(problems))


def _found(path: Path, name: str) -> Iterator[Path]:
    return (file for file in path.rglob(f"{OWN}/{name}"))


def _read(path: Path, decode: Callable[[bytes], _Document], problems: list[str]) -> _Document | None:
    try:
        return decode(document.read(str(path)))
    except FileNotFoundError:
        return None
    except ProtocolError as error:
        problems.append(f"{path}: {error}")
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
    return None
