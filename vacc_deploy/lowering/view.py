"""A read-only look at a quantised ONNX graph: what is computed in integers, which nodes are spoken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.graph import Form, Operand, Quantization, Value
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference.fixed_point import dequantize, per_channel
from vacc_deploy.runtime.reference.qdq_groups import Codes, Group, codes_of, find_groups

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)

Array = npt.NDArray[Any]


class GraphView:
    """Answers the selectors' questions about an ONNX graph and records which nodes they took.

    1. What is computed in integers is what `runtime.reference` computes in integers: its groups decide.
    2. Float tensors are stored as `storage` (float16, or float32 for debugging), except that a convolution's
       sum reaches the InstanceNormalization that alone reads it in float32: the two round once, together.
    3. A node that a selector took is computed by that selector's step and by nothing else.

    Args:
        model: Static shapes and unique node names.
        storage: The numpy type that float tensors are stored as.
    """

    def __init__(self, model: ir.Model, storage: str = "float16") -> None:
        self.graph = model.graph
        self.storage = storage
        self.order = {node: index for index, node in enumerate(model.graph)}
        self._groups = find_groups(model)
        self._taken: dict[ir.Node, list[ir.Node]] = {}  # node → the nodes that one step computes with it

    def take(self, nodes: Sequence[ir.Node]) -> tuple[str, ...]:
        """Mark nodes as computed by one step; returns their names."""
        together = list(nodes)
        self._taken.update(dict.fromkeys(together, together))
        return tuple(str(node.name) for node in together)

    def is_taken(self, node: ir.Node) -> bool:
        """Whether some step computes this node already."""
        return node in self._taken

    def position(self, node: ir.Node) -> int:
        """Where the step that took `node` belongs: at the last of its nodes."""
        return max(self.order[member] for member in self._taken[node])

    def group(self, node: ir.Node) -> Group | None:
        """The integer group around an operator, if its tensors have a plane's shape."""
        group = self._groups.get(node)
        if group is None or self.is_taken(node):
            return None
        activations = [value for value in node.inputs if value is not None and self.folded(value) is None]
        ranks = {len(self.shape(value)) for value in (*activations, node.outputs[0])}
        return group if ranks <= {2, 4} else None

    def group_nodes(self, group: Group) -> list[ir.Node]:
        """The nodes of a group that a step computes; the DequantizeLinears are only looks at codes."""
        return [node for node in (group.node, group.activation, group.quantize) if node is not None]

    def constant(self, value: ir.Value | None) -> Array | None:
        """The tensor behind an initialiser, or None for an activation or an absent input."""
        return constant_of(value)

    def sole_consumer(self, value: ir.Value) -> ir.Node | None:
        """The only node that reads `value`, if there is just one and it is not also a graph output."""
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            return None
        return uses[0][0]

    def folded(self, value: ir.Value | None) -> Array | None:
        """The float value of a constant, directly or through a DequantizeLinear; None for activations."""
        direct = constant_of(value)
        if direct is not None or value is None:
            return direct
        node = value.producer()
        if node is None or node.op_type != "DequantizeLinear":
            return None
        codes = codes_of(node, codes=node.inputs[0])
        if codes.constant is None:
            return None
        scale = per_channel(codes.scale, codes.constant.ndim, codes.axis)
        return dequantize(codes.constant, scale, codes.zero_point)

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """The static shape of a tensor.

        Raises:
            ModelError: The shape is unknown or symbolic.
        """
        if value.shape is None or not all(isinstance(dim, int) for dim in value.shape):
            raise ModelError(
                f"tensor '{value.name}' has no static shape",
                why=f"its shape is {value.shape}",
                hint="give every input a fixed shape in frontend.shape, or export with --size",
            )
        return tuple(int(dim) for dim in value.shape if isinstance(dim, int))

    def float_value(self, value: ir.Value) -> Value:
        """A tensor that is not quantised, as it is stored."""
        dtype = value.dtype
        stored = self.storage if dtype is None or dtype in _FLOATS else dtype.numpy().name
        if stored == "float16" and self._is_normalised_sum(value):
            stored = "float32"
        return Value(str(value.name), self.shape(value), stored)

    def _is_normalised_sum(self, value: ir.Value) -> bool:
        """Whether a float convolution makes `value` and an InstanceNormalization alone reads it.

        Dividing by the picture's own spread magnifies the rounding in front of it: FSRNet would lose 2 dB.
        """
        conv, norm = value.producer(), self.sole_consumer(value)
        if conv is None or norm is None or norm.op_type != "InstanceNormalization" or conv in self._groups:
            return False
        constants = [operand for operand in (*conv.inputs[1:], *norm.inputs[1:]) if operand is not None]
        return (
            conv.op_type in ("Conv", "ConvTranspose")
            and self.is_float_picture(conv.inputs[0])
            and self.is_float_picture(value)
            and all(self.folded(operand) is not None for operand in constants)
        )

    def coded(self, codes: Codes, shape: Sequence[int]) -> Operand:
        """A tensor of 8-bit codes, as the plane that holds it."""
        signed = codes.dtype == "int8"
        quantization = Quantization(np.float32(codes.scale), codes.zero_point + 128 * signed, signed)
        return Operand(Value(codes.name, tuple(shape), self.storage, quantization), Form.QUANTIZED)

    def coded_input(self, group: Group, index: int) -> Operand:
        """Operand `index` of a group, which is not a constant."""
        value = group.node.inputs[index]
        assert value is not None
        return self.coded(group.operands[index], self.shape(value))

    def coded_output(self, group: Group) -> Operand:
        """The result of a group that ends in a QuantizeLinear."""
        assert group.output is not None
        return self.coded(group.output, self.shape(group.node.outputs[0]))

    def plain(self, value: ir.Value) -> Operand:
        """A tensor read in ONNX's own layout."""
        return Operand(self.float_value(value), Form.PLAIN)

    def float_plane(self, value: ir.Value) -> Operand:
        """A float picture as a plane."""
        return Operand(self.float_value(value), Form.FLOAT_PLANE)

    def is_float_picture(self, value: ir.Value | None) -> bool:
        """Whether a tensor is a float activation of four dimensions."""
        return (
            value is not None
            and self.folded(value) is None
            and len(self.shape(value)) == 4
            and (value.dtype is None or value.dtype in _FLOATS)
        )
