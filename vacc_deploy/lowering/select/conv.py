"""Select convolutions: integer ones between DequantizeLinear and QuantizeLinear, float ones elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.graph import Form, Operand, Value
from vacc_deploy.lowering.kernels import hconv2d, qconv2d
from vacc_deploy.lowering.kernels.float_epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Clamp, following_clamp
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.select.residual import Residual, following_residual
from vacc_deploy.lowering.select.window import Window, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.add import AddFactors, add_factors
from vacc_deploy.runtime.reference.fixed_point import multiplier

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class IntegerConvStep:
    """A convolution of codes: int32 accumulators, one multiply, one rounding.

    `weight` is (O, C/groups, kH, kW) int8, `bias` (O,) int32 in units of s_x·s_w, `scale` (O,) float32:
    s_x·s_w/s_y into a quantised output, s_x·s_w into a float one.
    """

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    groups: int
    weight: Array
    bias: Array
    scale: Array
    clamp: Clamp
    residual: Residual | None = None
    op: str = "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture, and the one that is added."""
        return (self.source,) if self.residual is None else (self.source, self.residual.other)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise or grouped, as the weights say."""
        source = inputs[0]
        assert isinstance(source, Plane) and isinstance(output, Plane)
        spec = qconv2d.QConv2dSpec(
            source,
            output,
            self.window.kernel,
            self.window.strides,
            self.window.dilations,
            self.window.pads[:2],
            self._epilogue(inputs, output),
        )
        factors = None if self.residual is None else self._factors(self.residual)
        return qconv2d.build(spec, target, self.weight, self.bias, self.scale, residual=factors)

    def _epilogue(self, inputs: Sequence[Plane | Value], output: Plane) -> qconv2d.Epilogue:
        quantization = self.output.value.quantization
        if output.dtype != "uint8" or quantization is None:
            return qconv2d.Epilogue()
        if self.residual is None:
            low, high = self.clamp.codes(quantization)
            return qconv2d.Epilogue(zero_point=output.fill, low=low, high=high)
        inner = self.residual.inner
        low, high = self.clamp.codes(inner)
        other = inputs[1]
        assert isinstance(other, Plane)
        added = qconv2d.Residual(other, *self.residual.clamp.codes(quantization))
        return qconv2d.Epilogue(inner.zero_point, low, high, table_zero_point=inner.zero_point, residual=added)

    def _factors(self, residual: Residual) -> AddFactors:
        other, result = residual.other.value.quantization, residual.output.quantization
        assert other is not None and result is not None
        return add_factors(float(residual.inner.scale), float(other.scale), float(result.scale))


@dataclass(frozen=True, slots=True)
class FloatConvStep:
    """A convolution of float planes: float32 inside, one rounding to the storage type at the end."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    groups: int
    weight: Array  # (O, C/groups, kH, kW) float32
    bias: Array  # (O,) float32
    clamp: Clamp
    op: str = "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise or grouped, as the weights say."""
        source = inputs[0]
        assert isinstance(source, Plane) and isinstance(output, Plane)
        spec = hconv2d.Hconv2dSpec(
            source,
            output,
            self.window.kernel,
            self.window.strides,
            self.window.dilations,
            self.window.pads[:2],
            FloatEpilogue(low=self.clamp.low, high=self.clamp.high),
        )
        return hconv2d.build(spec, target, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """int8 codes and the scale of every output channel."""

    codes: Array
    scale: Array  # (O,) float32


@selector("Conv")
def select_integer_conv(node: ir.Node, view: GraphView) -> IntegerConvStep | None:
    """``DQ(x), DQ(w) → Conv → [Relu | Clip] → [Q]``; without the Q the result is a float plane."""
    source = view.quantized_input(node.inputs[0])
    if source is None or len(source.shape) != 4 or source.quantization is None:
        return None
    weight = quantized_weight(node.inputs[1], view, channel_axis=0)
    if weight is None:
        return None
    result, clamp, covered = following_clamp(node.outputs[0], view)
    quantized = view.quantized_output(result)
    if quantized is None:  # the float variant has no clamp; a Relu behind it stays a step of its own
        result, clamp, covered = node.outputs[0], Clamp(), []
    input_scale = np.float32(source.quantization.scale)
    if quantized is not None:
        quantize_node, value = quantized
        assert value.quantization is not None
        scale = multiplier(input_scale, weight.scale, value.quantization.scale)
        residual = following_residual(quantize_node, value, view) if group_count(node) == 1 else None
        output = Operand(value if residual is None else residual.output, Form.QUANTIZED)
        covered = [*covered, quantize_node, *(() if residual is None else residual.nodes)]
    else:
        residual = None
        output = Operand(view.float_value(result), Form.FLOAT_PLANE)
        scale = (input_scale * weight.scale).astype(np.float32)
    bias = integer_bias(node, view, input_scale * weight.scale)
    covered = [node, *covered]
    view.take(covered)
    height, width = source.shape[2:]
    window = read_window(node, (weight.codes.shape[2], weight.codes.shape[3]), (height, width))
    reach = window.reach((height, width), (output.value.shape[2], output.value.shape[3]))
    return IntegerConvStep(
        source=Operand(source, Form.QUANTIZED, reach),
        output=output,
        nodes=tuple(str(covered_node.name) for covered_node in covered),
        window=window,
        groups=group_count(node),
        weight=weight.codes,
        bias=bias,
        scale=scale,
        clamp=clamp,
        residual=residual,
    )


@selector("Conv")
def select_float_conv(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``Conv → [Relu | Clip]`` with constant weights."""
    picture = node.inputs[0]
    weight = view.dequantized_constant(node.inputs[1])
    if picture is None or weight is None or not view.is_float_picture(picture) or weight.ndim != 4:
        return None
    bias = view.dequantized_constant(node.inputs[2]) if len(node.inputs) > 2 else None
    result, clamp, covered = following_clamp(node.outputs[0], view)
    covered = [node, *covered]
    view.take(covered)
    value = view.float_value(picture)
    made = view.float_value(result)
    window = read_window(node, (weight.shape[2], weight.shape[3]), (value.shape[2], value.shape[3]))
    reach = window.reach((value.shape[2], value.shape[3]), (made.shape[2], made.shape[3]))
    return FloatConvStep(
        source=Operand(value, Form.FLOAT_PLANE, reach),
        output=Operand(made, Form.FLOAT_PLANE),
        nodes=tuple(str(covered_node.name) for covered_node in covered),
        window=window,
        groups=group_count(node),
        weight=weight.astype(np.float32),
        bias=np.zeros(weight.shape[0], np.float32) if bias is None else bias.astype(np.float32),
        clamp=clamp,
    )


def quantized_weight(value: ir.Value | None, view: GraphView, channel_axis: int) -> QuantizedWeight | None:
    """The int8 codes behind a constant's DequantizeLinear; None if it is float, asymmetric or odd."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        return None
    codes = view.constant(node.inputs[0])
    scale = view.constant(node.inputs[1])
    zero = view.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if codes is None or scale is None or codes.dtype != np.int8 or (zero is not None and zero.any()):
        return None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    channels = codes.shape[channel_axis]
    if scale.size > 1 and (axis % codes.ndim != channel_axis or scale.size != channels):
        return None
    return QuantizedWeight(codes, np.broadcast_to(scale.astype(np.float32).reshape(-1), (channels,)).copy())


def integer_bias(node: ir.Node, view: GraphView, unit: Array) -> Array:
    """The bias as int32 in units of s_x·s_w: as stored, or rounded from float."""
    channels = unit.shape[0]
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return np.zeros(channels, np.int32)
    producer = value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        codes = view.constant(producer.inputs[0])
        if codes is not None and codes.dtype == np.int32:
            return codes
    constant = view.dequantized_constant(value)
    if constant is None:
        raise ModelError("a quantised convolution has a bias that is not constant", where=str(node.name))
    steps = np.rint(constant.astype(np.float64) / unit.astype(np.float64))
    return np.clip(steps, -(2**31), 2**31 - 1).astype(np.int32)


def group_count(node: ir.Node) -> int:
    """The ``group`` attribute, 1 by default."""
    return node.attributes["group"].as_int() if "group" in node.attributes else 1
