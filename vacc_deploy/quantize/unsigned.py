"""The same integers in the form that CPUs multiply: symmetric int8 codes as uint8 with zero point 128.

ONNX Runtime runs int8-activation QDQ in float, slowly and a step off here and there; the uint8 form it
fuses into integer kernels that equal `runtime.reference` for convolutions. ``q + 128`` with zero point
128 is the same network, so this is what the search simulates with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of, constant_value
from vacc_deploy.runtime.reference.operator_kinds import MAC_OPS

Array = npt.NDArray[Any]


def to_unsigned(model: ir.Model) -> ir.Model:
    """A copy of a symmetric QDQ network whose activations are uint8 codes; others come back unchanged."""
    clone = model.clone()
    for node in clone.graph:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.inputs) < 3:
            continue
        zero = constant_of(node.inputs[2])
        if zero is None or zero.dtype != np.int8 or zero.ndim != 0 or _is_weight(node):
            continue
        unsigned = np.asarray(int(zero) + 128, np.uint8)
        node.replace_input_with(2, _initializer(clone.graph, f"{_name(node.inputs[2])}_u8", unsigned))
        if node.op_type == "QuantizeLinear":
            node.outputs[0].type = ir.TensorType(
                ir.DataType.UINT8
            )  # the clone shares its type with the original
            continue
        codes = constant_of(node.inputs[0])
        if codes is not None:
            shifted = (codes.astype(np.int16) + 128).astype(np.uint8)
            node.replace_input_with(0, _initializer(clone.graph, f"{_name(node.inputs[0])}_u8", shifted))
    for name in list(clone.graph.initializers):
        if not clone.graph.initializers[name].uses():
            del clone.graph.initializers[name]
    return clone


def _is_weight(node: ir.Node) -> bool:
    return any(user.op_type in MAC_OPS and index > 0 for user, index in node.outputs[0].uses())


def _name(value: ir.Value | None) -> str:
    return (value.name if value is not None else "") or ""


def _initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    if name in graph.initializers:
        return graph.initializers[name]
    value = constant_value(name, array)
    graph.register_initializer(value)
    return value
