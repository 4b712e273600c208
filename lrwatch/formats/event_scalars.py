"""The scalars in one event of TensorBoard, in every encoding that writers use.

Sources: tensorboard's event.proto, summary.proto and tensor.proto; torch.utils.tensorboard and tensorboardX
write `simple_value`, TensorFlow and Keras a tensor of one element that belongs to the plugin ``scalars``.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

SCALARS = "scalars"
MAX_TAGS = 65536


class Tags:
    """What a tag's tensors are, as the first event that carries it says: later ones may leave it out."""

    def __init__(self) -> None:
        self._scalar: dict[str, bool] = {}

    def settle(self, tag: str, *, is_scalar: bool) -> None:
        """Note what the first event of `tag` says; later words change nothing."""
        if len(self._scalar) < MAX_TAGS:
            self._scalar.setdefault(tag, is_scalar)

    def known(self, tag: str) -> bool | None:
        """Return whether the tensors of `tag` are scalars; None before its first event."""
        return self._scalar.get(tag)


def scalars(summary: summary_pb2.Summary, tags: Tags) -> Iterator[tuple[str, float]]:
    """Give tag and value of each scalar in `summary`, passing over images, texts, histograms and the like."""
    for value in summary.value:
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            yield value.tag, value.simple_value
        elif kind == "tensor":
            labelled = says_scalar(value.metadata) if value.HasField("metadata") else None
            known = tags.known(value.tag)
            is_scalar = labelled if labelled is not None else known is not False
            tags.settle(value.tag, is_scalar=is_scalar)
            if is_scalar and (number := _single(value.tensor)) is not None:
                yield value.tag, number


def says_scalar(metadata: summary_pb2.SummaryMetadata) -> bool | None:
    """Return whether `metadata` is that of a scalar; None where it does not say."""
    if metadata.data_class == summary_pb2.DATA_CLASS_SCALAR:
        return True
    plugin = metadata.plugin_data.plugin_name
    return plugin == SCALARS if plugin else None


def _single(tensor: tensor_pb2.TensorProto) -> float | None:
    """Return the number in a tensor of exactly one element; None for any other.

    Nothing is allocated by what the shape claims: eighteen bytes can claim 32 GiB.
    """
    shape = tensor.tensor_shape
    if shape.unknown_rank or any(dimension.size != 1 for dimension in shape.dim):
        return None
    if tensor.tensor_content:
        dtype = _CONTENT.get(tensor.dtype)
        if dtype is None or len(tensor.tensor_content) != dtype.itemsize:
            return None
        word = np.frombuffer(tensor.tensor_content, dtype)
        return _from_bfloat16(int(word[0])) if tensor.dtype == types_pb2.DT_BFLOAT16 else float(word[0])
    if tensor.dtype in _HALVES:
        if len(tensor.half_val) != 1:
            return None
        bits = tensor.half_val[0] & 0xFFFF
        if tensor.dtype == types_pb2.DT_BFLOAT16:
            return _from_bfloat16(bits)
        return float(np.array([bits], np.uint16).view(np.float16)[0])
    repeated = _REPEATED.get(tensor.dtype)
    if repeated is None:
        return None
    numbers = getattr(tensor, repeated)
    return float(numbers[0]) if len(numbers) == 1 else None


def _from_bfloat16(bits: int) -> float:
    """Return a bfloat16, which is the upper half of a float32."""
    return float(np.array([bits << 16], np.uint32).view(np.float32)[0])


_HALVES = frozenset({types_pb2.DT_HALF, types_pb2.DT_BFLOAT16})
_CONTENT: dict[int, np.dtype[Any]] = {
    types_pb2.DT_FLOAT: np.dtype("<f4"),
    types_pb2.DT_DOUBLE: np.dtype("<f8"),
    types_pb2.DT_HALF: np.dtype("<f2"),
    types_pb2.DT_BFLOAT16: np.dtype("<u2"),
    types_pb2.DT_INT8: np.dtype("<i1"),
    types_pb2.DT_INT16: np.dtype("<i2"),
    types_pb2.DT_INT32: np.dtype("<i4"),
    types_pb2.DT_INT64: np.dtype("<i8"),
    types_pb2.DT_UINT8: np.dtype("<u1"),
    types_pb2.DT_UINT16: np.dtype("<u2"),
    types_pb2.DT_UINT32: np.dtype("<u4"),
    types_pb2.DT_UINT64: np.dtype("<u8"),
}
_REPEATED = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
}
