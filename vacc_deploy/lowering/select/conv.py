"""Select convolutions, ordinary and transposed: integer ones where the reference computes integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

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
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.select.residual import Addition, following_addition, read_addition
from vacc_deploy.lowering.select.unary import following_table, stored_table
from vacc_deploy.lowering.select.window import group_count, reach, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.fixed_point import multiplier
from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class IntegerConvStep:
    """A convolution of codes: int32 accumulators, one multiply, one rounding.

    `weight` is int8 in ONNX's order, `bias` (O,) int32 in units of s_x·s_w, `scale` (O,) float32:
    s_x·s_w/s_y into a quantised output, s_x·s_w into a float one. A table or an addition may follow, each
    exactly as if it were a step of its own.
    """

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    transposed: bool
    groups: int
    weight: Array
    bias: Array
    scale: Array
    zero_point: int = 0  # of the convolution's own result, as stored
    clamp: tuple[int, int] = (0, 255)  # of that result
    relu: bool = False  # behind a float result; codes have `clamp` for that
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
        numbers = QConvNumbers(self.weight, self.bias, self.scale, self.table, factors)
        if self.transposed:
            return qconv_transpose2d.build(QConvTranspose2dSpec(*geometry), target, numbers)
        return qconv2d.build(QConv2dSpec(*geometry), target, numbers)

    def _epilogue(self, inputs: Sequence[Plane | Value], output: Plane) -> Epilogue:
        if output.dtype != "uint8":
            return Epilogue(relu=self.relu)
        low, high = self.clamp
        if self.table is not None:
            lines = slopes_of(self.table, self.zero_point, output.fill) is not None
            kind: Literal["slopes", "shared"] = "slopes" if lines else "shared"
            return Epilogue(self.zero_point, low, high, table=kind, table_zero_point=output.fill)
        if self.addition is None:
            return Epilogue(self.zero_point, low, high, table_zero_point=self.zero_point)
        other = inputs[1]
        assert isinstance(other, Plane)
        added = Residual(other, *self.addition.clamp)
        return Epilogue(self.zero_point, low, high, table_zero_point=self.zero_point, residual=added)


@selector("Conv", "ConvTranspose")
def select_integer_conv(node: ir.Node, view: GraphView) -> IntegerConvStep | None:
    """``DQ(x), DQ(w) → Conv → [Relu | Clip] → [Q]``; without the Q the result is a float plane."""
    group = view.group(node)
    if group is None or group.operands[1].constant is None or group.operands[1].zero_point != 0:
        return None
    codes, weight = group.operands[0], group.operands[1].constant
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
    made, relu = _float_result(node, view)
    output = view.float_plane(made) if group.output is None else view.coded_output(group)
    step = IntegerConvStep(
        source=replace(source, reach=reach(window, source, output, transposed=transposed)),
        output=output,
        nodes=(),
        window=window,
        transposed=transposed,
        groups=groups,
        weight=weight,
        bias=np.zeros(channels, np.int32) if bias is None else bias,
        scale=np.float32(codes.scale) * scales,
    )
    if group.output is None:
        return replace(step, nodes=view.take([node, *relu]), relu=bool(relu))
    assert output.value.quantization is not None
    step = replace(
        step,
        scale=multiplier(codes.scale, scales, group.output.scale),
        zero_point=output.value.quantization.zero_point,
        clamp=stored_range(group),
    )
    return _with_tail(step, group, view)


def _float_result(node: ir.Node, view: GraphView) -> tuple[ir.Value, list[ir.Node]]:
    """What a convolution hands out in float: its own result, or that of the Relu that alone reads it."""
    result, activation, nodes = following_activation(node.outputs[0], view)
    return (result, nodes) if activation == Activation(low=0.0) else (node.outputs[0], [])


def _with_tail(step: IntegerConvStep, group: Group, view: GraphView) -> IntegerConvStep:
    """The convolution with the table or the addition that alone reads its codes, if there is one."""
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
