"""Moves a constant factor into the constants in front of it.

    before:  y = √2 · LeakyRelu(Conv(x, W, b))        after:  y = LeakyRelu(Conv(x, √2·W, √2·b))

A positive factor passes through Relu, LeakyRelu and PRelu, through an addition or a concatenation where every
operand takes it, and through a product where one operand does.  Where all ways end in constants and nothing
else reads what lies between, the multiplication goes, and with it a rounding to float16 of every pixel.
StyleGAN2's code multiplies by √2 behind each activation.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from vacc_deploy.frontend.new_values import add_constant, replace_node

_MOST = 16.0  # a larger factor could lead what lies in between out of float16's range
_DEEPEST = 16  # operators between a factor and the constants that take it

Place = tuple[ir.Node, int]  # an operator and the number of its input


def _constant_factor(node: ir.Node) -> tuple[float, ir.Value] | None:
    """The factor and the other operand of a product that does not change its operand's shape."""
    for scalar, other in (node.inputs[:2], node.inputs[1::-1]):
        if scalar is None or other is None or other.shape != node.outputs[0].shape:
            continue
        if scalar.const_value is not None and scalar.const_value.size == 1:
            factor = float(scalar.const_value.numpy().item())
            if 1 / _MOST <= factor <= _MOST:
                return factor, other
    return None


def _takers(value: ir.Value | None, reader: Place, depth: int = 0) -> list[Place] | None:
    """Where constants stand that, scaled by a positive factor, scale `value`; None where there are none.

    Args:
        value: Anything that `reader` reads.
        reader: The place where it is read, which takes the new constant.
        depth: Operators behind it up to the factor.
    """
    if value is None or depth > _DEEPEST:
        return None
    if value.const_value is not None:
        return [reader] if value.dtype == ir.DataType.FLOAT else None
    maker = value.producer()
    if maker is None or len(value.uses()) != 1 or value.is_graph_output():
        return None

    def through(*positions: int) -> list[Place] | None:
        found = [_takers(maker.inputs[at], (maker, at), depth + 1) for at in positions]
        return None if None in found else [place for places in found if places for place in places]

    match maker.op_type:
        case "Relu" | "LeakyRelu" | "PRelu" | "Reshape" | "Flatten":
            return through(0)
        case "Add" | "Sub" | "Concat":
            return through(*range(len(maker.inputs)))
        case "Conv" | "ConvTranspose" | "Gemm":
            parameters = [at for at, entry in enumerate(maker.inputs) if at and entry is not None]
            constant = all(maker.inputs[at].const_value is not None for at in parameters)  # type: ignore[union-attr]
            return through(*parameters) if constant else None
        case "Mul":  # one operand, a constant one if there is one
            constant_first = sorted(
                (0, 1), key=lambda at: getattr(maker.inputs[at], "const_value", None) is None
            )
            return next(filter(None, map(through, constant_first)), None)
    return None


def constant_scale(model: ir.Model) -> int:
    """Remove every such multiplication of `model`, in place; returns how many.  Dead constants stay."""
    graph = model.graph
    removed = 0
    for node in list(graph):
        found = _constant_factor(node) if node.op_type == "Mul" else None
        if found is None:
            continue
        factor, scaled = found
        places = _takers(scaled, (node, node.inputs.index(scaled)))
        if not places:
            continue
        for reader, position in places:
            old = reader.inputs[position]
            assert old is not None and old.const_value is not None
            array = (old.const_value.numpy().astype(np.float64) * factor).astype(np.float32)
            reader.replace_input_with(position, add_constant(graph, f"{old.name}.scaled", array))
        replace_node(graph, node, scaled)
        removed += 1
    return removed
