"""ONNX codes as they are stored: uint8, a symmetric int8 shifted by 128; and where they are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.fixed_point import quantize
from vacc_deploy.runtime.reference.qdq_groups import Group, codes_of

Array = npt.NDArray[Any]


def stored_codes(array: Array) -> Array:
    """int8 or uint8 codes as uint8."""
    return (array.astype(np.int16) + 128 * (array.dtype == np.int8)).astype(np.uint8)


def stored_range(group: Group) -> tuple[int, int]:
    """Smallest and largest stored code of a group's result, a fused activation included."""
    assert group.output is not None
    shift = 128 * (group.output.dtype == "int8")
    return (group.lo + shift, group.hi + shift)


def following_group(group: Group, view: GraphView) -> Group | None:
    """The group that alone reads a group's codes."""
    if group.quantize is None:
        return None
    look = view.sole_consumer(group.quantize.outputs[0])
    if look is None or look.op_type != "DequantizeLinear":
        return None
    node = view.sole_consumer(look.outputs[0])
    found = None if node is None else view.group(node)
    return None if found is None or found.output is None else found


def is_plane(node: ir.Node, view: GraphView) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear is about a plane of 8-bit codes with one scale."""
    source = node.inputs[0]
    codes = codes_of(node, codes=node.outputs[0])
    return (
        source is not None
        and len(view.shape(source)) in (2, 4)
        and codes.scale.size == 1
        and codes.dtype in ("int8", "uint8")
    )


def following_codes(value: ir.Value, view: GraphView) -> tuple[ir.Node, Operand] | None:
    """The QuantizeLinear that alone reads a float tensor, and the plane of its codes."""
    node = view.sole_consumer(value)
    if node is None or node.op_type != "QuantizeLinear" or view.is_taken(node) or not is_plane(node, view):
        return None
    return node, view.coded(codes_of(node, codes=node.outputs[0]), view.shape(value))


def code_range(low: float, high: float, codes: Operand) -> tuple[int, int]:
    """The stored codes of reals between two bounds, which themselves are stored as floats first."""
    quantization = codes.value.quantization
    assert quantization is not None
    ends = np.array([low, high], codes.value.float_type)
    lowest, highest = quantize(ends, quantization.scale, quantization.zero_point, np.uint8)
    return int(lowest), int(highest)
