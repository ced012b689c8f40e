"""Select convolutions: integer ones where the reference computes integers, float ones elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Value
from vacc_deploy.lowering.kernels import hconv2d, qconv2d
from vacc_deploy.lowering.kernels.float_epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Clamp, following_clamp
from vacc_deploy.lowering.select.codes import stored_range
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.select.residual import following_addition
from vacc_deploy.lowering.select.window import Window, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.add import AddFactors, add_factors
from vacc_deploy.runtime.reference.fixed_point import multiplier
from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Addition:
    """A residual that the convolution's kernel adds after its own requantisation."""

    other: Operand
    zero_point: int  # of the convolution's own result, as stored
    clamp: tuple[int, int]  # of that result
    factors: AddFactors


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
    clamp: tuple[int, int]  # stored codes; of the sum where there is an addition
    addition: Addition | None = None
    op: str = "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture, and the one that is added."""
        return (self.source,) if self.addition is None else (self.source, self.addition.other)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise or grouped, as the weights say."""
        source = inputs[0]
        assert isinstance(source, Plane) and isinstance(output, Plane)
        window = self.window
        spec = qconv2d.QConv2dSpec(
            source,
            output,
            window.kernel,
            window.strides,
            window.dilations,
            window.pads[:2],
            self._epilogue(inputs, output),
        )
        factors = None if self.addition is None else self.addition.factors
        return qconv2d.build(spec, target, self.weight, self.bias, self.scale, residual=factors)

    def _epilogue(self, inputs: Sequence[Plane | Value], output: Plane) -> qconv2d.Epilogue:
        if output.dtype != "uint8":
            return qconv2d.Epilogue()
        if self.addition is None:
            return qconv2d.Epilogue(zero_point=output.fill, low=self.clamp[0], high=self.clamp[1])
        other, zero_point = inputs[1], self.addition.zero_point
        assert isinstance(other, Plane)
        return qconv2d.Epilogue(
            zero_point,
            *self.addition.clamp,
            table_zero_point=zero_point,
            residual=qconv2d.Residual(other, *self.clamp),
        )


@dataclass(frozen=True, slots=True)
class FloatConvStep:
    """A convolution of float planes: float32 inside, one rounding to the storage type at the end."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    groups: int
    weight: Array  # (O, C/groups, kH, kW) float32
    bias: Array | None  # (O,) float32
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
        window = self.window
        spec = hconv2d.Hconv2dSpec(
            source,
            output,
            window.kernel,
            window.strides,
            window.dilations,
            window.pads[:2],
            FloatEpilogue(low=self.clamp.low, high=self.clamp.high),
        )
        return hconv2d.build(spec, target, self.weight, self.bias)


@selector("Conv")
def select_integer_conv(node: ir.Node, view: GraphView) -> IntegerConvStep | None:
    """``DQ(x), DQ(w) → Conv → [Relu | Clip] → [Q]``; without the Q the result is a float plane."""
    group = view.group(node)
    if group is None or group.operands[1].constant is None or group.operands[1].zero_point != 0:
        return None
    codes, weight = group.operands[0], group.operands[1].constant
    source = view.coded_input(group, 0)
    scales = np.broadcast_to(group.operands[1].scale.astype(np.float32).reshape(-1), weight.shape[:1])
    if group.output is None:
        output = view.float_plane(node.outputs[0])
        scale, clamp = np.float32(codes.scale) * scales, (0, 0)
    else:
        output = view.coded_output(group)
        scale, clamp = multiplier(codes.scale, scales, group.output.scale), stored_range(group)
    bias = group.operands[2].constant if len(group.operands) > 2 else None
    shape, result = source.value.shape, output.value.shape
    window = read_window(node, (weight.shape[2], weight.shape[3]), (shape[2], shape[3]))
    step = IntegerConvStep(
        source=replace(source, reach=window.reach((shape[2], shape[3]), (result[2], result[3]))),
        output=output,
        nodes=(),
        window=window,
        groups=group_count(node),
        weight=weight,
        bias=np.zeros(weight.shape[0], np.int32) if bias is None else bias,
        scale=scale,
        clamp=clamp,
    )
    fused = following_addition(group, view) if step.groups == 1 else None
    if fused is None:
        return replace(step, nodes=view.take(view.group_nodes(group)))
    addition, other = fused
    nodes = view.take([*view.group_nodes(group), *view.group_nodes(addition)])
    return replace(
        step,
        nodes=nodes,
        output=view.coded_output(addition),
        clamp=stored_range(addition),
        addition=_addition(group, addition, other, view),
    )


def _addition(group: Group, addition: Group, other: int, view: GraphView) -> Addition:
    assert group.output is not None and addition.output is not None
    ours = view.coded_output(group).value.quantization
    assert ours is not None
    return Addition(
        other=view.coded_input(addition, other),
        zero_point=ours.zero_point,
        clamp=stored_range(group),
        factors=add_factors(
            float(group.output.scale), float(addition.operands[other].scale), float(addition.output.scale)
        ),
    )


@selector("Conv")
def select_float_conv(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``Conv → [Relu | Clip]`` with constant weights."""
    picture, weight = node.inputs[0], view.folded(node.inputs[1])
    if picture is None or weight is None or not view.is_float_picture(picture) or weight.ndim != 4:
        return None
    bias = view.folded(node.inputs[2]) if len(node.inputs) > 2 else None
    result, clamp, covered = following_clamp(node.outputs[0], view)
    source, output = view.float_plane(picture), view.float_plane(result)
    size, made = source.value.shape[2:], output.value.shape[2:]
    window = read_window(node, (weight.shape[2], weight.shape[3]), (size[0], size[1]))
    return FloatConvStep(
        source=replace(source, reach=window.reach((size[0], size[1]), (made[0], made[1]))),
        output=output,
        nodes=view.take([node, *covered]),
        window=window,
        groups=group_count(node),
        weight=weight.astype(np.float32),
        bias=None if bias is None else bias.astype(np.float32),
        clamp=clamp,
    )


def group_count(node: ir.Node) -> int:
    """The ``group`` attribute, 1 by default."""
    return int(node.attributes.get_int("group", 1) or 1)
