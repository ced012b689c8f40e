"""Folds BatchNormalization into the convolution before it, or makes it a 1×1 depthwise convolution.

    Conv(w, b) → BatchNormalization(γ, β, μ, σ²)   becomes   Conv(w·s, (b − μ)·s + β),  s = γ/√(σ² + ε)
    anything else → BatchNormalization             becomes   … → Conv(s, β − μ·s) with one group per channel

The second form keeps one rounding where a Mul and an Add would round twice, and int8 represents its
weights exactly, because each channel has a single weight and a scale of its own.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from vacc_deploy.frontend.new_values import add_constant

Array = NDArray[np.float64]


def _constant(value: ir.Value | None) -> Array | None:
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy().astype(np.float64)


def _scale_shift(node: ir.Node) -> tuple[Array, Array] | None:
    """Per-channel factor and offset of an inference-mode BatchNormalization, (C,) each."""
    gamma, beta, mean, variance = (_constant(value) for value in node.inputs[1:5])
    training = node.attributes.get_int("training_mode", 0)
    if gamma is None or beta is None or mean is None or variance is None or training:
        return None
    scale = gamma / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return scale, beta - mean * scale


def _fold(graph: ir.Graph, conv: ir.Node, norm: ir.Node, scale: Array, shift: Array) -> bool:
    """Fold into `conv` if its weights are constant; False leaves the graph as it was."""
    weight = _constant(conv.inputs[1])
    bias_value = conv.inputs[2] if len(conv.inputs) > 2 else None
    bias = _constant(bias_value)
    if weight is None or (bias is None and bias_value is not None):
        return False
    if conv.op_type == "ConvTranspose":  # (C_in, C_out / group, kH, kW)
        group = conv.attributes.get_int("group", 1)
        per_group = scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))
        folded = (weight.reshape(group, -1, *weight.shape[1:]) * per_group).reshape(weight.shape)
    else:  # (C_out, C_in / group, kH, kW)
        folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias = shift if bias is None else bias * scale + shift
    names = (f"{conv.name}.folded_weight", f"{conv.name}.folded_bias")
    conv.resize_inputs(3)
    conv.replace_input_with(1, add_constant(graph, names[0], folded.astype(np.float32)))
    conv.replace_input_with(2, add_constant(graph, names[1], new_bias.astype(np.float32)))
    ir.convenience.replace_all_uses_with(norm.outputs[0], conv.outputs[0], replace_graph_outputs=True)
    graph.remove(norm, safe=True)
    return True


def _as_depthwise(graph: ir.Graph, norm: ir.Node, scale: Array, shift: Array) -> None:
    weight = add_constant(graph, f"{norm.name}.scale", scale.reshape(-1, 1, 1, 1).astype(np.float32))
    bias = add_constant(graph, f"{norm.name}.shift", shift.astype(np.float32))
    conv = ir.node(
        "Conv",
        [norm.inputs[0], weight, bias],
        {"group": scale.size, "kernel_shape": [1, 1]},
        name=norm.name,
    )
    conv.outputs[0].type, conv.outputs[0].shape = norm.outputs[0].type, norm.outputs[0].shape
    name = norm.outputs[0].name
    ir.convenience.replace_nodes_and_values(graph, norm, [norm], [conv], norm.outputs[:1], conv.outputs[:1])
    conv.outputs[0].name = name


def fold_batchnorm(model: ir.Model) -> int:
    """Remove every inference-mode BatchNormalization on 4-D values, in place; returns how many."""
    graph = model.graph
    removed = 0
    for node in list(graph):
        if node.op_type != "BatchNormalization":
            continue
        pair = _scale_shift(node)
        source = node.inputs[0]
        if pair is None or source is None:
            continue
        producer = source.producer()
        sole = producer is not None and len(source.uses()) == 1 and not source.is_graph_output()
        if (
            sole
            and producer is not None
            and producer.op_type in ("Conv", "ConvTranspose")
            and _fold(graph, producer, node, *pair)
        ):
            removed += 1
        elif source.shape is not None and len(source.shape) == 4:
            _as_depthwise(graph, node, *pair)
            removed += 1
    return removed
