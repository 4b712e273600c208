"""The training side: standard library and `lrwatch.protocol` only, so that any training image can carry it.

`steering` decides what scale holds at a step, `client` does the reading and the acknowledging, and one small
adapter per framework multiplies the learning rate.
"""

from lrwatch.client.client import Client

__all__ = ["Client"]
