"""Weights, biases and constant operands as codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.calibrators.registry import Range, Scheme
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.scheme import (
    QuantParams,
    quant_params,
    quantize_weight,
    weight_scales,
)
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.weight_steps import read_steps

Array = npt.NDArray[Any]

_LARGEST_BIAS = 2.0**29  # leaves room in int32 for the sum of products


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """A layer's weight and bias as codes.

    Attributes:
        codes: int8, the weight's shape.
        scales: float32, (channels,).
        axis: Axis of the output channel in `codes`.
        bias: int32 (channels,) in units of ``s_x · s_w``, or none.
        bias_scales: float32 (channels,), ``f32(s_x · s_w)``.
    """

    codes: Array
    scales: Array
    axis: int
    bias: Array | None
    bias_scales: Array


def output_axis(node: ir.Node) -> int:
    """The axis of a weight on which the output channels lie."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and node.attributes.get_int("transB", 0) != 0):
        return 0
    return 1


def table_weights(layer: Layer, x: QuantParams, table: CalibrationTable) -> QuantizedWeight:
    """Weight and bias of an int8 layer of kind ``mac`` as `table` has them.

    A channel's scale is raised where its bias would otherwise not fit int32: a nearly dead channel
    with a large bias keeps its bias exactly.

    Args:
        layer: A Conv, ConvTranspose, MatMul or Gemm with constant weights.
        x: Scale of its input.
        table: Rule for weight scales; the layer's gain, shift of the bias, and rounding.

    Raises:
        ModelError: A weight is not finite.
        DataError: The table's rounding belongs to another weight.
    """
    node, entry = layer.node, table.layers[layer.name]
    axis, groups = output_axis(node), _groups_of_a_transposed(node)
    weight, real_bias = _scaled_constants(node, entry.gain if groups == 1 else ())
    channel_major = _outputs_first(weight, groups) if node.op_type == "ConvTranspose" else weight
    scales = weight_scales(
        channel_major,
        0 if node.op_type == "ConvTranspose" else axis,
        method=table.settings["weight_scale"],
        per_channel=bool(table.settings["per_channel"]),
    )
    bias = np.broadcast_to(0.0 if real_bias is None else real_bias, scales.shape).astype(float)
    if entry.bias_shift:
        bias = bias + np.asarray(entry.bias_shift)
    needed = np.abs(bias) / (float(x.scale) * _LARGEST_BIAS)
    scales = np.maximum(scales, needed.astype(np.float32))
    # ONNX has one scale per position on axis 1 of a transposed convolution's weight, which all groups share.
    scales = scales.reshape(groups, -1).max(axis=0)
    bias_scales = np.tile(np.float32(x.scale) * scales, groups)
    codes = quantize_weight(weight, scales, axis)
    if entry.rounding:
        steps = read_steps(entry.rounding, codes.shape, node.name or "")
        codes = np.clip(codes.astype(np.int16) + steps, -127, 127).astype(np.int8)
    has_bias = real_bias is not None or bool(entry.bias_shift)
    bias_codes = np.rint(bias / bias_scales.astype(np.float64)).astype(np.int32) if has_bias else None
    return QuantizedWeight(codes, scales, axis, bias_codes, bias_scales.astype(np.float32))


def _groups_of_a_transposed(node: ir.Node) -> int:
    """Groups of a ConvTranspose, 1 for any other node, whose scales are each channel's own."""
    return (node.attributes.get_int("group", 1) or 1) if node.op_type == "ConvTranspose" else 1


def _scaled_constants(node: ir.Node, gain: Sequence[float]) -> tuple[Array, Array | None]:
    """Weight and bias of a node, as many times larger as `gain` says for every output channel.

    Raises:
        ModelError: One is not finite.
    """
    weight, bias = constant_of(node.inputs[1]), constant_of(node.inputs[2] if len(node.inputs) > 2 else None)
    assert weight is not None  # layers with other weights are not int8
    for array in (weight, bias):
        if array is not None and not np.all(np.isfinite(array)):
            raise ModelError("a weight is not finite", where=node.name, hint="check the checkpoint for NaN")
    if not gain:
        return weight, bias
    factors = np.asarray(gain, np.float64)
    scaled_bias = None if bias is None else np.broadcast_to(bias, factors.shape) * factors
    return scaled_by_gain(weight, factors, output_axis(node)), scaled_bias


def scaled_by_gain(weight: Array, gain: Sequence[float] | Array, axis: int) -> Array:
    """float32 `weight` with a factor per output channel on `axis`; no factors leave it as it is."""
    if not len(gain):
        return weight
    factors = np.asarray(gain, np.float64)
    scaled: Array = weight * factors.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])
    return scaled.astype(np.float32)


def _outputs_first(weight: Array, groups: int) -> Array:
    """A ConvTranspose weight (C, O/g, kH, kW) as (O, C/g, kH, kW)."""
    inputs, per_group, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, per_group, *kernel)
    return np.moveaxis(split, 2, 1).reshape(groups * per_group, inputs // groups, *kernel)


def quantize_constant(constant: Array, scheme: Scheme) -> tuple[Array, QuantParams]:
    """A constant operand as codes of the activations' type, with one scale over its own range."""
    values = constant.astype(np.float32)
    low, high = float(min(values.min(), 0.0)), float(max(values.max(), 0.0))
    if scheme == "symmetric":
        low = min(low, -high)
    params = quant_params(Range(low, high), scheme)
    info = np.iinfo(params.dtype)
    steps = np.rint(values / params.scale) + params.zero_point
    return np.clip(steps, info.min, info.max).astype(params.dtype), params
