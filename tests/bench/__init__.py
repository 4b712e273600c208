"""Benches: each prints a table and asserts nothing; run one with ``python -m tests.bench.NAME``."""
