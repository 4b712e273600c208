"""Tables and stories for people in front of a terminal; nothing in a name or a message can move its cursor."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrwatch.control.events import Event
from lrwatch.replay import Replay
from lrwatch.status import RunStatus
from lrwatch.telemetry.text import printable

_STYLES: dict[str, str] = {"info": "cyan", "warning": "yellow", "critical": "bold red"}


def replay_story(replay: Replay, console: Console) -> None:
    """Print the events of a replay as they come, then a line for each run."""
    summary: Event = {}
    for event in replay.events():
        line = _line(event)
        if line is not None:
            console.print(line, soft_wrap=True)
        summary = event
    for run in replay.snapshots:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(run.verdicts.items())) or "nothing to report"
        console.print(_text(f"{run.run}: {run.records} records up to step {run.step}: {seen}"), soft_wrap=True)
    rejected = f", {summary['rejected']} rejected" if summary["rejected"] else ""
    sums = f"{summary['records']} records of {summary['runs']} runs in {summary['seconds']:.2f} s{rejected}"
    console.print(_text(sums, "dim"), soft_wrap=True)


def status_table(found: Sequence[RunStatus]) -> Table:
    """Return one row per run: what holds, what is desired, what the training said."""
    table = Table(show_edge=False, pad_edge=False)
    for column in ("run", "step", "scale", "applied", "verdicts", "last decision"):
        table.add_column(column, overflow="fold")
    for run in found:
        fields = run.to_json()
        control, ack, decision = fields["control"], fields["ack"], fields["last_decision"]
        verdicts = Text(", ").join(
            _text(event["kind"], _STYLES.get(str(event["severity"]), "")) for event in fields["verdicts"]
        )
        if run.problems:
            verdicts.append(printable("; ".join(run.problems)), "red")
        table.add_row(
            _text(run.run),
            "" if ack is None or ack["step"] is None else str(ack["step"]),
            "" if control is None else f"{control['scale']:g}{' (advice)' if control['mode'] == 'advise' else ''}",
            "no client" if ack is None else f"{ack['scale']:g} ({_told(ack)})",
            verdicts if verdicts.plain else Text("none", "dim"),
            _text("" if decision is None else _decided(decision)),
        )
    return table


def _text(text: object, style: str = "") -> Text:
    return Text(printable(str(text)), style)


def _line(event: Event) -> Text | None:
    if event["event"] == "verdict":
        style = _STYLES.get(event["severity"], "") if event["state"] == "raised" else "dim"
        return _text(f"{event['run']} step {event['step']}: {event['kind']} {event['state']}: {event['text']}", style)
    if event["event"] == "decision":
        return _text(f"{event['run']} step {event['step']}: would {_decided(event)}")
    if event["event"] == "gap":
        return _text(f"{event['run']} step {event['step']}: gap in the log: {event['reason']}", "dim")
    return None


def _decided(event: Event) -> str:
    refused = f" (refused: {event['refused_by']})" if event.get("refused_by") else ""
    return f"{event['text']}{refused}"


def _told(ack: Event) -> str:
    if ack["finished"]:
        return "finished"
    return printable(f"refused: {ack['refused_because']}") if ack["status"] == "refused" else str(ack["status"])
