"""What the files of a run say about it, without any daemon."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lrwatch.control.events import Event
from lrwatch.control.journal import FILE_NAME as JOURNAL
from lrwatch.control.journal import current_segment, read_journal
from lrwatch.errors import NotPossible, ProtocolError
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
        return {
            "run": self.run,
            "directory": str(self.directory),
            "verdicts": [
                {key: event.get(key) for key in ("signal", "kind", "severity", "step", "since", "text")}
                for event in self.verdicts
            ],
            "control": None
            if control is None
            else {
                "seq": control.seq,
                "generation": control.generation,
                "mode": control.mode,
                "scale": self._goal(control),
                "plan": control.plan.to_json(),
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

    def _goal(self, control: Control) -> float:
        """Return the scale at which the plan ends, without the factor of a base schedule."""
        standing = 1.0
        if self.ack is not None:
            has_begun = self.ack.plan_id == control.plan.id
            standing = (self.ack.from_scale if has_begun else None) or self.ack.scale
        return control.plan.scale_at(control.plan.steps, standing)


def statuses(path: Path) -> Iterator[RunStatus]:
    """Yield the status of every run whose `lrwatch` directory lies at or below `path`, in the order of their paths."""
    for home in (run / OWN for run in sorted(_runs(path))):
        if any(os.path.lexists(home / name) for name in (CONTROL, JOURNAL, ACKNOWLEDGEMENT)):
            yield status_of(home)


def _runs(path: Path) -> Iterator[Path]:
    """Yield the directories that hold a watcher's own one; links are followed, and each directory counts once."""
    seen: set[str] = set()
    for root, directories, _ in os.walk(path, followlinks=True):
        places = {name: (Path(root) / name).resolve() for name in directories}
        directories[:] = [name for name, place in places.items() if str(place) not in seen]
        seen.update(map(str, places.values()))
        if OWN in directories:
            yield Path(root)


def status_of(home: Path) -> RunStatus:
    """Return the status of the run whose `lrwatch` directory is `home`; what cannot be read is a problem."""
    problems: list[str] = []
    control = _read(home / CONTROL, decode_control, problems)
    ack = _read(home / ACKNOWLEDGEMENT, decode_acknowledgement, problems)
    try:
        events = list(current_segment(read_journal(home / JOURNAL)))
    except NotPossible as error:
        problems.append(str(error))
        events = []
    except OSError as error:
        problems.append(f"{home / JOURNAL}: {error.strerror}")
        events = []
    active: dict[tuple[str, str], Event] = {}
    decision: Event | None = None
    for event in events:
        if event["event"] == "verdict":
            key = str(event.get("signal")), str(event.get("kind"))
            if event.get("state") == "raised":
                active[key] = event
            else:
                active.pop(key, None)
        elif event["event"] == "decision" and "text" in event:
            decision = event
    name = home.parent.name if control is None else control.run
    return RunStatus(name, home.parent, control, ack, tuple(active.values()), decision, tuple(problems))


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
