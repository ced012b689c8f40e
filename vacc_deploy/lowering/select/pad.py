"""Select paddings of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import gather_pixels
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import OnePictureStep, one_picture
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

PadMode = Literal["constant", "reflect", "edge", "wrap"]


@dataclass(frozen=True, slots=True)
class PadStep(OnePictureStep):
    """ONNX ``Pad`` of height and width."""

    top: int
    left: int
    mode: PadMode
    value: float | None  # None: zero, or the code of zero
    op: str = "pad"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = gather_pixels.pad(source, output, self.top, self.left, self.mode, self.value)
        return gather_pixels.build(spec, target)


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
