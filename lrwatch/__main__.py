"""The way in: `lrwatch`, and `python -m lrwatch`."""

import sys


def main() -> None:
    """Run the command line, or say what is missing where only the training side is installed."""
    try:
        from lrwatch.cli import main as command
    except ModuleNotFoundError as error:
        sys.exit(f"lrwatch: the command line needs {error.name}: install lrwatch with its dependencies")
    command()


if __name__ == "__main__":
    main()
