"""Select pools, global pools and instance normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.sampling import global_pool, instance_norm, pool
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Activation, following_activation
from vacc_deploy.lowering.select.one_picture import one_picture
from vacc_deploy.lowering.select.window import read_pads, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

Kind = Literal["max", "average"]


@dataclass(frozen=True, slots=True)
class PoolStep:
    """The maximum or the average of every window."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    kind: Kind
    window: Window
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    clamp: tuple[float, float]
    count_include_pad: bool
    ceil_mode: bool
    op: str = "pool"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The pooling kernel."""
        source, output, window = as_plane(inputs[0]), as_plane(output), self.window
        spec = pool.PoolSpec(
            source,
            output,
            self.kind,
            window.kernel,
            window.stride,
            self.pads,
            window.dilation,
            *self.clamp,
        )
        averages = self.kind == "average"
        return pool.build(
            spec,
            target,
            count_include_pad=self.count_include_pad,
            ceil_mode=self.ceil_mode,
            input_scale=self.source.step if averages else None,
            output_scale=self.output.step if averages else None,
        )


@dataclass(frozen=True, slots=True)
class GlobalPoolStep:
    """One value per channel."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    kind: Kind
    clamp: tuple[float, float]
    op: str = "global_pool"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The reducing kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = global_pool.GlobalPoolSpec(source, output, self.kind, *self.clamp)
        return global_pool.build(spec, target, input_scale=self.source.step, output_scale=self.output.step)


@dataclass(frozen=True, slots=True)
class InstanceNormStep:
    """``gamma · (x − mean) / sqrt(var + epsilon) + beta`` per channel of each picture."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    gamma: npt.NDArray[Any]
    beta: npt.NDArray[Any]
    epsilon: float
    activation: Activation
    op: str = "instance_norm"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The normalising kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        low, high, slope = self.activation.low, self.activation.high, self.activation.slope
        spec = instance_norm.InstanceNormSpec(source, output, self.epsilon, low, high, slope is not None)
        return instance_norm.build(spec, target, self.gamma, self.beta, slope)


def select_pool(node: ir.Node, view: GraphView) -> PoolStep | None:
    """Two-dimensional windows; the indices output of MaxPool is not supported."""
    kernel = node.attributes.get_ints("kernel_shape")
    dilated = any(step != 1 for step in node.attributes.get_ints("dilations") or ())
    if dilated and node.op_type == "AveragePool":
        return None
    if kernel is None or len(kernel) != 2:
        return None
    found = one_picture(node, view, keeps_scale=node.op_type == "MaxPool")
    if found is None:
        return None
    height, width = found.source.value.shape[2:]
    geometry = (node, (kernel[0], kernel[1]), (height, width))
    return PoolStep(
        found.source,
        found.output,
        found.nodes,
        "max" if node.op_type == "MaxPool" else "average",
        read_window(*geometry),
        read_pads(*geometry),
        found.clamp,
        bool(node.attributes.get_int("count_include_pad", 0)),
        bool(node.attributes.get_int("ceil_mode", 0)),
    )


def select_global_pool(node: ir.Node, view: GraphView) -> GlobalPoolStep | None:
    """One value per channel."""
    found = one_picture(node, view, keeps_scale=node.op_type == "GlobalMaxPool")
    if found is None:
        return None
    kind: Kind = "max" if node.op_type == "GlobalMaxPool" else "average"
    return GlobalPoolStep(found.source, found.output, found.nodes, kind, found.clamp)


def select_instance_norm(node: ir.Node, view: GraphView) -> InstanceNormStep | None:
    """``InstanceNormalization → [Relu, LeakyRelu, …]`` of a float picture."""
    picture = node.inputs[0]
    gamma, beta = (view.folded(value) for value in node.inputs[1:3])
    if picture is None or not view.is_float_picture(picture) or gamma is None or beta is None:
        return None
    result, activation, covered = following_activation(node.outputs[0], view, slopes=True)
    return InstanceNormStep(
        view.float_plane(picture),
        view.float_plane(result),
        view.take([node, *covered]),
        gamma.astype(np.float32),
        beta.astype(np.float32),
        float(node.attributes.get_float("epsilon", 1e-5) or 0.0),
        activation,
    )
