"""lrwatch: watches a training's logs and adjusts its learning rate through a control file."""

__version__ = "0.1.0"
