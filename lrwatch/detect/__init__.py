"""Judges: one file per verdict kind, over shared statistics."""
