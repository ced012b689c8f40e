"""Select pixel shuffles: data movement on codes and on floats alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import pixel_shuffle
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import OnePictureStep, one_picture
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class PixelShuffleStep(OnePictureStep):
    """ONNX ``DepthToSpace``."""

    factor: int
    mode: Literal["CRD", "DCR"]
    op: str = "pixel_shuffle"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = pixel_shuffle.PixelShuffleSpec(source, output, self.factor, self.mode)
        return pixel_shuffle.build(spec, target)


@dataclass(frozen=True, slots=True)
class SpaceToDepthStep(OnePictureStep):
    """ONNX ``SpaceToDepth``."""

    factor: int
    op: str = "space_to_depth"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        return pixel_shuffle.build(pixel_shuffle.SpaceToDepthSpec(source, output, self.factor), target)


def select_pixel_shuffle(node: ir.Node, view: GraphView) -> PixelShuffleStep | None:
    """``[DQ] → DepthToSpace → [Q]``."""
    moved = one_picture(node, view, keeps_scale=True)
    if moved is None:
        return None
    mode: Literal["CRD", "DCR"] = "CRD" if node.attributes.get_string("mode", "DCR") == "CRD" else "DCR"
    return PixelShuffleStep(
        moved.source, moved.output, moved.nodes, node.attributes.get_int("blocksize"), mode
    )


def select_space_to_depth(node: ir.Node, view: GraphView) -> SpaceToDepthStep | None:
    """``[DQ] → SpaceToDepth → [Q]``."""
    if node.attributes.get_string("mode", "DCR") != "DCR":
        return None
    moved = one_picture(node, view, keeps_scale=True)
    if moved is None:
        return None
    return SpaceToDepthStep(moved.source, moved.output, moved.nodes, node.attributes.get_int("blocksize"))
