"""The demo: a real small training, a real daemon, and the same training without it."""

from lrwatch.demo.run import run_demo

__all__ = ["run_demo"]
