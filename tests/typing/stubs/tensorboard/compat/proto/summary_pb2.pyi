from collections.abc import Iterable
from typing import ClassVar, Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.tensor_pb2 import TensorProto

DATA_CLASS_UNKNOWN: int
DATA_CLASS_SCALAR: int
DATA_CLASS_TENSOR: int
DATA_CLASS_BLOB_SEQUENCE: int

class SummaryMetadata(Message):
    class PluginData(Message):
        plugin_name: str
        content: bytes
        def __init__(self, *, plugin_name: str = ..., content: bytes = ...) -> None: ...

    display_name: str
    summary_description: str
    data_class: int
    @property
    def plugin_data(self) -> PluginData: ...
    def __init__(
        self,
        *,
        plugin_data: PluginData | None = ...,
        display_name: str = ...,
        summary_description: str = ...,
        data_class: int = ...,
    ) -> None: ...
    @classmethod
    def FromString(cls, s: bytes) -> SummaryMetadata: ...

class Summary(Message):
    class Image(Message):
        height: int
        width: int
        encoded_image_string: bytes
        def __init__(
            self, *, height: int = ..., width: int = ..., encoded_image_string: bytes = ...
        ) -> None: ...

    class Value(Message):
        tag: str
        node_name: str
        simple_value: float
        @property
        def image(self) -> Summary.Image: ...
        @property
        def histo(self) -> HistogramProto: ...
        @property
        def tensor(self) -> TensorProto: ...
        @property
        def metadata(self) -> SummaryMetadata: ...
        def __init__(
            self,
            *,
            tag: str = ...,
            node_name: str = ...,
            simple_value: float = ...,
            image: Summary.Image | None = ...,
            histo: HistogramProto | None = ...,
            tensor: TensorProto | None = ...,
            metadata: SummaryMetadata | None = ...,
        ) -> None: ...
        def HasField(
            self,
            field_name: Literal["simple_value", "image", "histo", "audio", "tensor", "metadata"],
        ) -> bool: ...
        def WhichOneof(
            self, oneof_group: Literal["value"]
        ) -> (
            Literal["simple_value", "obsolete_old_style_histogram", "image", "histo", "audio", "tensor"]
            | None
        ): ...

    @property
    def value(self) -> RepeatedCompositeFieldContainer[Summary.Value]: ...
    def __init__(self, *, value: Iterable[Summary.Value] = ...) -> None: ...
