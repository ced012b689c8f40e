"""Find the addition that alone reads a convolution's quantised result, so that one kernel does both."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.graph import Form, Operand, Quantization, Value
from vacc_deploy.lowering.select.activation import Clamp, following_clamp
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class Residual:
    """``y = Q(clamp(DQ(t) + DQ(other)))``, where t is the convolution's own result."""

    other: Operand
    inner: Quantization  # of t
    output: Value
    clamp: Clamp
    nodes: tuple[ir.Node, ...]


def following_residual(quantize_node: ir.Node, value: Value, view: GraphView) -> Residual | None:
    """The residual addition behind a convolution's QuantizeLinear.

    ::

        Conv ► Q ► DQ ► Add ► [Relu] ► Q          fused: t = requantise(acc), then the integer addition
                 r ► DQ ─┘
    """
    look = view.sole_consumer(quantize_node.outputs[0])
    if look is None or look.op_type != "DequantizeLinear":
        return None
    addition = view.sole_consumer(look.outputs[0])
    if addition is None or addition.op_type != "Add" or view.is_taken(addition):
        return None
    others = [operand for operand in addition.inputs if operand is not look.outputs[0]]
    other = view.quantized_input(others[0]) if len(others) == 1 else None
    if other is None or other.shape != value.shape or value.quantization is None:
        return None
    result, clamp, covered = following_clamp(addition.outputs[0], view)
    quantized = view.quantized_output(result)
    if quantized is None or quantized[1].shape != value.shape:
        return None
    return Residual(
        Operand(other, Form.QUANTIZED),
        value.quantization,
        quantized[1],
        clamp,
        (look, addition, *covered, quantized[0]),
    )
