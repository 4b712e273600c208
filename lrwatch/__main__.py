"""Lets `python -m lrwatch` be `lrwatch`."""

from lrwatch.cli import main

if __name__ == "__main__":
    main()
