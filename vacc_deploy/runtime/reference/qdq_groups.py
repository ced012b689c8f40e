"""Find what a quantised ONNX network computes in integers: DequantizeLinear → operator → QuantizeLinear.

A group is an operator all of whose operands are dequantised codes, the Relu or Clip that alone reads
its result, and the QuantizeLinear that alone reads that. A convolution or matrix product may also hand
out float: then its group ends at the accumulators. Everything outside groups is float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference.operator_kinds import FUSES_ACTIVATION, INTEGER_OPS, MAC_OPS

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Codes:
    """A tensor of codes and what they mean.

    Attributes:
        name: The value that holds the codes (a QuantizeLinear's result, or an initializer).
        scale: float32, () or (channels,).
        zero_point: Code of 0.0.
        dtype: ``int8``, ``uint8`` or ``int32``.
        constant: The codes themselves, where they are constant.
        axis: Axis of `scale` when there is one per channel.
    """

    name: str
    scale: Array
    zero_point: int
    dtype: str
    constant: Array | None
    axis: int


@dataclass(frozen=True, slots=True)
class Group:
    """One operator in integers.

    Attributes:
        node: The operator.
        operands: Its dequantised operands in order; other operands (pads, sizes) are plain constants.
        activation: The fused Relu or Clip.
        quantize: The QuantizeLinear at the end; none when the accumulators leave as float.
        output: Codes of the result; none likewise.
        lo: Smallest code of the result, a fused activation included.
        hi: Largest code of the result.
    """

    node: ir.Node
    operands: tuple[Codes, ...]
    activation: ir.Node | None
    quantize: ir.Node | None
    output: Codes | None
    lo: int
    hi: int


def find_groups(model: ir.Model) -> dict[ir.Node, Group]:
    """Every group of `model`, by its operator's node."""
    groups = {}
    for node in model.graph:
        group = _match(node)
        if group is not None:
            groups[node] = group
    return groups


def codes_of(node: ir.Node, *, codes: ir.Value | None) -> Codes:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear; `codes` is the value with the codes."""
    scale, zero = constant_of(node.inputs[1]), constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    held = constant_of(codes)
    dtype = str(zero.dtype) if zero is not None else str(held.dtype) if held is not None else "uint8"
    zero_point = 0 if zero is None or zero.size == 0 else int(zero.reshape(-1)[0])
    return Codes(
        name=(codes.name if codes is not None else "") or "",
        scale=np.ones((), np.float32) if scale is None else scale.reshape(()) if scale.size == 1 else scale,
        zero_point=zero_point,
        dtype=dtype,
        constant=held,
        axis=node.attributes.get_int("axis", 1) or 0,
    )


def _sole_user(value: ir.Value) -> ir.Node | None:
    users = value.uses()
    if len(users) != 1 or value.is_graph_output():
        return None
    return next(iter(users))[0]


def _match(node: ir.Node) -> Group | None:
    if node.op_type not in INTEGER_OPS or node.domain or len(node.outputs) != 1:
        return None
    operands = []
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == "DequantizeLinear":
            operands.append(codes_of(producer, codes=producer.inputs[0]))
        elif value is not None and constant_of(value) is None:
            return None
    if not operands or operands[0].dtype not in ("int8", "uint8"):
        return None
    if node.op_type in MAC_OPS and len(operands) < min(len([v for v in node.inputs if v is not None]), 3):
        return None  # weights or bias in float
    if node.op_type in ("Add", "Sub", "Mul") and len(operands) != 2:
        return None
    end, activation = _sole_user(node.outputs[0]), None
    if end is not None and end.op_type in ("Relu", "Clip") and node.op_type in FUSES_ACTIVATION:
        after = _sole_user(end.outputs[0])
        if after is not None and after.op_type == "QuantizeLinear":
            activation, end = end, after
    if end is None or end.op_type != "QuantizeLinear":
        return Group(node, tuple(operands), None, None, None, 0, 0) if node.op_type in MAC_OPS else None
    output = codes_of(end, codes=end.outputs[0])
    lo, hi = clamp_range(activation, output)
    return Group(node, tuple(operands), activation, end, output, lo, hi)


def clamp_range(activation: ir.Node | None, output: Codes) -> tuple[int, int]:
    """Smallest and largest code of a result once a Relu or Clip is folded into the clamp.

    Quantising is monotone, so clipping the codes at the quantised limits equals quantising the clipped
    value.
    """
    info = np.iinfo(output.dtype)
    lo, hi = int(info.min), int(info.max)
    if activation is None:
        return lo, hi
    limits: list[Array | None] = [np.zeros(()), None]
    if activation.op_type == "Clip":
        limits = [constant_of(v) for v in (*activation.inputs[1:3], None, None)][:2]
    scale = np.float32(output.scale)
    if limits[0] is not None and limits[0].size:
        code = np.rint(np.float32(limits[0].reshape(())) / scale) + output.zero_point
        lo = int(np.clip(code, lo, hi))
    if limits[1] is not None and limits[1].size:
        code = np.rint(np.float32(limits[1].reshape(())) / scale) + output.zero_point
        hi = int(np.clip(code, lo, hi))
    return lo, hi
