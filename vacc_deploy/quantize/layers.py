"""A network seen as layers: what can run in int8, what each layer reads, and what it costs.

A layer is one ONNX node together with the Relu or Clip that follows it alone, and it goes by the
node's name. Layers come in four kinds:

* ``mac``: Conv, ConvTranspose, MatMul, Gemm with constant weights;
* ``arithmetic``: Add, Sub, Mul, Concat, averages, bilinear Resize; each result has a scale of its own;
* ``table``: unary functions, a 256-entry table on int8;
* ``movement``: operators that only move codes (PixelShuffle, Pad, MaxPool, nearest Resize, Reshape …);
  input and output share one scale, and the layer runs in whatever precision its readers want.

A node that int8 does not cover is a layer too; it has kind ``float`` and says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.int8_support import reason_against_int8
from vacc_deploy.runtime.reference.operator_kinds import (
    ARITHMETIC_OPS,
    FUSES_ACTIVATION,
    MAC_OPS,
    MOVEMENT_OPS,
    TABLE_OPS,
)

Kind = Literal["mac", "arithmetic", "table", "movement", "float"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One node, the activation fused to it, and the tensors around it.

    Attributes:
        name: The ONNX node's name.
        op_type: Its operator.
        kind: See the module's docstring.
        node: The node itself.
        activation: The Relu or Clip whose range becomes this layer's clamp, if any.
        inputs: Names of the activation tensors it reads, in operand order, without repetition.
        output: Name of the tensor it yields, after the fused activation.
        macs: Multiply-accumulates of one pass.
        why_float: Why int8 does not cover it; none if it does.
    """

    name: str
    op_type: str
    kind: Kind
    node: ir.Node
    activation: ir.Node | None
    inputs: tuple[str, ...]
    output: str
    macs: int
    why_float: str | None


def find_layers(model: ir.Model) -> list[Layer]:
    """The layers of `model` in graph order.

    Raises:
        ModelError: A node has no name or shares it, or a tensor has no static shape.
    """
    fused: set[ir.Node] = set()
    names: set[str] = set()
    layers: list[Layer] = []
    for node in model.graph:
        if node in fused:
            continue
        if not node.name or node.name in names:
            raise ModelError(
                "a node has no name of its own",
                where=f"{node.op_type} {node.name!r}",
                hint="load the model through the frontend, which names every node",
            )
        names.add(node.name)
        layer = _make_layer(node)
        if layer.activation is not None:
            fused.add(layer.activation)
        layers.append(layer)
    return layers


def _make_layer(node: ir.Node) -> Layer:
    # onnx_ir calls the standard domain "".
    why = f"operator domain {node.domain!r} has no int8 form" if node.domain else None
    kind: Kind = "float"
    if why is None:
        kind = kind_of(node)
        why = f"{node.op_type} has no int8 form" if kind == "float" else reason_against_int8(node)
    if why is not None:
        kind = "float"
    activation = _fused_activation(node) if kind != "float" else None
    output = (activation or node).outputs[0]
    activations = [v.name for v in node.inputs if v is not None and constant_of(v) is None and v.name]
    if node.op_type in ("Clip", "Reshape", "Slice", "Pad", "Resize", "Squeeze", "Unsqueeze"):
        activations = activations[:1]
    return Layer(
        name=node.name or "",
        op_type=node.op_type,
        kind=kind,
        node=node,
        activation=activation,
        inputs=tuple(dict.fromkeys(activations)),
        output=output.name or "",
        macs=count_macs(node),
        why_float=why,
    )


def kind_of(node: ir.Node) -> Kind:
    """The kind that the operator alone suggests."""
    if node.op_type in MAC_OPS:
        return "mac"
    if node.op_type == "Resize" and node.attributes.get_string("mode", "nearest") == "nearest":
        return "movement"
    if node.op_type in ARITHMETIC_OPS:
        return "arithmetic"
    if node.op_type in TABLE_OPS:
        return "table"
    return "movement" if node.op_type in MOVEMENT_OPS else "float"


def _fused_activation(node: ir.Node) -> ir.Node | None:
    """The Relu or constant Clip that alone reads the node's result."""
    if node.op_type not in FUSES_ACTIVATION or len(node.outputs) != 1:
        return None
    value = node.outputs[0]
    users = value.uses()
    if len(users) != 1 or value.is_graph_output():
        return None
    user, index = next(iter(users))
    if index != 0 or user.op_type not in ("Relu", "Clip") or user.domain:
        return None
    if any(v is not None and constant_of(v) is None for v in user.inputs[1:]):
        return None
    return user


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of `value`.

    Raises:
        ModelError: It is unknown or has a dynamic axis.
    """
    if value.shape is None or not all(isinstance(d, int) for d in value.shape):
        raise ModelError(
            "a tensor's shape is not known",
            where=value.name,
            hint="compile for a fixed input shape; the frontend fills in all others",
        )
    return tuple(int(d) for d in value.shape.numpy())


def count_macs(node: ir.Node) -> int:
    """Multiply-accumulates of one node; 0 for everything without a matrix product."""
    if node.op_type not in MAC_OPS or node.inputs[0] is None:
        return 0
    weight = node.inputs[1]
    if weight is None:
        return 0
    shape = static_shape(weight)
    if node.op_type == "Conv":
        return math.prod(static_shape(node.outputs[0])) * math.prod(shape[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(static_shape(node.inputs[0])) * math.prod(shape[1:])
    if node.op_type == "Gemm":
        return math.prod(shape) * static_shape(node.outputs[0])[0]
    return math.prod(static_shape(node.outputs[0])) * shape[-2]
