"""Console output and log files: lines that a training prints for people, told apart by their shapes.

`lrwatch.formats.text.log.TextLog` is the format; each framework's way of printing is a family in a file of its
own (`lrwatch.formats.text.family.Family`). To add one: write the file, put the class into `FAMILIES`.
"""

from lrwatch.formats.text.log import FAMILIES, TextLog, looks_like_text_log

__all__ = ["FAMILIES", "TextLog", "looks_like_text_log"]
