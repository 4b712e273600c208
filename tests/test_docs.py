"""What the documentation says is there, and what is there is documented."""

import re
import tomllib
from pathlib import Path

import pytest

from lrwatch.cli import main
from lrwatch.config import parse_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme_and_has_help(command: str) -> None:
    """A command that a reader cannot find does not exist."""
    assert f"lrwatch {command}" in README
    assert main.commands[command].help


def test_the_readme_configuration_is_valid() -> None:
    """Whoever copies the example gets a configuration that works."""
    (example,) = blocks("toml")

    parse_config(tomllib.loads(example))


def test_the_readme_python_compiles() -> None:
    """No example has a typing mistake."""
    for example in blocks("python"):
        compile(example, "README.md", "exec")


def test_every_bench_is_listed() -> None:
    """A figure that nobody can make again is no figure."""
    listed = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    for bench in sorted((ROOT / "tests" / "bench").glob("[a-z]*.py")):
        assert f"python -m tests.bench.{bench.stem}" in listed


@pytest.mark.parametrize("document", ["README.md", "deploy/README.md", "tests/README.md", "lrwatch/detect/README.md"])
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link points at a file of the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (ROOT / document).parent.joinpath(link).exists(), link
