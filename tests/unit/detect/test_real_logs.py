"""What is said of real trainings; not collected where their logs do not lie beside the checkout."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrwatch.config import Config, SignalsConfig
from lrwatch.detect.judges import Judges
from lrwatch.model import Gap, Verdict
from lrwatch.replay import Replay
from tests.curves import records

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

Row = tuple[str, int, float]


def found(*patterns: str) -> list[str]:
    """Return the logs there are."""
    return sorted(str(path.relative_to(DATA)) for pattern in patterns for path in DATA.glob(pattern))


def llmc(path: Path) -> Iterator[Row]:
    """Read ``s:19559 trl:3.2785 lr:0.000000 norm:0.25``."""
    for line in path.read_text().splitlines():
        step, *pairs = re.findall(r"(\w+):(\S+)", line)
        for name, value in pairs:
            yield name, int(step[1]), float(value)


def nanogpt(path: Path) -> Iterator[Row]:
    """Read ``step:100/6000 train_loss:4.5 train_time:36000ms``."""
    for line in path.read_text().splitlines():
        match = re.match(r"step:(\d+)/\d+ (train_loss|val_loss):(\S+)", line)
        if match:
            yield match[2], int(match[1]), float(match[3])


def table(path: Path) -> Iterator[Row]:
    """Read a CSV file with a column of steps."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name in row.keys() - {"step"}:
                yield name, int(row["step"]), float(row[name])


READERS = {"llmc-main.log": llmc, ".txt": nanogpt, ".csv": table}

SILENT = found("modded-nanogpt/llmc-main.log", "modded-nanogpt/*.txt", "multipowerlaw-100m/*.csv")


def said_of(name: str, config: Config) -> list[Verdict | Gap]:
    """Return what is said of a log, verdicts and restarts."""
    path = DATA / name
    block = records(READERS[path.name if path.name in READERS else path.suffix](path))
    return [item for item in Judges(config).feed(block) if isinstance(item, Verdict | Gap)]


@pytest.mark.parametrize("name", SILENT)
def test_trainings_that_went_well(name: str) -> None:
    """Language models that trained as they should, under every schedule, are judged in silence."""
    assert said_of(name, Config()) == []


@pytest.mark.parametrize("name", SILENT)
def test_their_losses_without_the_learning_rate(name: str) -> None:
    """Even where no learning rate is logged, and annealing looks like any other progress."""
    assert said_of(name, Config(signals=SignalsConfig(ignore=("lr",)))) == []


@pytest.mark.parametrize("name", found("perceivers/version_0", "perceivers/version_9"))
def test_short_trainings_that_went_well(name: str) -> None:
    """Event files of a hundred records in which nothing went wrong."""
    assert [event["event"] for event in Replay(DATA / name, Config()).events()] == ["summary"]


@pytest.mark.parametrize("name", found("perceivers/version_13"))
def test_a_training_that_ended_in_nan(name: str) -> None:
    """The loss is no number at the end: a critical divergence, at the third such record, and nothing else."""
    events = list(Replay(DATA / name, Config()).events())
    verdicts = [event for event in events if event["event"] == "verdict"]

    assert [(event["kind"], event["severity"], event["signal"]) for event in verdicts] == [
        ("divergence", "critical", "train_loss")
    ]
    assert verdicts[0]["evidence"]["nonfinite"] == 3
    assert (verdicts[0]["since"], verdicts[0]["step"]) == (999, 1099)
    assert [event["action"] for event in events if event["event"] == "decision"] == ["restore"]
