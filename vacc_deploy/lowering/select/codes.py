"""ONNX codes as they are stored: uint8, a symmetric int8 shifted by 128."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.qdq_groups import Group

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
