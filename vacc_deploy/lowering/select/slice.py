"""Select slices of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import channels, gather_pixels
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import OnePictureStep, one_picture
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class SliceStep(OnePictureStep):
    """ONNX ``Slice`` along the channels, or along height and width."""

    ranges: tuple[range, range, range]  # channels, rows, columns
    op: str = "slice"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        if self.ranges[0] != range(source.channels):
            return channels.build(channels.take_channels(source, output, self.ranges[0]), target)
        return gather_pixels.build(gather_pixels.crop(source, output, self.ranges[1], self.ranges[2]), target)


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
