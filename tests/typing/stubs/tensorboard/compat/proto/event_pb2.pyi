from typing import ClassVar, Literal

from google.protobuf.message import Message
from tensorboard.compat.proto.summary_pb2 import Summary

class SessionLog(Message):
    STATUS_UNSPECIFIED: ClassVar[int]
    START: ClassVar[int]
    STOP: ClassVar[int]
    CHECKPOINT: ClassVar[int]
    status: int
    def __init__(self, *, status: int = ...) -> None: ...

class Event(Message):
    wall_time: float
    step: int
    file_version: str
    graph_def: bytes
    @property
    def summary(self) -> Summary: ...
    @property
    def session_log(self) -> SessionLog: ...
    def __init__(
        self,
        *,
        wall_time: float = ...,
        step: int = ...,
        file_version: str = ...,
        graph_def: bytes = ...,
        summary: Summary | None = ...,
        session_log: SessionLog | None = ...,
    ) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> Event: ...
    def HasField(
        self,
        field_name: Literal["file_version", "graph_def", "summary", "session_log"],
    ) -> bool: ...
