"""Select float convolutions, ordinary and transposed, with the activation and the addition behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Value, as_plane
from vacc_deploy.lowering.kernels.convolution.floating import hconv2d, hconv_transpose2d
from vacc_deploy.lowering.kernels.convolution.floating.epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec, HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Activation, following_activation
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.select.window import group_count, reach, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FloatConvStep:
    """A convolution of float planes: float32 inside, one rounding to the storage type at the end.

    ``y = activation(conv(x) + bias + residual)``
    """

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    window: Window
    transposed: bool
    groups: int
    weight: Array  # float32, ONNX's order
    bias: Array | None  # (O,) float32
    activation: Activation
    residual: Operand | None = None

    @property
    def op(self) -> str:
        """``conv2d`` or ``conv_transpose2d``."""
        return "conv_transpose2d" if self.transposed else "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture, and the one that is added."""
        return (self.source,) if self.residual is None else (self.source, self.residual)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise, grouped or transposed, as the operator says."""
        source, output = as_plane(inputs[0]), as_plane(output)
        residual = None
        if self.residual is not None:
            assert isinstance(inputs[1], Plane)
            residual = inputs[1]
        slope = self.activation.slope
        epilogue = FloatEpilogue(self.activation.low, self.activation.high, slope is not None, residual)
        geometry = (source, output, self.window, self.groups, epilogue)
        if self.transposed:
            transposed = HconvTranspose2dSpec(*geometry)
            return hconv_transpose2d.build(transposed, target, self.weight, self.bias, slope)
        return hconv2d.build(Hconv2dSpec(*geometry), target, self.weight, self.bias, slope)


@selector("Conv", "ConvTranspose")
def select_float_conv(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``Conv → [Add] → [Relu | Clip | LeakyRelu | PRelu]`` with constant weights."""
    picture, weight = node.inputs[0], view.folded(node.inputs[1])
    if picture is None or weight is None or not view.is_float_picture(picture) or weight.ndim != 4:
        return None
    bias = view.folded(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    covered = [node]
    made = node.outputs[0]
    addition = _following_addition(made, view)
    residual = None
    if addition is not None:
        covered.append(addition[0])
        made, residual = addition[0].outputs[0], addition[1]
    result, activation, behind = following_activation(made, view, slopes=True)
    source, output = view.float_plane(picture), view.float_plane(result)
    transposed = node.op_type == "ConvTranspose"
    size = source.value.shape[2:]
    window = read_window(node, (weight.shape[2], weight.shape[3]), (size[0], size[1]))
    return FloatConvStep(
        source=replace(source, reach=reach(window, source, output, transposed=transposed)),
        output=output,
        nodes=view.take([*covered, *behind]),
        window=window,
        transposed=transposed,
        groups=group_count(node),
        weight=weight.astype(np.float32),
        bias=None if bias is None else bias.astype(np.float32).reshape(-1),
        activation=activation,
        residual=residual,
    )


def _following_addition(value: ir.Value, view: GraphView) -> tuple[ir.Node, Operand] | None:
    """The Add of another picture of the same shape that alone reads `value`, and that picture."""
    node = view.sole_consumer(value)
    if node is None or node.op_type != "Add" or view.is_taken(node) or view.group(node) is not None:
        return None
    others = [operand for operand in node.inputs if operand is not value]
    if len(others) != 1 or others[0] is None or not view.is_float_picture(others[0]):
        return None
    if view.shape(others[0]) != view.shape(value):
        return None
    return node, view.float_plane(others[0])
