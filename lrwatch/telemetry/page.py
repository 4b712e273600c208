"""The runs as a person or a program asks for them: a plain table, and JSON."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from lrwatch.model import RunSnapshot
from lrwatch.telemetry.text import bounded, jsonable

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em }
table { border-collapse: collapse }
th, td { border: 1px solid #bbb; padding: .2em .6em; text-align: left; vertical-align: top }
th { background: #eee }
.problem { color: #a00 }
"""

_COLUMNS = (
    "run",
    "step",
    "signals",
    "verdicts",
    "scale",
    "applied",
    "seq",
    "acknowledged",
    "last record",
    "records",
    "rejected",
    "state",
)

_MAX_CELL = 400


def runs_as_json(runs: Sequence[RunSnapshot]) -> bytes:
    """Return a JSON array with one object a run, its keys those of `lrwatch.model.RunSnapshot`.

    A number that is not finite is null; an active verdict is an object with ``kind`` and ``text``.
    """
    return json.dumps([_as_object(run) for run in runs], allow_nan=False, separators=(",", ":")).encode()


def runs_as_html(runs: Sequence[RunSnapshot], problem: str | None) -> bytes:
    """Return a page that needs nothing but itself and loads itself again every five seconds.

    Parameters
    ----------
    problem
        What is shown above the table; None where the watcher is well.
    """
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    body = "\n".join(_row(run) for run in runs)
    notice = "" if problem is None else f'<p class="problem">{_text(problem)}</p>\n'
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="refresh" content="5">\n<title>lrwatch</title>\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<h1>lrwatch</h1>\n{notice}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
        '</table>\n<p>Also <a href="/metrics">/metrics</a>, <a href="/api/runs">/api/runs</a>, '
        '<a href="/healthz">/healthz</a>.</p>\n</body>\n</html>\n'
    )
    return page.encode()


def _as_object(run: RunSnapshot) -> dict[str, object]:
    values = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    values["active"] = [{"kind": kind, "text": text} for kind, text in run.active]
    fields: dict[str, object] = jsonable(values)
    return fields


def _row(run: RunSnapshot) -> str:
    cells = (
        _text(run.run),
        _number(run.step),
        "<br>".join(f"{_text(name)} {_number(value)}" for name, value in run.signals.items()),
        "<br>".join(f"{_text(kind)}: {_text(text)}" for kind, text in run.active),
        _number(run.scale),
        _number(run.applied_scale),
        _number(run.seq),
        _number(run.ack_seq),
        _moment(run.last_record_at),
        _number(run.records),
        _number(sum(run.rejected.values())),
        _state(run),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _state(run: RunSnapshot) -> str:
    if run.set_aside is not None:
        return f'<span class="problem">set aside: {_text(run.set_aside)}</span>'
    return "finished" if run.finished else "watched"


def _text(text: str) -> str:
    return escape(bounded(text, _MAX_CELL))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _moment(seconds: float | None) -> str:
    """Show a time in UTC; a writer's clock may claim a year that no calendar has."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.6g}"
