"""What importing the client costs, and what it needs."""

import subprocess
import sys
from pathlib import Path

import lrwatch

ROOT = Path(lrwatch.__file__).parents[1]


def _isolated(code: str) -> str:
    """Run `code` with the standard library and lrwatch's sources, and nothing else that is installed."""
    prelude = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", prelude + code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    """A training container carries lrwatch without any of its dependencies."""
    _isolated("import lrwatch; lrwatch.Client; lrwatch.attach; import lrwatch.client.torch, lrwatch.protocol")


def test_the_client_imports_no_framework() -> None:
    """Where they are installed, the heavy ones still stay out."""
    code = (
        "import sys, lrwatch; lrwatch.Client; lrwatch.attach\n"
        "heavy = 'numpy tensorboard torch click prometheus_client rich watchdog google'\n"
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_package_alone_imports_nothing_of_its_own() -> None:
    """`import lrwatch` gives the version; the rest comes when it is asked for."""
    code = "import lrwatch; print(lrwatch.__version__, sorted(n for n in sys.modules if n.startswith('lrwatch')))"
    assert _isolated(code).strip() == f"{lrwatch.__version__} ['lrwatch']"


def test_the_package_shows_its_names_and_no_others() -> None:
    """The lazy names are real, and a wrong one is an AttributeError as usual."""
    from lrwatch.client.client import Client
    from lrwatch.client.torch import attach

    assert lrwatch.Client is Client
    assert lrwatch.attach is attach
    assert set(lrwatch.__all__) == {"Client", "__version__", "attach"}
    assert not hasattr(lrwatch, "attach_all")


def test_a_client_works_without_any_package(tmp_path: Path) -> None:
    """From the first step to the clean end, on the standard library alone."""
    code = (
        "import lrwatch\n"
        f"with lrwatch.Client({str(tmp_path)!r}) as client:\n"
        "    print([client.scale(step) for step in range(3)], dict(client.rejections))"
    )
    assert _isolated(code).strip() == "[1.0, 1.0, 1.0] {}"
    assert (tmp_path / "lrwatch" / "ack.json").exists()
