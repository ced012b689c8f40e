"""Rewrites StyleGAN2's modulated convolutions, whose weights are computed in the graph, to static weights.

    before:  w' = W·s[i]·d[o],  d = 1/√(Σ (W·s)² + ε),   y = Conv(x, w')
    after:   y = Conv(x·s, W)·d,                          d = 1/√(s²·E + ε),   E[i,o] = Σ_k W[o,i,k]²

A convolution is linear, so both are the same function (up to float rounding), but the second form has a
constant weight, which can be packed once and quantised per output channel.  The pattern is what PyTorch
exports at batch 1; the style vector s, (1, C_in), comes from a fully connected layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from vacc_deploy.frontend.new_values import add_constant

Array = NDArray[np.float32]
_SWAP_CHANNELS = (0, 2, 1, 3, 4)


@dataclass(frozen=True, slots=True)
class Modulation:
    """What a modulated weight is made of.

    Args:
        weight: W, (C_out, C_in, kH, kW).
        style: s as a (1, C_in) value.
        epsilon: ε, or None where the weight is not demodulated.
    """

    weight: Array
    style: ir.Value
    epsilon: float | None


def _producer(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in kinds else None


def _skip(value: ir.Value | None, *kinds: str) -> ir.Value | None:
    """`value`, or what it was reshaped or transposed from."""
    while (node := _producer(value, *kinds)) is not None:
        value = node.inputs[0]
    return value


def _constant(value: ir.Value | None) -> Array | None:
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def _constant_operand(node: ir.Node) -> tuple[Array, ir.Value] | None:
    """The constant and the other operand of a two-operand node."""
    for constant, other in (node.inputs[:2], node.inputs[1::-1]):
        array = _constant(constant)
        if array is not None and other is not None and other.const_value is None:
            return array, other
    return None


def _style_times_weight(value: ir.Value | None) -> tuple[Array, ir.Value] | None:
    """Match W·s: the weight, (C_out, C_in, kH, kW), and the style, (1, C_in)."""
    product = _producer(value, "Mul")
    operands = _constant_operand(product) if product is not None else None
    if operands is None or operands[0].ndim != 5 or operands[0].shape[0] != 1:
        return None
    weight = operands[0][0]
    style = _skip(operands[1], "Reshape", "Unsqueeze")
    if style is None or style.shape is None or style.shape.numpy() != (1, weight.shape[1]):
        return None
    spread = operands[1].shape
    if spread is None or spread.numpy() != (1, 1, weight.shape[1], 1, 1):
        return None
    return weight, style


def _epsilon_of(value: ir.Value | None, modulated: ir.Value) -> float | None:
    """Match d = 1/√(Σ modulated² + ε); None if it is something else."""
    inverse = _producer(_skip(value, "Reshape", "Unsqueeze"), "Reciprocal", "Div")
    if inverse is None:
        return None
    root = _producer(inverse.inputs[-1], "Sqrt")
    if root is None or (inverse.op_type == "Div" and not _is_scalar(inverse.inputs[0], 1.0)):
        return None
    total, epsilon = root.inputs[0], 0.0
    shift = _producer(total, "Add")
    if shift is not None:
        operands = _constant_operand(shift)
        if operands is None or operands[0].size != 1:
            return None
        epsilon, total = float(operands[0].item()), operands[1]
    summed = _producer(total, "ReduceSum")
    axes = _constant(summed.inputs[1]) if summed is not None and len(summed.inputs) > 1 else None
    if summed is None or axes is None or sorted(axes.tolist()) != [2, 3, 4]:
        return None
    square = _producer(summed.inputs[0], "Pow", "Mul")
    if square is None or square.inputs[0] is not modulated:
        return None
    squared = square.inputs[1] is modulated if square.op_type == "Mul" else _is_scalar(square.inputs[1], 2.0)
    return epsilon if squared else None


def _is_scalar(value: ir.Value | None, wanted: float) -> bool:
    array = _constant(value)
    return array is not None and array.size == 1 and float(array.item()) == wanted


def match(conv: ir.Node) -> Modulation | None:
    """What the weight of a convolution is made of, if it is modulated; None if it is anything else."""
    if conv.op_type not in ("Conv", "ConvTranspose") or conv.attributes.get_int("group", 1) != 1:
        return None
    value = conv.inputs[1]
    transposed = False
    while (node := _producer(value, "Reshape", "Transpose")) is not None:
        if node.op_type == "Transpose":
            if tuple(node.attributes.get_ints("perm") or ()) != _SWAP_CHANNELS:
                return None
            transposed = not transposed
        value = node.inputs[0]
    if transposed != (conv.op_type == "ConvTranspose"):
        return None
    plain = _style_times_weight(value)
    if plain is not None:
        return Modulation(*plain, epsilon=None)
    demodulated = _producer(value, "Mul")
    for modulated, scale in (
        () if demodulated is None else (demodulated.inputs[:2], demodulated.inputs[1::-1])
    ):
        found = _style_times_weight(modulated)
        epsilon = _epsilon_of(scale, modulated) if modulated is not None else None
        if found is not None and epsilon is not None:
            return Modulation(*found, epsilon=epsilon)
    return None


def _rewrite(graph: ir.Graph, conv: ir.Node, found: Modulation) -> None:
    """Replace `conv` by the static form."""
    out_channels, in_channels = found.weight.shape[:2]
    name = conv.name or "modulated"
    created: list[ir.Node] = []

    def add(op: str, inputs: list[ir.Value | None], suffix: str, **attributes: object) -> ir.Value:
        node = ir.node(op, inputs, attributes or None, name=f"{name}.{suffix}")  # type: ignore[arg-type]
        node.outputs[0].name = f"{name}.{suffix}.output"
        created.append(node)
        return node.outputs[0]

    def reshape(value: ir.Value, channels: int, suffix: str) -> ir.Value:
        shape = add_constant(graph, f"{name}.{suffix}_shape", np.array([1, channels, 1, 1], np.int64))
        return add("Reshape", [value, shape], suffix)

    swap = conv.op_type == "ConvTranspose"
    weight = found.weight.transpose(1, 0, 2, 3) if swap else found.weight
    scaled = add("Mul", [conv.inputs[0], reshape(found.style, in_channels, "style")], "modulate")
    bias = conv.inputs[2] if len(conv.inputs) > 2 else None
    inputs = [scaled, add_constant(graph, f"{name}.weight", weight)]
    if bias is not None and found.epsilon is None:
        inputs.append(bias)
    static = ir.node(conv.op_type, inputs, dict(conv.attributes.items()), name=name)
    static.outputs[0].name = f"{name}.static_output"
    created.append(static)
    result = static.outputs[0]
    if found.epsilon is not None:
        energy = np.square(found.weight.astype(np.float64)).sum((2, 3)).T.astype(np.float32)
        square = add("Mul", [found.style, found.style], "style_square")
        epsilon = add_constant(graph, f"{name}.epsilon", np.full(out_channels, found.epsilon, np.float32))
        total = add("Gemm", [square, add_constant(graph, f"{name}.energy", energy), epsilon], "style_energy")
        factor = add("Reciprocal", [add("Sqrt", [total], "style_norm")], "demodulation")
        result = add("Mul", [result, reshape(factor, out_channels, "demodulation_shape")], "demodulate")
        if bias is not None:
            result = add("Add", [result, reshape(bias, out_channels, "bias")], "add_bias")
    last = conv.outputs[0].name
    ir.convenience.replace_nodes_and_values(graph, conv, [conv], created, conv.outputs[:1], [result])
    result.name = last


def static_modulation(model: ir.Model) -> int:
    """Rewrite every modulated convolution of `model`, in place; returns how many."""
    rewritten = 0
    for node in list(model.graph):
        found = match(node)
        if found is not None:
            _rewrite(model.graph, node, found)
            rewritten += 1
    return rewritten
