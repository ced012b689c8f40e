"""Select resizes, paddings and slices of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import channels, gather_pixels
from vacc_deploy.lowering.kernels.sampling import resize_bilinear
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import one_picture
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.resize import Coordinates

PadMode = Literal["constant", "reflect", "edge", "wrap"]
_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@dataclass(frozen=True, slots=True)
class ResizeStep:
    """ONNX ``Resize`` of height and width."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    mode: Literal["nearest", "linear"]
    scales: tuple[float, float]
    coordinates: str
    nearest_mode: str
    op: str = "resize"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """Copies for nearest, two taps per axis for linear."""
        source, output = as_plane(inputs[0]), as_plane(output)
        if self.mode == "nearest":
            spec = gather_pixels.nearest(
                source, output, self.scales, cast(Any, self.coordinates), cast(Any, self.nearest_mode)
            )
            return gather_pixels.build(spec, target)
        bilinear = resize_bilinear.BilinearSpec(
            source, output, self.scales, cast(Coordinates, self.coordinates)
        )
        return resize_bilinear.build(
            bilinear, target, input_scale=self.source.step, output_scale=self.output.step
        )


@dataclass(frozen=True, slots=True)
class PadStep:
    """ONNX ``Pad`` of height and width."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    top: int
    left: int
    mode: PadMode
    value: float | None  # None: zero, or the code of zero
    op: str = "pad"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = gather_pixels.pad(source, output, self.top, self.left, self.mode, self.value)
        return gather_pixels.build(spec, target)


@dataclass(frozen=True, slots=True)
class SliceStep:
    """ONNX ``Slice`` along the channels, or along height and width."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    ranges: tuple[range, range, range]  # channels, rows, columns
    op: str = "slice"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        if self.ranges[0] != range(source.channels):
            return channels.build(channels.take_channels(source, output, self.ranges[0]), target)
        return gather_pixels.build(gather_pixels.crop(source, output, self.ranges[1], self.ranges[2]), target)


def select_resize(node: ir.Node, view: GraphView) -> ResizeStep | None:
    """Nearest or linear without antialiasing, cropping or rescaled channels."""
    picture, result = node.inputs[0], node.outputs[0]
    mode = node.attributes.get_string("mode", "nearest")
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if picture is None or len(view.shape(picture)) != 4 or coordinates not in _COORDINATES:
        return None
    if mode not in ("nearest", "linear") or node.attributes.get_int("antialias", 0) == 1:
        return None
    before, after = view.shape(picture), view.shape(result)
    scales = view.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if before[:2] != after[:2] or (node.attributes.get_ints("axes") or [2, 3]) != [2, 3]:
        return None
    factors = [after[axis] / before[axis] for axis in (2, 3)]
    if scales is not None and scales.size:
        factors = [float(scale) for scale in scales.reshape(-1)[-2:]]
    found = one_picture(node, view, keeps_scale=mode == "nearest")
    if found is None:
        return None
    return ResizeStep(
        found.source,
        found.output,
        found.nodes,
        "nearest" if mode == "nearest" else "linear",
        (factors[0], factors[1]),
        coordinates,
        node.attributes.get_string("nearest_mode", "round_prefer_floor") or "round_prefer_floor",
    )


def select_pad(node: ir.Node, view: GraphView) -> PadStep | None:
    """Paddings of height and width with constant amounts."""
    picture = node.inputs[0]
    mode = node.attributes.get_string("mode", "constant")
    if (
        picture is None
        or len(view.shape(picture)) != 4
        or mode not in ("constant", "reflect", "edge", "wrap")
    ):
        return None
    amounts = view.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = view.constant(node.inputs[3]) if len(node.inputs) > 3 else None
    if amounts is None or (len(node.inputs) > 3 and node.inputs[3] is not None and axes is None):
        return None
    before, after = _per_axis(amounts, axes)
    if before[:2] != [0, 0] or after[:2] != [0, 0]:
        return None
    value = view.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if len(node.inputs) > 2 and node.inputs[2] is not None and value is None:
        return None
    constant = 0.0 if value is None or not value.size else float(value.reshape(()))
    if constant and view.group(node) is not None:
        return None
    moved = one_picture(node, view, keeps_scale=True)
    if moved is None:
        return None
    fill = constant if mode == "constant" and constant else None
    return PadStep(moved.source, moved.output, moved.nodes, before[2], before[3], cast(PadMode, mode), fill)


def _per_axis(amounts: np.ndarray, axes: np.ndarray | None) -> tuple[list[int], list[int]]:
    """Amounts before and after each of four axes."""
    listed = (
        [int(axis) % 4 for axis in axes.reshape(-1)] if axes is not None and axes.size else list(range(4))
    )
    flat = [int(amount) for amount in amounts.reshape(-1)]
    before, after = [0] * 4, [0] * 4
    for index, axis in enumerate(listed):
        before[axis], after[axis] = flat[index], flat[index + len(listed)]
    return before, after


def select_slice(node: ir.Node, view: GraphView) -> SliceStep | None:
    """Slices with constant bounds, of channels or of height and width but not of both."""
    picture = node.inputs[0]
    if picture is None or len(view.shape(picture)) != 4:
        return None
    bounds = [view.constant(value) for value in node.inputs[1:]]
    if len(bounds) < 2 or any(
        bound is None and node.inputs[i + 1] is not None for i, bound in enumerate(bounds)
    ):
        return None
    starts, ends, axes, steps = (*bounds, None, None)[:4]
    assert starts is not None and ends is not None
    shape = view.shape(picture)
    ranges = [range(size) for size in shape]
    for index, (start, end) in enumerate(zip(starts.reshape(-1), ends.reshape(-1), strict=True)):
        axis = int(axes.reshape(-1)[index]) % 4 if axes is not None else index
        step = int(steps.reshape(-1)[index]) if steps is not None else 1
        stop = None if step < 0 and int(end) < -shape[axis] else int(end)
        ranges[axis] = range(shape[axis])[int(start) : stop : step]
    channels_cut = ranges[1] != range(shape[1])
    picture_cut = (ranges[2], ranges[3]) != (range(shape[2]), range(shape[3]))
    if ranges[0] != range(shape[0]) or (channels_cut and picture_cut) or not all(ranges):
        return None
    moved = one_picture(node, view, keeps_scale=True)
    if moved is None:
        return None
    return SliceStep(moved.source, moved.output, moved.nodes, (ranges[1], ranges[2], ranges[3]))
