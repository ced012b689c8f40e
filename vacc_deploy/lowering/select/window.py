"""The geometry of a sliding window, read from an ONNX node: Conv, ConvTranspose and the pools."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.plane import Halo


@dataclass(frozen=True, slots=True)
class Window:
    """Kernel size, steps, tap distance and padding; pairs are (vertical, horizontal), pads ONNX order."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right

    def reach(self, size: tuple[int, int], output: tuple[int, int]) -> Halo:
        """How far the windows of an `output`-sized result look beyond an input of `size`."""
        top, left, _, _ = self.pads
        ends = [
            (output[axis] - 1) * self.strides[axis]
            + (self.kernel[axis] - 1) * self.dilations[axis]
            + 1
            - before
            - size[axis]
            for axis, before in ((0, top), (1, left))
        ]
        return Halo(top, left, max(0, ends[0]), max(0, ends[1]))


def read_window(node: ir.Node, kernel: tuple[int, int], size: tuple[int, int]) -> Window:
    """The window of `node` over an input of `size` (height, width); ``auto_pad`` is resolved."""
    strides = _pair(node, "strides", (1, 1))
    dilations = _pair(node, "dilations", (1, 1))
    mode = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if mode in ("NOTSET", "VALID"):
        pads = tuple(node.attributes["pads"].as_ints()) if "pads" in node.attributes and mode == "NOTSET" else (0,) * 4
        return Window(kernel, strides, dilations, (pads[0], pads[1], pads[2], pads[3]))
    before, after = [], []
    for axis in range(2):
        output = -(-size[axis] // strides[axis])
        span = dilations[axis] * (kernel[axis] - 1) + 1
        total = max(0, (output - 1) * strides[axis] + span - size[axis])
        small, large = total // 2, total - total // 2
        before.append(large if mode == "SAME_LOWER" else small)
        after.append(small if mode == "SAME_LOWER" else large)
    return Window(kernel, strides, dilations, (before[0], before[1], after[0], after[1]))


def _pair(node: ir.Node, name: str, default: tuple[int, int]) -> tuple[int, int]:
    if name not in node.attributes:
        return default
    values = list(node.attributes[name].as_ints())
    return (values[0], values[1])
