"""The geometry of a sliding window, read from an ONNX node: Conv, ConvTranspose and the pools."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.kernels.convolution.transposition import required_halo, transpose_parts
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo


def read_window(node: ir.Node, kernel: tuple[int, int], size: tuple[int, int]) -> Window:
    """The window of `node` over an input of `size` (height, width); ``auto_pad`` is resolved."""
    top, left, _, _ = read_pads(node, kernel, size)
    return Window(kernel, _pair(node, "strides", (1, 1)), _pair(node, "dilations", (1, 1)), (top, left))


def reach(window: Window, source: Operand, output: Operand, *, transposed: bool) -> Halo:
    """How far a convolution from `source` to `output` looks beyond it."""
    x, y = (operand.value.plane(operand.form, Halo()).size for operand in (source, output))
    return required_halo(transpose_parts(window, y), x) if transposed else window.reach(x, y)


def read_pads(node: ir.Node, kernel: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The padding in ONNX's order, (top, left, bottom, right)."""
    strides, dilations = _pair(node, "strides", (1, 1)), _pair(node, "dilations", (1, 1))
    mode = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if node.op_type == "ConvTranspose" and (mode.startswith("SAME") or "output_shape" in node.attributes):
        return _pads_to_output(node, kernel, strides, dilations, size, mode)
    if mode in ("NOTSET", "VALID"):
        given = node.attributes.get_ints("pads") if mode == "NOTSET" else None
        top, left, bottom, right = given or (0, 0, 0, 0)
        return (top, left, bottom, right)
    before, after = [], []
    for axis in range(2):
        output = -(-size[axis] // strides[axis])
        span = dilations[axis] * (kernel[axis] - 1) + 1
        total = max(0, (output - 1) * strides[axis] + span - size[axis])
        small, large = total // 2, total - total // 2
        before.append(large if mode == "SAME_LOWER" else small)
        after.append(small if mode == "SAME_LOWER" else large)
    return (before[0], before[1], after[0], after[1])


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
