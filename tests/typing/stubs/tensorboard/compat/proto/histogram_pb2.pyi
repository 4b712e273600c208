from collections.abc import Iterable

from google.protobuf.message import Message

class HistogramProto(Message):
    min: float
    max: float
    num: float
    sum: float
    sum_squares: float
    def __init__(
        self,
        *,
        min: float = ...,
        max: float = ...,
        num: float = ...,
        sum: float = ...,
        sum_squares: float = ...,
        bucket_limit: Iterable[float] = ...,
        bucket: Iterable[float] = ...,
    ) -> None: ...
