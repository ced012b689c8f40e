"""Select convolutions, ordinary and transposed: integer ones where the reference computes integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Value, as_plane
from vacc_deploy.lowering.kernels.convolution.integer import qconv2d, qconv_transpose2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue, Residual
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.slopes import slopes_of
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec, QConvTranspose2dSpec
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Activation, following_activation
from vacc_deploy.lowering.select.codes import stored_range
from vacc_deploy.lowering.select.residual import Addition, following_addition, read_addition
from vacc_deploy.lowering.select.unary import following_table, stored_table
from vacc_deploy.lowering.select.window import group_count, reach, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.fixed_point import multiplier
from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class IntegerResult:
    """What a convolution's sums are made into, before anything that its kernel takes along.

    Attributes:
        output: Codes, or floats where nothing quantises them.
        scale: (C_out,) float32: s_x·s_w/s_y to codes, s_x·s_w to floats.
        zero_point: As stored; 0 for floats.
        clamp: Smallest and largest stored code, a fused activation included.
    """

    output: Operand
    scale: Array
    zero_point: int = 0
    clamp: tuple[int, int] = (0, 255)


def integer_result(group: Group, weight_scales: Array, view: GraphView) -> IntegerResult:
    """What the sums of a group are made into; `weight_scales` is (C_out,) float32."""
    source_scale = group.operands[0].scale
    if group.output is None:
        output = view.float_plane(group.node.outputs[0])
        return IntegerResult(output, np.float32(source_scale) * weight_scales)
    output = view.coded_output(group)
    assert output.value.quantization is not None
    scale = multiplier(source_scale, weight_scales, group.output.scale)
    return IntegerResult(output, scale, output.value.quantization.zero_point, stored_range(group))


@dataclass(frozen=True, slots=True)
class IntegerConvStep:
    """A convolution of codes: int32 accumulators, one multiply, one rounding.

    A table or an addition may follow, each exactly as if it were a step of its own.

    Attributes:
        source: The picture.
        result: What the sums are made into.
        output: What the step makes: the result, or what follows it.
        nodes: The ONNX nodes that it covers.
        window: What slides.
        transposed: Whether it slides over the output.
        groups: Equal parts of the channels that are convolved apart.
        weight: int8, ONNX's order.
        bias: (C_out,) int32, in units of s_x·s_w.
        relu: Whether a float result is 0 where the sum is negative; codes have the clamp for that.
        table: uint8 (256,), from stored code of the result to stored code of the output.
        addition: What is added to the result.
    """

    source: Operand
    result: IntegerResult
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    transposed: bool
    groups: int
    weight: Array
    bias: Array
    relu: bool = False
    table: Array | None = None
    addition: Addition | None = None

    @property
    def op(self) -> str:
        """``conv2d`` or ``conv_transpose2d``."""
        return "conv_transpose2d" if self.transposed else "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture, and the one that is added."""
        return (self.source,) if self.addition is None else (self.source, self.addition.other)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise, grouped or transposed, as the operator says."""
        source, output = as_plane(inputs[0]), as_plane(output)
        geometry = (source, output, self.window, self.groups, self._epilogue(inputs, output))
        factors = None if self.addition is None else self.addition.factors
        numbers = QConvNumbers(self.weight, self.bias, self.result.scale, self.table, factors)
        if self.transposed:
            return qconv_transpose2d.build(QConvTranspose2dSpec(*geometry), target, numbers)
        return qconv2d.build(QConv2dSpec(*geometry), target, numbers)

    def _epilogue(self, inputs: Sequence[Plane | Value], output: Plane) -> Epilogue:
        if output.dtype != "uint8":
            return Epilogue(relu=self.relu)
        zero_point = self.result.zero_point
        codes = Epilogue(zero_point, *self.result.clamp, table_zero_point=zero_point)
        if self.table is not None:
            lines = slopes_of(self.table, zero_point, output.fill) is not None
            return replace(codes, table="slopes" if lines else "lookup", table_zero_point=output.fill)
        if self.addition is not None:
            return replace(codes, residual=Residual(as_plane(inputs[1]), *self.addition.clamp))
        return codes


def select_integer_conv(node: ir.Node, view: GraphView) -> IntegerConvStep | None:
    """``DQ(x), DQ(w) → Conv → [Relu | Clip] → [Q]``; without the Q the result is a float plane.

    Takes along what alone reads the result: a table or an addition of codes, a Relu of floats.
    """
    group = view.group(node)
    if group is None or group.operands[1].constant is None or group.operands[1].zero_point != 0:
        return None
    weight = group.operands[1].constant
    transposed, groups = node.op_type == "ConvTranspose", group_count(node)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    scales = group.operands[1].scale.astype(np.float32).reshape(-1)
    scales = (
        np.tile(scales, groups) if transposed and scales.size > 1 else np.broadcast_to(scales, (channels,))
    )
    source = view.coded_input(group, 0)
    size = source.value.shape[2:]
    window = read_window(node, (weight.shape[2], weight.shape[3]), (size[0], size[1]))
    bias = group.operands[2].constant if len(group.operands) > 2 else None
    result = integer_result(group, scales, view)
    step = IntegerConvStep(
        source=replace(source, reach=reach(window, source, result.output, transposed=transposed)),
        result=result,
        output=result.output,
        nodes=(),
        window=window,
        transposed=transposed,
        groups=groups,
        weight=weight,
        bias=np.zeros(channels, np.int32) if bias is None else bias,
    )
    return _with_relu(step, node, view) if group.output is None else _with_tail(step, group, view)


def _with_relu(step: IntegerConvStep, node: ir.Node, view: GraphView) -> IntegerConvStep:
    """The convolution to floats with the Relu that alone reads them, if there is one."""
    made, activation, relu = following_activation(node.outputs[0], view)
    if activation != Activation(low=0.0):
        return replace(step, nodes=view.take([node]))
    return replace(step, nodes=view.take([node, *relu]), output=view.float_plane(made), relu=True)


def _with_tail(step: IntegerConvStep, group: Group, view: GraphView) -> IntegerConvStep:
    """The convolution to codes with the table or the addition that alone reads them, if there is one."""
    table = following_table(group, view)
    if table is not None:
        nodes = view.take([*view.group_nodes(group), *view.group_nodes(table)])
        return replace(step, nodes=nodes, output=view.coded_output(table), table=stored_table(table))
    found = following_addition(group, view)
    if found is None:
        return replace(step, nodes=view.take(view.group_nodes(group)))
    addition, other = found
    return replace(
        step,
        output=view.coded_output(addition),
        addition=read_addition(group, addition, other, view),
        nodes=view.take([*view.group_nodes(group), *view.group_nodes(addition)]),
    )
