"""Who may import whom. Every module has a row; it imports only from rows below its own."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "lrwatch"
ROOT = Path(__file__).resolve().parent.parent

# From below to above. A name is a module or a whole package, whose own files may import each other.
ROWS: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split())
    for row in (
        "errors",
        "protocol model clock",
        "client",
        "config plugins",
        "tail formats",
        "series roles source",
        "detect",
        "policy",
        "control telemetry",
        "watcher",
        "daemon replay embedded",
        "demo inspect report run status",
        "shown",
        "cli",
        "__main__",
    )
)
ROW_OF = {name: height for height, row in enumerate(ROWS) for name in row}

# These two also run where none of the dependencies is installed: every import counts, lazy ones too.
STANDARD_LIBRARY_AND = {"client": {"errors", "protocol"}, "protocol": {"errors"}}

# An adapter is imported by people who use its framework.
FRAMEWORKS = {
    "client/torch.py": {"torch"},
    "client/lightning.py": {"lightning", "pytorch_lightning", "torch"},
    "client/transformers.py": {"transformers", "torch"},
    "client/keras.py": {"keras", "tensorflow"},
    "client/optax.py": {"optax", "jax"},
}

INIT = "__init__"
TESTING = "testing"


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the whole dotted name, and whether it stands in the body of `__getattr__`."""

    line: int
    name: str
    on_demand: bool


def imports(path: Path, module: str) -> Iterator[Import]:
    """Yield every import of a file that is carried out at run time, wherever it stands."""
    is_package = path.name == "__init__.py"
    yield from _imports(ast.parse(path.read_text("utf-8"), str(path)), module, is_package, on_demand=False)


def _imports(node: ast.AST, module: str, is_package: bool, *, on_demand: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        for statement in node.orelse:
            yield from _imports(statement, module, is_package, on_demand=on_demand)
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name, on_demand)
    elif isinstance(node, ast.ImportFrom):
        base = _base(node, module, is_package)
        for alias in node.names:
            yield Import(node.lineno, f"{base}.{alias.name}", on_demand)
    elif isinstance(node, ast.Call) and _calls_import(node.func):
        for argument in node.args[:1]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(node.lineno, _resolved(argument.value, module, is_package), on_demand)
    inside = on_demand or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, module, is_package, on_demand=inside)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _calls_import(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id in ("import_module", "__import__")) or (
        isinstance(function, ast.Attribute) and function.attr == "import_module"
    )


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    return _resolved("." * node.level + (node.module or ""), module, is_package)


def _resolved(name: str, module: str, is_package: bool) -> str:
    """Return the absolute name of a relative one."""
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parents = module.split(".")
    kept = parents[: len(parents) - level + is_package]
    return ".".join([*kept, *filter(None, [name[level:]])])


def unit_of(name: str, package: Path) -> str | None:
    """Return the module or package of a row that a dotted name belongs to; None for the root itself."""
    parts = name.split(".")
    if len(parts) < 2 or not ((package / parts[1]).is_dir() or (package / f"{parts[1]}.py").is_file()):
        return None
    return parts[1]


def violations(package: Path) -> list[str]:
    """Return what breaks the rows in the package at `package`, one sentence each."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        module = ".".join([PACKAGE, *inside.with_suffix("").parts]).removesuffix(f".{INIT}")
        unit = inside.parts[0].removesuffix(".py")
        if unit not in ROW_OF and unit not in {INIT, TESTING}:
            found.append(f"{inside}: {unit} has no row; place it in tests/test_layers.py and in the design")
            continue
        for statement in imports(path, module):
            complaint = _complaint(unit, inside, statement, package)
            if complaint is not None:
                found.append(f"{inside}:{statement.line}: {complaint}")
    return found


def _complaint(unit: str, inside: Path, statement: Import, package: Path) -> str | None:
    top = statement.name.partition(".")[0]
    if unit == TESTING:
        return None
    if top != PACKAGE:
        lean = unit in STANDARD_LIBRARY_AND or unit == INIT
        allowed = sys.stdlib_module_names | FRAMEWORKS.get(inside.as_posix(), set())
        return f"{unit} imports {top}, which is not in the standard library" if lean and top not in allowed else None
    target = unit_of(statement.name, package)
    if target is None or target == unit:
        return None
    if target == TESTING:
        return f"{unit} imports {target}, which is for tests"
    if unit == INIT:
        on_demand = target == "client" and statement.on_demand
        return None if on_demand else f"the package imports {target} as soon as it is imported itself"
    if unit in STANDARD_LIBRARY_AND:
        return None if target in STANDARD_LIBRARY_AND[unit] else f"{unit} imports {target}"
    if target not in ROW_OF:
        return f"{unit} imports {target}, which has no row"
    if ROW_OF[target] < ROW_OF[unit]:
        return None
    return f"{unit} imports {target}, which is {'beside' if ROW_OF[target] == ROW_OF[unit] else 'above'} it"


def test_rows() -> None:
    """A module imports only from rows below its own, and every module has a row."""
    assert violations(ROOT / PACKAGE) == []


def test_the_package_was_found() -> None:
    """An empty answer comes from clean files and not from an empty directory."""
    assert len(list((ROOT / PACKAGE).rglob("*.py"))) > 5


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("series.py", "from lrwatch.detect import base", "series imports detect, which is above it"),
        ("series.py", "from lrwatch.roles import x", "series imports roles, which is beside it"),
        ("series.py", "import lrwatch.detect.base", "series imports detect, which is above it"),
        ("series.py", "from lrwatch import detect", "series imports detect, which is above it"),
        ("series.py", "from . import detect", "series imports detect, which is above it"),
        ("series.py", "def f():\n    from .detect import base", "series imports detect, which is above it"),
        ("series.py", "import importlib\nimportlib.import_module('lrwatch.detect')", "which is above it"),
        ("series.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import lrwatch.detect", "which is above it"),
        ("detect/plateau.py", "from ..policy import rules", "detect imports policy, which is above it"),
        ("detect/__init__.py", "from .. import policy", "detect imports policy, which is above it"),
        ("formats/jsonl.py", "from lrwatch.tail import x", "formats imports tail, which is beside it"),
        ("demo.py", "import lrwatch.status", "demo imports status, which is beside it"),
        ("cli.py", "from lrwatch.testing import FakeClock", "cli imports testing, which is for tests"),
        ("model.py", "from lrwatch.client import Client", "model imports client, which is above it"),
        ("protocol/plan.py", "def f():\n    import numpy", "protocol imports numpy"),
        ("protocol/plan.py", "from lrwatch.model import Gap", "protocol imports model"),
        ("client/steering.py", "from lrwatch.clock import Clock", "client imports clock"),
        ("client/steering.py", "import torch", "client imports torch"),
        ("client/torch.py", "import numpy", "client imports numpy"),
        ("__init__.py", "from lrwatch.client import Client", "the package imports client as soon as"),
        ("__init__.py", "def __getattr__(name):\n    import lrwatch.daemon", "the package imports daemon"),
        ("__init__.py", "import numpy", "which is not in the standard library"),
        ("novelty.py", "import json", "novelty has no row"),
        ("novelty/thing.py", "", "novelty has no row"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    """The check finds each way to break a row, in a tree that holds nothing else wrong."""
    fake_tree(tmp_path, file, source)

    (found,) = violations(tmp_path)

    assert complaint in found
    assert found.startswith(file)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("detect/plateau.py", "from lrwatch.detect.base import x\nfrom . import online\nimport numpy"),
        ("series.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lrwatch.detect import base"),
        ("series.py", "import typing\nif typing.TYPE_CHECKING:\n    from lrwatch.detect import base"),
        ("source.py", "from lrwatch.tail import follower\nfrom lrwatch.formats import jsonl"),
        ("telemetry/metrics.py", "from lrwatch import __version__\nfrom lrwatch.model import KINDS"),
        ("demo.py", "from lrwatch.daemon import Daemon"),
        ("__main__.py", "from lrwatch.cli import main"),
        ("client/torch.py", "import torch\nfrom lrwatch.client.steering import x\nfrom lrwatch import protocol"),
        ("testing/kit.py", "import torch\nfrom lrwatch import daemon"),
        ("__init__.py", "def __getattr__(name):\n    from lrwatch.client import Client"),
        ("__init__.py", "def __getattr__(name):\n    return importlib.import_module('lrwatch.client')"),
    ],
)
def test_a_permitted_import_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    """The check does not complain of what the rows allow."""
    fake_tree(tmp_path, file, source)

    assert violations(tmp_path) == []


def fake_tree(package: Path, file: str, source: str) -> None:
    """Make a package with every row in it, all of it empty but for `source` in one file."""
    for name in (*ROW_OF, TESTING):
        if Path(file).parts[0] == name:
            continue
        (package / f"{name}.py").touch()
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, "utf-8")
