"""Runs and their files."""

import os
from pathlib import Path

import pytest

from lrwatch.tail.discover import LogFile, RunFiles, discover


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty log directory."""
    path = tmp_path / "runs"
    path.mkdir()
    return path


def log(directory: Path, *names: str) -> None:
    """Make empty files."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(path: Path) -> dict[str, list[str]]:
    """Return the files of each run, below the run's directory, with their prefixes."""
    return {
        run.name: [f"{file.prefix}|{file.path.relative_to(run.directory).as_posix()}" for file in run.files]
        for run in discover(path)
    }


def test_a_directory_that_holds_logs_is_a_run(runs: Path) -> None:
    """Its name is the path below the one that was given, and that one's own name for itself."""
    log(runs, "log.jsonl", "exp1/events.out.tfevents.1", "group/exp2/log.ndjson", "group/notes.rst", "empty/x.py")

    assert found(runs) == {
        "runs": ["|log.jsonl"],
        "exp1": ["|events.out.tfevents.1"],
        "group/exp2": ["|log.ndjson"],
    }
    assert [run.directory for run in discover(runs)] == [runs, runs / "exp1", runs / "group" / "exp2"]


def test_files_come_in_the_order_of_their_names(runs: Path) -> None:
    """Whatever order the file system has."""
    log(runs, "b.jsonl", "events.out.tfevents.2", "a.jsonl", "events.out.tfevents.1", "c.tfevents.v2")

    assert found(runs)["runs"] == [
        "|a.jsonl",
        "|b.jsonl",
        "|c.tfevents.v2",
        "|events.out.tfevents.1",
        "|events.out.tfevents.2",
    ]


def test_what_is_no_log(runs: Path) -> None:
    """Dummies of Keras, half-synchronised copies, and files of other kinds are passed over."""
    log(runs, "events.out.tfevents.1.profile-empty", ".events.out.tfevents.1.Xy12", "loss.png", "jsonl", "a.jsonl.gz")

    assert found(runs) == {}


def test_splits_belong_to_the_run_above_them(runs: Path) -> None:
    """train/ and its like put their name before their tags; others are runs."""
    for split in ("train", "validation", "val", "eval", "test"):
        log(runs, f"exp/{split}/events.tfevents.1")
    log(runs, "exp/other/events.tfevents.1")

    assert found(runs) == {
        "exp": [f"{split}/|{split}/events.tfevents.1" for split in ("eval", "test", "train", "val", "validation")],
        "exp/other": ["|events.tfevents.1"],
    }


def test_splits_of_splits(runs: Path) -> None:
    """An evaluation below train/ belongs to the same run; a run below train/ does not."""
    log(runs, "exp/a.jsonl", "exp/train/eval/b.jsonl", "exp/train/fold1/c.jsonl")

    assert found(runs) == {
        "exp": ["|a.jsonl", "train/eval/|train/eval/b.jsonl"],
        "exp/train/fold1": ["|c.jsonl"],
    }


def test_a_split_that_is_asked_for_is_a_run(runs: Path) -> None:
    """Nothing above the given path is looked at."""
    log(runs, "train/a.jsonl")

    assert found(runs / "train") == {"train": ["|a.jsonl"]}
    assert found(runs) == {"runs": ["train/|train/a.jsonl"]}


@pytest.mark.parametrize("name", ["lrwatch", ".hidden", "1667356788.91", "1700000000.1234567"])
def test_directories_that_are_passed_over(runs: Path, name: str) -> None:
    """The watcher's own, hidden ones, and the sub-runs of add_hparams; as the given path each is looked into."""
    log(runs, f"exp/{name}/journal.jsonl", f"exp/{name}/below/journal.jsonl")

    assert found(runs) == {}
    assert found(runs / "exp" / name) == {name: ["|journal.jsonl"], "below": ["|journal.jsonl"]}


@pytest.mark.parametrize("name", ["1667356788", "3.5", "v1.0", "lrwatch2"])
def test_directories_that_only_resemble_them(runs: Path, name: str) -> None:
    """A number is a name."""
    log(runs, f"{name}/a.jsonl")

    assert found(runs) == {name: ["|a.jsonl"]}


def test_nothing_there(runs: Path) -> None:
    """A missing and an empty path are waited for; so is a link that leads nowhere."""
    (runs / "dangling").symlink_to("nowhere")

    assert discover(runs / "missing") == []
    assert discover(runs) == []
    assert discover(runs / "dangling") == []


def test_a_file(runs: Path) -> None:
    """The run is its directory, by that one's own name, and holds only that file, whatever it is called."""
    log(runs, "exp/train.log", "exp/other.jsonl")
    path = runs / "exp" / "train.log"

    assert discover(path) == [RunFiles("exp", runs / "exp", (LogFile(path, ""),))]


def test_a_relative_path_has_a_name(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` is called what it is called from outside."""
    log(runs, "a.jsonl")
    monkeypatch.chdir(runs)

    assert [run.name for run in discover(Path())] == ["runs"]
    assert [run.name for run in discover(Path("a.jsonl"))] == ["runs"]
    assert [run.name for run in discover(Path("../runs"))] == ["runs"]


def test_standard_input() -> None:
    """`-` is one run, whose state belongs into the working directory."""
    assert discover(Path("-")) == [RunFiles("stdin", Path(), (LogFile(Path("-"), ""),))]


def test_links_are_followed(runs: Path, tmp_path: Path) -> None:
    """Logs may lie elsewhere."""
    log(tmp_path / "scratch", "a.jsonl", "b.jsonl")
    (runs / "exp").symlink_to(tmp_path / "scratch")
    log(runs, "own/c.jsonl")
    (runs / "own" / "d.jsonl").symlink_to(tmp_path / "scratch" / "b.jsonl")

    assert found(runs) == {"exp": ["|a.jsonl", "|b.jsonl"], "own": ["|c.jsonl", "|d.jsonl"]}


def test_links_do_not_loop(runs: Path) -> None:
    """A directory is looked through once, under its real name, whatever links to it."""
    log(runs, "b/exp1/a.jsonl")
    (runs / "a_latest").symlink_to("b/exp1")
    (runs / "b" / "up").symlink_to("..")
    (runs / "b" / "self").symlink_to(".")
    (runs / "b" / "exp1" / "z.jsonl").symlink_to("a.jsonl")
    (runs / "b" / "exp1" / "0.jsonl").symlink_to("a.jsonl")

    assert found(runs) == {"b/exp1": ["|a.jsonl"]}


def test_what_is_no_file_is_no_log(runs: Path) -> None:
    """A pipe and a directory may be called like a log."""
    os.mkfifo(runs / "pipe.jsonl")
    log(runs, "dir.jsonl/a.jsonl")

    assert found(runs) == {"dir.jsonl": ["|a.jsonl"]}


def test_a_name_that_is_no_utf8_can_be_printed(runs: Path) -> None:
    """Its directory keeps its bytes."""
    directory = Path(os.fsdecode(os.fsencode(runs) + b"/caf\xe9"))
    log(directory, "a.jsonl")

    (run,) = discover(runs)

    assert run.name == "caf\ufffd"
    assert run.directory == directory


def test_directories_may_vanish_meanwhile(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be looked into is passed over; the others are found."""
    log(runs, "a/a.jsonl", "b/b.jsonl")
    scandir = os.scandir

    def vanishing(path: Path) -> object:
        if path.name == "a":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)

    assert found(runs) == {"b": ["|b.jsonl"]}


def test_deep_trees(runs: Path) -> None:
    """Depth is no recursion."""
    log(runs.joinpath(*["d"] * 300), "a.jsonl")

    assert list(found(runs)) == ["/".join(["d"] * 300)]
