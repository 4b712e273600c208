"""What lrwatch thinks shows in TensorBoard, and never comes back as training data."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lrwatch.cli import main


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a log directory with one training that ends in NaN."""
    (tmp_path / "exp").mkdir()
    lines = [json.dumps({"step": step, "loss": 1.0 if step < 50 else float("nan")}) for step in range(60)]
    (tmp_path / "exp" / "log.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_verdicts_are_scalars_that_tensorboard_reads(runs: Path) -> None:
    """The divergence is a step from 0 to 1 at the third record that is no number."""
    result = CliRunner().invoke(main, ["watch", "--once", str(runs), "--tensorboard-out", str(runs)])
    assert result.exit_code == 0, result.output

    accumulator = EventAccumulator(str(runs / "exp" / "lrwatch"))
    accumulator.Reload()
    tags = accumulator.Tags()

    assert "lrwatch/verdict/divergence" in str(tags)
    assert all(tag.startswith("lrwatch/") for kind in ("scalars", "tensors") for tag in tags[kind])


def test_what_was_written_is_never_read(runs: Path) -> None:
    """Watching again finds the same records as before."""
    before = CliRunner().invoke(main, ["replay", "--json", str(runs)]).output.splitlines()
    CliRunner().invoke(main, ["watch", "--once", str(runs), "--tensorboard-out", str(runs)])
    after = CliRunner().invoke(main, ["replay", "--json", str(runs)]).output.splitlines()

    assert json.loads(after[-1])["records"] == json.loads(before[-1])["records"] == 60
