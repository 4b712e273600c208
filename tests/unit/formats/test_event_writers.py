"""Event files from the programs that write them."""

import importlib
import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lrwatch.formats import recognise
from lrwatch.formats.tfevents import EventFile
from lrwatch.testing.formats import Reading, check_format, read_all

VALUES = [1.5, 0.1, float("nan"), float("inf"), 0.0, -3e38]

ROOT = Path(__file__).resolve().parents[3]
REAL = sorted(
    path
    for pattern in ("perceivers/*/events*", "keras3/*/*/events*")
    for path in (ROOT.parent / "shared" / "data").glob(pattern)
)


def by_tensorboard(directory: Path) -> None:
    """Write VALUES with TensorBoard's own writer."""
    writer = EventFileWriter(str(directory))
    for step, value in enumerate(VALUES):
        summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
        writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=summary))
    writer.close()


def by_torch(**options: bool) -> Callable[[Path], None]:
    """Return what writes VALUES with torch's writer, among other things that no scalar is."""

    def write(directory: Path) -> None:
        writer = summary_writer(directory)
        writer.add_text("note", "hello")
        for step, value in enumerate(VALUES):
            writer.add_scalar("loss", value, step, walltime=1.7e9 + step, **options)
            writer.add_histogram("weights", np.arange(5.0), step)
            writer.add_image("picture", np.zeros((1, 2, 2)), step)
        writer.close()

    return write


def summary_writer(directory: Path) -> Any:
    """Return torch's writer; its module has no types."""
    return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(directory))


WRITERS: dict[str, Callable[[Path], None]] = {"tensorboard": by_tensorboard}
if importlib.util.find_spec("torch"):
    WRITERS["torch"] = by_torch()
    WRITERS["torch, new style"] = by_torch(new_style=True)
    WRITERS["torch, double"] = by_torch(new_style=True, double_precision=True)


def read(directory: Path) -> dict[str, Reading]:
    """Read all event files of a directory, by their path in it."""
    return {
        path.relative_to(directory).as_posix(): read_all(EventFile(), [path.read_bytes()])
        for path in sorted(directory.rglob("*tfevents*"))
    }


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_writer_logs_is_read(tmp_path: Path, writer: str) -> None:
    """Every value is there, at its step and time, and in its precision; images and texts leave no trace."""
    WRITERS[writer](tmp_path)
    stored = VALUES if "double" in writer else [struct.unpack("<f", struct.pack("<f", value))[0] for value in VALUES]

    (reading,) = read(tmp_path).values()

    assert reading.items == [("loss", s, repr(v), repr(1.7e9 + s)) for s, v in enumerate(stored)]
    assert not reading.rejected


@pytest.mark.parametrize("writer", WRITERS)
def test_the_format_is_recognised(tmp_path: Path, writer: str) -> None:
    """Its first bytes tell, whatever the file is called."""
    WRITERS[writer](tmp_path)
    (path,) = tmp_path.iterdir()

    assert isinstance(recognise(path, path.read_bytes()[:40]), EventFile)
    assert isinstance(recognise(Path("renamed.bin"), path.read_bytes()), EventFile)


@pytest.mark.skipif("torch" not in WRITERS, reason="torch is not installed")
def test_hyperparameters_are_no_scalars(tmp_path: Path) -> None:
    """add_hparams writes a sub-run of texts and of copies of the last metrics."""
    writer = summary_writer(tmp_path)
    writer.add_scalar("loss", 1.0, 1)
    writer.add_hparams({"lr": 0.1}, {"hparam/loss": 0.5})
    writer.close()

    readings = read(tmp_path)

    assert sorted(len(reading.items) for reading in readings.values()) == [1, 1]
    assert not any(reading.rejected for reading in readings.values())


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.parent.name)
def test_real_files_are_read_as_tensorboard_reads_them(path: Path) -> None:
    """Where TensorBoard finds scalars, the same are found; and the promises of a format hold."""
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    reading = read_all(EventFile(), [path.read_bytes()])
    found: dict[str, list[tuple[float, int, float]]] = {}
    for item in reading.items:
        assert isinstance(item, tuple)
        found.setdefault(item[0], []).append((float(item[3]), item[1], float(item[2])))

    for tag in accumulator.Tags()["scalars"]:
        expected = [(point.wall_time, point.step, point.value) for point in accumulator.Scalars(tag)]
        assert repr(found[tag]) == repr(expected)
    assert found
    assert not reading.rejected
    check_format(EventFile, path.read_bytes()[:3000])
