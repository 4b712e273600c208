"""Which runs lie below a path, and which files belong to each."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OWN = "lrwatch"
"""The directory of the watcher's own files."""

SPLITS = frozenset({"train", "validation", "val", "eval", "test"})
"""Sub-directories that belong to the run above them."""

STANDARD_INPUT = Path("-")

_HPARAMS = re.compile(r"[0-9]{9,}\.[0-9]+")  # the unix time at which torch's add_hparams makes a sub-run


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of a run.

    Parameters
    ----------
    path
        Where it is.
    prefix
        What is put before its tags: ``train/`` for a file in the sub-directory ``train``, else nothing.
    """

    path: Path
    prefix: str


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run: a directory that holds logs.

    Parameters
    ----------
    name
        The path below the one that was looked through, with ``/``; for that one itself, its own name.
    directory
        Where the run lies.
    files
        Its logs, in the order of their paths.
    """

    name: str
    directory: Path
    files: tuple[LogFile, ...]


def discover(path: Path) -> list[RunFiles]:
    """Find the runs at and below `path`.

    Directories are looked through without the watcher's own (``lrwatch``), hidden ones, and sub-runs made by
    ``add_hparams``. Symbolic links are followed, but each directory is looked through once, under its real
    path where that lies below `path`. What vanishes or cannot be read meanwhile is passed over.

    Returns
    -------
    list of RunFiles
        Ordered by directory; empty where `path` is missing or holds no logs. For a file, whatever its name,
        the one run is its directory and holds nothing else; ``-`` is standard input.
    """
    if path == STANDARD_INPUT:
        return [RunFiles("stdin", Path(), (LogFile(path, ""),))]
    if not os.path.isdir(path):
        if not os.path.exists(path):
            return []
        return [RunFiles(_own_name(path.parent), path.parent, (LogFile(path, ""),))]
    runs: dict[tuple[str, ...], list[LogFile]] = {}
    for parts, names in sorted(_directories(path)):
        depth = len(parts)
        while depth and parts[depth - 1] in SPLITS:
            depth -= 1
        prefix = "".join(f"{part}/" for part in parts[depth:])
        files = [LogFile(path.joinpath(*parts, name), prefix) for name in names]
        if files:
            runs.setdefault(parts[:depth], []).extend(files)
    return [
        RunFiles("/".join(map(_readable, parts)) or _own_name(path), path.joinpath(*parts), tuple(files))
        for parts, files in sorted(runs.items())
    ]


def _directories(root: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Give each directory, as its parts below `root`, with the names of the logs in it."""
    seen: set[tuple[int, int]] = set()
    linked: list[tuple[str, ...]] = [()]
    while linked:
        waiting, linked = sorted(linked, reverse=True), []
        while waiting:
            parts = waiting.pop()
            try:
                status = root.joinpath(*parts).stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(root.joinpath(*parts)) as entries:
                    names, directories, links = _look_through(entries, status.st_dev)
            except OSError:
                continue
            yield parts, names
            waiting.extend((*parts, name) for name in reversed(directories))
            # Real directories come first: a link "latest" must not give a run its name.
            linked.extend((*parts, name) for name in links)


def _look_through(entries: Iterator[os.DirEntry[str]], device: int) -> tuple[list[str], list[str], list[str]]:
    """Return the names of logs, of directories and of links to directories, as far as they are wanted.

    A log that has several names counts once, under one that is no symbolic link if there is such.
    """
    logs: dict[tuple[int, int], str] = {}
    linked_logs: dict[tuple[int, int], str] = {}
    directories: list[str] = []
    linked_directories: list[str] = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        with contextlib.suppress(OSError):
            is_link = entry.is_symlink()
            if entry.is_dir():
                if entry.name != OWN and not _HPARAMS.fullmatch(entry.name):
                    (linked_directories if is_link else directories).append(entry.name)
            elif _is_log(entry.name) and entry.is_file():
                if is_link:
                    status = entry.stat()
                    linked_logs.setdefault((status.st_dev, status.st_ino), entry.name)
                else:
                    logs.setdefault((device, entry.inode()), entry.name)
    return sorted((linked_logs | logs).values()), directories, linked_directories


def _is_log(name: str) -> bool:
    if name.endswith((".jsonl", ".ndjson", ".csv", ".log", ".txt", ".out", ".err")) or name == "trainer_state.json":
        return True
    return "tfevents" in name and not name.endswith(".profile-empty")


def _own_name(directory: Path) -> str:
    return _readable(os.path.basename(os.path.abspath(directory)) or os.sep)


def _readable(name: str) -> str:
    """Return a name that can be printed: file names may hold bytes that are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
