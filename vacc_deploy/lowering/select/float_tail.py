"""What a float convolution takes along in its epilogue: ``[Mul] → [Add] → [Add] → [activation]`` behind it.

A factor per channel that is known only at run time (style demodulation), a constant per channel, another
picture, and an activation, each only where nothing else reads what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.select.activation import Activation, following_activation
from vacc_deploy.lowering.view import GraphView

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FloatTail:
    """``activation(gain·conv(x) + bias + residual)``.

    Attributes:
        result: The value behind it.
        nodes: What it covers, in order.
        activation: The activation.
        bias: (C,) float32.
        gain: (N, C, 1, 1).
        residual: A picture like the result.
    """

    result: ir.Value
    nodes: list[ir.Node]
    activation: Activation
    bias: Array | None = None
    gain: Operand | None = None
    residual: Operand | None = None


def following_tail(made: ir.Value, bias: Array | None, view: GraphView) -> FloatTail:
    """The tail behind `made`, a convolution with `bias`."""
    nodes: list[ir.Node] = []
    gain = residual = None
    batch, channels = view.shape(made)[:2]
    if bias is None:  # a gain would multiply it, too
        for node, other in _operations("Mul", made, view):
            if view.is_float_picture(other) and view.shape(other) == (batch, channels, 1, 1):
                gain, made = view.float_plane(other), node.outputs[0]
                nodes.append(node)
        for node, other in _operations("Add", made, view):
            constant = view.folded(other)
            if constant is not None and constant.shape in ((channels, 1, 1), (1, channels, 1, 1)):
                bias, made = constant.astype(np.float32).reshape(-1), node.outputs[0]
                nodes.append(node)
    for node, other in _operations("Add", made, view):
        if view.is_float_picture(other) and view.shape(other) == view.shape(made):
            residual, made = view.float_plane(other), node.outputs[0]
            nodes.append(node)
    result, activation, covered = following_activation(made, view, slopes=True)
    return FloatTail(result, [*nodes, *covered], activation, bias, gain, residual)


def _operations(operator: str, value: ir.Value, view: GraphView) -> Iterator[tuple[ir.Node, ir.Value]]:
    """The node of this operator that alone reads `value`, and its other operand; nothing or one."""
    node = view.sole_consumer(value)
    if node is None or node.op_type != operator or view.is_taken(node) or view.group(node) is not None:
        return
    for operand in node.inputs:
        if operand is not None and operand is not value:
            yield node, operand
