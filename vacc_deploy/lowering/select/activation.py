"""Activations that follow a float operator and cost nothing there: a clamp of its output."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class Clamp:
    """``min(max(x, low), high)`` on real values; infinite where a side is open."""

    low: float = -math.inf
    high: float = math.inf


def read_clamp(node: ir.Node, view: GraphView) -> Clamp | None:
    """The clamp that a Relu or Clip node is, None for other operators or run-time bounds."""
    if node.op_type == "Relu":
        return Clamp(low=0.0)
    if node.op_type != "Clip":
        return None
    if "min" in node.attributes or "max" in node.attributes:  # opset < 11
        low = node.attributes["min"].as_float() if "min" in node.attributes else -math.inf
        high = node.attributes["max"].as_float() if "max" in node.attributes else math.inf
        return Clamp(low, high)
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        value = node.inputs[index] if len(node.inputs) > index else None
        constant = view.constant(value)
        if value is not None and constant is None:
            return None
        bounds.append(default if constant is None else float(constant.reshape(())))
    return Clamp(bounds[0], bounds[1])


def following_clamp(value: ir.Value, view: GraphView) -> tuple[ir.Value, Clamp, list[ir.Node]]:
    """The clamp that alone reads `value`, if there is one.

    Returns:
        The value after it (`value` itself where there is none), the clamp, and the nodes that it covers.
    """
    node = view.sole_consumer(value)
    if node is None or view.is_taken(node) or node.inputs[0] is not value:
        return value, Clamp(), []
    clamp = read_clamp(node, view)
    if clamp is None:
        return value, Clamp(), []
    return node.outputs[0], clamp, [node]
