"""What an ONNX file says of itself, read from the parsed file as it is: operators, inputs, their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_STANDARD_DOMAINS = ("", "ai.onnx")  # onnx_ir writes the empty one for both


def opset_version(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that `model` uses; 0 where it names none."""
    versions = (entry.version for entry in model.opset_import if entry.domain in _STANDARD_DOMAINS)
    return max(versions, default=0)


def operator_name(node: onnx.NodeProto) -> str:
    """``Conv`` for a standard operator, ``com.microsoft.FusedConv`` for one of another domain."""
    return node.op_type if node.domain in _STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def node_label(node: onnx.NodeProto) -> str:
    """What to call a node in a message: its name, or what it makes."""
    return node.name or f"that makes {', '.join(node.output)}"


def real_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller must feed; old files list their weights as inputs too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def declared_shape(value: onnx.ValueInfoProto) -> list[int | str]:
    """The shape in the file: sizes, and for open dimensions their names or ``?``."""
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or "?") for dim in dims]


def with_batch_of_one(shape: Sequence[int | str]) -> list[int | str]:
    """A declared shape, with a batch of 1 where the batch alone is open, as dynamic axes often leave it."""
    rest = list(shape[1:])
    batch_is_open = bool(rest) and not isinstance(shape[0], int)
    return [1, *rest] if batch_is_open and all(isinstance(size, int) for size in rest) else list(shape)
