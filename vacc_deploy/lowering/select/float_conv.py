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
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec, HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Activation
from vacc_deploy.lowering.select.float_tail import following_tail
from vacc_deploy.lowering.select.window import group_count, reach, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FloatConvStep:
    """A convolution of float planes: float32 inside, one rounding to the storage type at the end.

    ``y = activation(gain·conv(x·modulation) + bias + residual)``
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
    modulation: Operand | None = None
    gain: Operand | None = None
    residual: Operand | None = None

    @property
    def op(self) -> str:
        """``conv2d`` or ``conv_transpose2d``."""
        return "conv_transpose2d" if self.transposed else "conv2d"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture, its factors, those of the sums, and the picture that is added."""
        others = (self.modulation, self.gain, self.residual)
        return (self.source, *(operand for operand in others if operand is not None))

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Dense, depthwise, grouped or transposed, as the operator says."""
        source, output = as_plane(inputs[0]), as_plane(output)
        planes = iter(inputs[1:])
        modulation, gain, residual = (
            None if operand is None else as_plane(next(planes))
            for operand in (self.modulation, self.gain, self.residual)
        )
        slope = self.activation.slope
        epilogue = FloatEpilogue(self.activation.low, self.activation.high, slope is not None, gain, residual)
        geometry = (source, output, self.window, self.groups, epilogue)
        numbers = HconvNumbers(self.weight, self.bias, slope)
        if self.transposed:
            transposed = HconvTranspose2dSpec(*geometry, modulation=modulation)
            return hconv_transpose2d.build(transposed, target, numbers)
        return hconv2d.build(Hconv2dSpec(*geometry, modulation=modulation), target, numbers)


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands before a convolution.

    Attributes:
        picture: What is convolved.
        nodes: What multiplies it on its way, if anything does.
        modulation: Its factors per channel, then.
    """

    picture: ir.Value
    nodes: tuple[ir.Node, ...] = ()
    modulation: Operand | None = None


def select_float_conv(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``Conv`` with constant weights, and its `FloatTail`."""
    picture = node.inputs[0]
    return None if picture is None else _convolution(node, _Head(picture), view)


def select_modulated_conv(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``Mul → Conv``: a picture times a factor per channel, which nothing else reads."""
    conv = view.sole_consumer(node.outputs[0])
    if conv is None or conv.op_type not in ("Conv", "ConvTranspose") or conv.inputs[0] is not node.outputs[0]:
        return None
    if view.group(node) is not None or view.group(conv) is not None or view.is_taken(conv):
        return None
    shape = view.shape(node.outputs[0])
    sides = [side for side in node.inputs if side is not None and view.is_float_picture(side)]
    for picture, factors in zip(sides, reversed(sides), strict=True):
        if len(sides) == 2 and (view.shape(picture), view.shape(factors)) == (shape, (*shape[:2], 1, 1)):
            return _convolution(conv, _Head(picture, (node,), view.float_plane(factors)), view)
    return None


def _convolution(node: ir.Node, head: _Head, view: GraphView) -> FloatConvStep | None:
    """The convolution `node` with what stands before and behind it."""
    weight = view.folded(node.inputs[1])
    if weight is None or not view.is_float_picture(head.picture) or weight.ndim != 4:
        return None
    bias = view.folded(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    bias = None if bias is None else bias.astype(np.float32).reshape(-1)
    tail = following_tail(node.outputs[0], bias, view)
    source, output = view.float_plane(head.picture), view.float_plane(tail.result)
    transposed = node.op_type == "ConvTranspose"
    size = source.value.shape[2:]
    window = read_window(node, (weight.shape[2], weight.shape[3]), (size[0], size[1]))
    return FloatConvStep(
        source=replace(source, reach=reach(window, source, output, transposed=transposed)),
        output=output,
        nodes=view.take([node, *head.nodes, *tail.nodes]),
        window=window,
        transposed=transposed,
        groups=group_count(node),
        weight=weight.astype(np.float32),
        bias=tail.bias,
        activation=tail.activation,
        modulation=head.modulation,
        gain=tail.gain,
        residual=tail.residual,
    )
