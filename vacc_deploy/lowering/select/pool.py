"""Select pools and global pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.sampling import global_pool, pool
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import OnePictureStep, one_picture
from vacc_deploy.lowering.select.window import read_pads, read_window
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

Kind = Literal["max", "average"]


@dataclass(frozen=True, slots=True)
class PoolStep(OnePictureStep):
    """The maximum or the average of every window."""

    kind: Kind
    window: Window
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    clamp: tuple[float, float]
    count_include_pad: bool
    ceil_mode: bool
    op: str = "pool"

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
class GlobalPoolStep(OnePictureStep):
    """One value per channel."""

    kind: Kind
    clamp: tuple[float, float]
    op: str = "global_pool"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The reducing kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = global_pool.GlobalPoolSpec(source, output, self.kind, *self.clamp)
        return global_pool.build(spec, target, input_scale=self.source.step, output_scale=self.output.step)


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
