"""The geometry of a sliding window, read from an ONNX node: Conv, ConvTranspose and the pools."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.kernels.convolution.conv_transpose_sections import (
    Geometry,
    required_halo,
    transpose_parts,
)
from vacc_deploy.lowering.plane import Halo


@dataclass(frozen=True, slots=True)
class Window:
    """Kernel size, steps, tap distance and padding; pairs are (vertical, horizontal), pads ONNX order."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right

    def reach_of(self, source: Operand, output: Operand, *, transposed: bool = False) -> Halo:
        """How far the windows of `output` look beyond `source`."""
        if transposed:
            geometry = Geometry(self.kernel, self.strides, self.dilations, self.pads[:2])
            planes = [operand.value.plane(operand.form, Halo()) for operand in (source, output)]
            return required_halo(transpose_parts(geometry, planes[1]), planes[0])
        top, left = self.pads[:2]
        ends = [
            (output.value.shape[axis] - 1) * self.strides[axis - 2]
            + (self.kernel[axis - 2] - 1) * self.dilations[axis - 2]
            + 1
            - before
            - source.value.shape[axis]
            for axis, before in ((2, top), (3, left))
        ]
        return Halo(top, left, max(0, ends[0]), max(0, ends[1]))


def read_window(node: ir.Node, kernel: tuple[int, int], size: tuple[int, int]) -> Window:
    """The window of `node` over an input of `size` (height, width); ``auto_pad`` is resolved."""
    strides = _pair(node, "strides", (1, 1))
    dilations = _pair(node, "dilations", (1, 1))
    mode = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if node.op_type == "ConvTranspose" and (mode.startswith("SAME") or "output_shape" in node.attributes):
        pads = _pads_to_output(node, kernel, strides, dilations, size, mode)
        return Window(kernel, strides, dilations, pads)
    if mode in ("NOTSET", "VALID"):
        given = node.attributes.get_ints("pads") if mode == "NOTSET" else None
        top, left, bottom, right = given or (0, 0, 0, 0)
        return Window(kernel, strides, dilations, (top, left, bottom, right))
    before, after = [], []
    for axis in range(2):
        output = -(-size[axis] // strides[axis])
        span = dilations[axis] * (kernel[axis] - 1) + 1
        total = max(0, (output - 1) * strides[axis] + span - size[axis])
        small, large = total // 2, total - total // 2
        before.append(large if mode == "SAME_LOWER" else small)
        after.append(small if mode == "SAME_LOWER" else large)
    return Window(kernel, strides, dilations, (before[0], before[1], after[0], after[1]))


def _pads_to_output(
    node: ir.Node,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    size: tuple[int, int],
    mode: str,
) -> tuple[int, int, int, int]:
    """The padding of a transposed convolution whose output size is given, as ONNX distributes it."""
    shape = node.outputs[0].shape
    assert shape is not None
    extra = _pair(node, "output_padding", (0, 0))
    before, after = [], []
    for axis in range(2):
        full = strides[axis] * (size[axis] - 1) + extra[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        total = max(0, full - int(shape.numpy()[axis + 2]))
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return (before[0], before[1], after[0], after[1])


def _pair(node: ir.Node, name: str, default: tuple[int, int]) -> tuple[int, int]:
    if name not in node.attributes:
        return default
    values = list(node.attributes[name].as_ints())
    return (values[0], values[1])


def group_count(node: ir.Node) -> int:
    """The ``group`` attribute, 1 by default."""
    return int(node.attributes.get_int("group", 1) or 1)
