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
    WeightScale,
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


def quantize_weights(
    node: ir.Node,
    x: QuantParams,
    *,
    method: WeightScale,
    per_channel: bool,
    gain: Sequence[float] = (),
    bias_shift: Sequence[float] = (),
    rounding: str = "",
) -> QuantizedWeight:
    """Weight and bias of a Conv, ConvTranspose, MatMul or Gemm with constant weights.

    A channel's scale is raised where its bias would otherwise not fit int32: a nearly dead channel
    with a large bias keeps its bias exactly.

    Args:
        node: The node.
        x: Scale of its input.
        method: Rule for weight scales.
        per_channel: One scale per output channel.
        gain: Factor on weight and bias, per output channel.
        bias_shift: Added to the bias after that, per output channel.
        rounding: How far the codes lie from the nearest ones, from `write_steps`.

    Raises:
        ModelError: A weight is not finite.
        DataError: `rounding` belongs to another weight.
    """
    weight = constant_of(node.inputs[1])
    assert weight is not None  # layers with other weights are not int8
    real_bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    for array in (weight, real_bias):
        if array is not None and not np.all(np.isfinite(array)):
            raise ModelError("a weight is not finite", where=node.name, hint="check the checkpoint for NaN")
    axis = output_axis(node)
    groups = node.attributes.get_int("group", 1) or 1
    if len(gain) and not (node.op_type == "ConvTranspose" and groups > 1):
        factors = np.asarray(gain, np.float64)
        weight = scaled_by_gain(weight, factors, axis)
        real_bias = None if real_bias is None else np.broadcast_to(real_bias, factors.shape) * factors
    channel_major = _group_channels_first(weight, groups) if node.op_type == "ConvTranspose" else weight
    scales = weight_scales(
        channel_major, 0 if node.op_type == "ConvTranspose" else axis, method=method, per_channel=per_channel
    )
    channels = scales.size
    bias = np.zeros(channels) if real_bias is None else np.broadcast_to(real_bias, (channels,)).astype(float)
    if len(bias_shift):
        bias = bias + np.asarray(bias_shift)
    needed = np.abs(bias) / (float(x.scale) * _LARGEST_BIAS)
    scales = np.maximum(scales, needed.astype(np.float32))
    if node.op_type == "ConvTranspose" and groups > 1:
        # ONNX has one scale per position on axis 1, which all groups share.
        scales = scales.reshape(groups, -1).max(axis=0)
        bias_scales = np.tile(np.float32(x.scale) * scales, groups)
    else:
        bias_scales = np.float32(x.scale) * scales
    codes = quantize_weight(weight, scales, axis)
    if rounding:
        steps = read_steps(rounding, codes.shape, node.name or "")
        codes = np.clip(codes.astype(np.int16) + steps, -127, 127).astype(np.int8)
    has_bias = real_bias is not None or len(bias_shift) > 0
    bias_codes = np.rint(bias / bias_scales.astype(np.float64)).astype(np.int32) if has_bias else None
    return QuantizedWeight(codes, scales, axis, bias_codes, bias_scales.astype(np.float32))


def table_weights(layer: Layer, x: QuantParams, table: CalibrationTable) -> QuantizedWeight:
    """Weight and bias of an int8 layer of kind ``mac`` as `table` has them; `x` is its input's scheme."""
    entry = table.layers[layer.name]
    return quantize_weights(
        layer.node,
        x,
        method=table.settings["weight_scale"],
        per_channel=bool(table.settings["per_channel"]),
        gain=entry.gain,
        bias_shift=entry.bias_shift,
        rounding=entry.rounding,
    )


def scaled_by_gain(weight: Array, gain: Sequence[float] | Array, axis: int) -> Array:
    """float32 `weight` with a factor per output channel on `axis`; no factors leave it as it is."""
    if not len(gain):
        return weight
    factors = np.asarray(gain, np.float64)
    scaled: Array = weight * factors.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])
    return scaled.astype(np.float32)


def _group_channels_first(weight: Array, groups: int) -> Array:
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
