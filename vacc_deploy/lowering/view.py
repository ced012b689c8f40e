"""A read-only look at a quantised ONNX graph: which tensors are quantised how, and which nodes are spoken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.graph import Form, Operand, Quantization, Value

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)


class GraphView:
    """Answers the selectors' questions about an ONNX graph and records which nodes they took.

    1. A *quantised* tensor is the output of a QuantizeLinear; everything that reads it does so through a
       DequantizeLinear of the same scale and zero point.
    2. Float tensors are stored as `storage` (float16, or float32 for debugging).
    3. A node that a selector took is computed by that selector's step and by nothing else.

    Args:
        graph: A graph with static shapes and unique node names.
        storage: The numpy type that float tensors are stored as.
    """

    def __init__(self, graph: ir.Graph, storage: str = "float16") -> None:
        self.graph = graph
        self.storage = storage
        self.order = {node: index for index, node in enumerate(graph)}
        self._taken: dict[ir.Node, list[ir.Node]] = {}  # node → the nodes that one step computes with it

    def take(self, nodes: Sequence[ir.Node]) -> None:
        """Mark nodes as computed by one step."""
        together = list(nodes)
        self._taken.update(dict.fromkeys(together, together))

    def position(self, node: ir.Node) -> int:
        """Where the step that took `node` belongs: at the last of its nodes."""
        return max(self.order[member] for member in self._taken[node])

    def is_folded(self, value: ir.Value) -> bool:
        """Whether a value is a constant that the selectors fold into weights."""
        return self.dequantized_constant(value) is not None

    def is_taken(self, node: ir.Node) -> bool:
        """Whether some step computes this node already."""
        return node in self._taken

    def constant(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The tensor behind an initialiser, or None for an activation or an absent input."""
        if value is None or value.const_value is None:
            return None
        return np.asarray(value.const_value.numpy())

    def sole_consumer(self, value: ir.Value) -> ir.Node | None:
        """The only node that reads `value`, if there is just one and it is not also a graph output."""
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            return None
        return uses[0][0]

    def quantization(self, node: ir.Node) -> Quantization | None:
        """Per-tensor scale and zero point of a QuantizeLinear or DequantizeLinear, None if per axis."""
        scale = self.constant(node.inputs[1])
        zero = self.constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
        if scale is None or zero is None or scale.size != 1:
            return None
        signed = zero.dtype == np.int8
        if not signed and zero.dtype != np.uint8:
            return None
        return Quantization(np.float32(scale.reshape(())), int(zero.reshape(())) + 128 * signed, bool(signed))

    def dequantized_constant(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """Not None if `value` is a constant, directly or through a DequantizeLinear: its float value."""
        direct = self.constant(value)
        if direct is not None or value is None:
            return direct
        node = value.producer()
        if node is None or node.op_type != "DequantizeLinear":
            return None
        quantized = self.constant(node.inputs[0])
        scale = self.constant(node.inputs[1])
        if quantized is None or scale is None:
            return None
        zero = self.constant(node.inputs[2]) if len(node.inputs) > 2 else None
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
        shape = [1] * quantized.ndim
        if scale.size > 1:
            shape[axis] = scale.size
        shifted = quantized.astype(np.int32) - (
            0 if zero is None else zero.astype(np.int32).reshape(shape if zero.size > 1 else ())
        )
        return (shifted.astype(np.float32) * scale.astype(np.float32).reshape(shape if scale.size > 1 else ())).astype(
            np.float32
        )

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """The static shape of a tensor.

        Raises:
            ModelError: The shape is unknown or symbolic.
        """
        dims = None if value.shape is None else [d if isinstance(d, int) else None for d in value.shape]
        if dims is None or any(d is None for d in dims):
            raise ModelError(
                f"tensor '{value.name}' has no static shape",
                why=f"its shape is {value.shape}",
                hint="give every input a fixed shape in frontend.shape, or export with --size",
            )
        return tuple(int(d) for d in dims if d is not None)

    def float_value(self, value: ir.Value) -> Value:
        """A tensor that is not quantised, as it is stored."""
        assert value.name is not None
        dtype = value.dtype
        stored = self.storage if dtype is None or dtype in _FLOATS else dtype.numpy().name
        return Value(value.name, self.shape(value), stored)

    def quantized_input(self, value: ir.Value | None) -> Value | None:
        """The quantised tensor behind a DequantizeLinear that makes `value`, if it is one of a plane's shape."""
        if value is None:
            return None
        node = value.producer()
        if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
            return None
        if self.constant(node.inputs[0]) is not None or len(self.shape(node.inputs[0])) not in (2, 4):
            return None
        quantization = self.quantization(node)
        if quantization is None:
            return None
        name = node.inputs[0].name
        assert name is not None
        return Value(name, self.shape(node.inputs[0]), self.storage, quantization)

    def quantized_output(self, value: ir.Value) -> tuple[ir.Node, Value] | None:
        """The QuantizeLinear that alone reads `value`, and the tensor that it makes."""
        node = self.sole_consumer(value)
        if node is None or node.op_type != "QuantizeLinear" or node.inputs[0] is not value:
            return None
        quantization = self.quantization(node)
        if quantization is None or len(self.shape(value)) not in (2, 4):
            return None
        output = node.outputs[0]
        assert output.name is not None
        return node, Value(output.name, self.shape(value), self.storage, quantization)

    def plain(self, value: ir.Value) -> Operand:
        """A tensor read in ONNX's own layout."""
        return Operand(self.float_value(value), Form.PLAIN)

    def is_float_picture(self, value: ir.Value | None) -> bool:
        """Whether a tensor is a float activation of four dimensions."""
        return (
            value is not None
            and value.const_value is None
            and len(self.shape(value)) == 4
            and (value.dtype is None or value.dtype in _FLOATS)
        )
