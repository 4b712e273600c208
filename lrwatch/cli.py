"""The command line: parses, calls, prints, and nothing else."""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lrwatch import __version__
from lrwatch.clock import SystemClock
from lrwatch.config import Config, load_config, split_listen
from lrwatch.daemon import Daemon
from lrwatch.demo import run_demo
from lrwatch.errors import LrwatchError, NotPossible, UsageError
from lrwatch.inspect import Inspection, inspect_table
from lrwatch.replay import Replay
from lrwatch.run import run_training
from lrwatch.shown import replay_story, status_table
from lrwatch.status import statuses
from lrwatch.tail.discover import STANDARD_INPUT
from lrwatch.tail.wake import Waker
from lrwatch.telemetry import logs
from lrwatch.telemetry.event_writer import EventWriter
from lrwatch.telemetry.server import Server
from lrwatch.telemetry.text import printable

_ENDING = (signal.SIGTERM, signal.SIGINT)


class _Group(click.Group):
    """Turns the program's own errors into one line on standard error and the contract's exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LrwatchError as error:
            _complain(str(error))
            ctx.exit(error.exit_status)
        except BrokenPipeError:  # click ends quietly
            raise
        except OSError as error:
            _complain(str(error))
            _give_up_output()
            ctx.exit(NotPossible.exit_status)


def _config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A TOML file; see `lrwatch check-config`."
    )(command)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lrwatch")
def main() -> None:
    """Watch trainings and adjust their learning rate.

    \b
    Examples:
      lrwatch demo                     see it work, in half a minute
      lrwatch replay runs/exp1         what it would have said about a finished training
      lrwatch watch runs               watch every training below runs/
    """  # noqa: D301 - click reads the backspace as "keep these lines"


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--listen", metavar="HOST:PORT", help="Where /metrics and /healthz are served; port 0 takes a free one.")
@_config_option
@click.option(
    "--mode",
    type=click.Choice(["advise", "approve", "auto"]),
    help="auto: apply; approve: wait for a person; advise: only say.  [default: auto]",
)
@click.option("--control-dir", type=click.Path(path_type=Path), help="Keep control files here, not beside the logs.")
@click.option(
    "--tensorboard-out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write verdicts, scales and outcomes as event files, for TensorBoard.",
)
@click.option("--once", is_flag=True, help="Read what is there, write the control files, and end.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def watch(
    paths: tuple[Path, ...],
    listen: str | None,
    config_file: Path | None,
    mode: Any,
    control_dir: Path | None,
    tensorboard_out: Path | None,
    once: bool,
    log_format: Any,
) -> None:
    """Watch the trainings that log below PATH: a directory, a file, or - for standard input.

    A missing or empty PATH is waited for. SIGTERM and Ctrl-C end it.
    """
    config = _config(config_file)
    if mode is not None:
        config = dataclasses.replace(config, watch=dataclasses.replace(config.watch, mode=mode))
    log = logs.configure(log_format)
    if listen is None:
        host, port = split_listen(config.serve.listen, "serve.listen")
    else:
        host, port = split_listen(listen, "--listen")
    if STANDARD_INPUT in paths and sys.stdin is None:  # its number may belong to something else by now
        raise NotPossible("-: standard input is closed")
    waker = Waker(path for path in paths if path != STANDARD_INPUT)
    clock = SystemClock()
    writer = None if tensorboard_out is None else EventWriter(tensorboard_out, clock)
    tell = {} if writer is None else {"tell": writer.tell}
    daemon = Daemon(paths, config, control_dir=control_dir, clock=clock, waker=waker, **tell)
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number in _ENDING:
            signal.signal(number, lambda *_: daemon.stop())
        if once:
            daemon.once()
            return
        with Server(
            host, port, registry=daemon.metrics.registry, health=daemon.health, runs=daemon.snapshots
        ) as server:
            listens_on, at_port = server.start()
            listening = f"{listens_on}:{at_port}"
            log.info("watching", extra=logs.fields(paths=" ".join(map(str, paths)), listen=listening))
            daemon.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        waker.close()
        if writer is not None:
            writer.close()
            if writer.problem is not None:
                _complain(f"{tensorboard_out}: {writer.errors} events were not written: {writer.problem}")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON Lines.")
@_config_option
def replay(path: Path, as_json: bool, config_file: Path | None) -> None:
    """Say what would have been said about a finished training; write nothing.

    \b
    Example:
      lrwatch replay runs/exp1 --json | jq 'select(.event == "verdict")'
    """  # noqa: D301 - as above
    replayed = Replay(path, _config(config_file))
    if as_json:
        for event in replayed.events():
            click.echo(json.dumps(event, allow_nan=False))
    else:
        replay_story(replayed, Console())
    for file, why in replayed.problems.items():
        _complain(f"{file}: {why}")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per signal.")
@_config_option
def inspect(path: Path, as_json: bool, config_file: Path | None) -> None:
    """Show the runs, formats and signals found at PATH, and what each signal is taken for."""
    inspection = Inspection(path, _config(config_file))
    if as_json:
        for report in inspection.reports():
            click.echo(json.dumps(report.to_json(), allow_nan=False))
    else:
        Console().print(inspect_table(inspection.reports()))
    for file, why in inspection.problems.items():
        _complain(f"{file}: {why}")


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--logdir", type=click.Path(path_type=Path), help="Where the training logs.  [default: a new directory]")
@click.option("--listen", metavar="HOST:PORT", help="Serve /metrics and /healthz there.")
@_config_option
@click.option("--mode", type=click.Choice(["advise", "approve", "auto"]), help="As of `lrwatch watch`.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(logdir: Path | None, listen: str | None, config_file: Path | None, mode: Any, command: tuple[str, ...]) -> None:
    """Start a training, watch its output and logs, and pass output, signals and its exit status through.

    The training finds its directory in LRWATCH_DIR.
    """
    config = _config(config_file)
    if mode is not None:
        config = dataclasses.replace(config, watch=dataclasses.replace(config.watch, mode=mode))
    logs.configure("text", level="warning")
    address = None if listen is None else split_listen(listen, "--listen")
    sys.exit(run_training(command, logdir, config, listen=address))


@main.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per run.")
def status(path: Path, as_json: bool) -> None:
    """Show the verdicts, control state and acknowledgement of each run below PATH, from its files."""
    if not os.path.lexists(path):
        raise NotPossible(f"{path}: no such file or directory")
    found = list(statuses(path))
    if not found:
        raise NotPossible(f"{path}: no run here has been watched (no lrwatch/control.json or journal below it)")
    if as_json:
        for run in found:
            click.echo(json.dumps(run.to_json(), allow_nan=False))
    else:
        Console().print(status_table(found))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Validate a configuration; an error names file, key, value and what would be right."""
    load_config(file)
    click.echo(printable(f"{file}: fine"))


@main.command()
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep logs and control files in this new directory.")
def demo(seed: int, keep: Path | None) -> None:
    """See it work: a training with a bad learning rate, watched by a daemon, beside the same one unwatched.

    Takes less than 45 seconds. Exit status 1 unless the watched one ends lower.
    """
    if keep is not None and os.path.lexists(keep):
        raise UsageError(f"--keep {keep}: exists already")
    outcome = run_demo(seed, keep, Console())
    if not outcome.watched < outcome.unwatched:
        sys.exit(1)


def _config(file: Path | None) -> Config:
    return Config() if file is None else load_config(file)


def _complain(message: str) -> None:
    """Say what is wrong in one line; paths and values may hold anything."""
    click.echo(f"lrwatch: {printable(message)}", err=True)


def _give_up_output() -> None:
    """Let what is still held for a full disk go nowhere, or Python complains of it once more at its end."""
    if sys.stdout is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
