"""The files that the watcher and the training exchange; standard library only, shared by both sides.

`control` is the desired state, `plan` how it moves over steps, `acknowledgement` what became of it, and
`document` how any of them is read without trust and replaced without a torn moment.
"""

from lrwatch.protocol.acknowledgement import Acknowledgement, decode_acknowledgement
from lrwatch.protocol.control import Control, Request, Why, decode_control, initial_control
from lrwatch.protocol.plan import Plan, Segment, hold, plan_from_json, ramp

__all__ = [
    "Acknowledgement",
    "Control",
    "Plan",
    "Request",
    "Segment",
    "Why",
    "decode_acknowledgement",
    "decode_control",
    "hold",
    "initial_control",
    "plan_from_json",
    "ramp",
]
