"""Activations behind a float operator that cost nothing there: a clamp of its output, or a slope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class Activation:
    """``min(max(x, low), high)`` on real values, or ``x`` times a slope where it is negative."""

    low: float = -math.inf
    high: float = math.inf
    slope: npt.NDArray[Any] | None = None  # () or (C,) float32


def read_activation(node: ir.Node, view: GraphView) -> Activation | None:
    """The activation that a Relu, Clip, LeakyRelu or PRelu node is; None for others and run-time bounds."""
    if node.op_type == "Relu":
        return Activation(low=0.0)
    if node.op_type == "LeakyRelu":
        return Activation(slope=np.asarray(node.attributes.get_float("alpha", 0.01), np.float32))
    if node.op_type == "PRelu":
        slopes = view.folded(node.inputs[1])
        channels = view.shape(node.outputs[0])[1]
        if slopes is None or slopes.size not in (1, channels) or (slopes.ndim < 3 and slopes.size > 1):
            return None
        return Activation(slope=slopes.astype(np.float32).reshape(-1 if slopes.size > 1 else ()))
    return _clip(node, view) if node.op_type == "Clip" else None


def _clip(node: ir.Node, view: GraphView) -> Activation | None:
    if "min" in node.attributes or "max" in node.attributes:  # opset < 11
        low = node.attributes.get_float("min", -math.inf)
        high = node.attributes.get_float("max", math.inf)
        return Activation(float(low or 0.0), float(high or 0.0))
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        value = node.inputs[index] if len(node.inputs) > index else None
        constant = view.constant(value)
        if value is not None and constant is None:
            return None
        bounds.append(default if constant is None or not constant.size else float(constant.reshape(())))
    return Activation(bounds[0], bounds[1])


def following_activation(
    value: ir.Value, view: GraphView, *, slopes: bool = False
) -> tuple[ir.Value, Activation, list[ir.Node]]:
    """The activation that alone reads `value`, if there is one.

    Args:
        value: An operator's result.
        view: The graph.
        slopes: Whether the operator can apply a slope, too.

    Returns:
        The value after it (`value` itself where there is none), the activation, and the nodes covered.
    """
    node = view.sole_consumer(value)
    if node is None or view.is_taken(node) or node.inputs[0] is not value:
        return value, Activation(), []
    activation = read_activation(node, view)
    if activation is None or (activation.slope is not None and not slopes):
        return value, Activation(), []
    return node.outputs[0], activation, [node]
