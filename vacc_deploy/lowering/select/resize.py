"""Select resizes of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import gather_pixels
from vacc_deploy.lowering.kernels.sampling import resize_bilinear
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.one_picture import OnePictureStep, one_picture
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.resize import Coordinates

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@dataclass(frozen=True, slots=True)
class ResizeStep(OnePictureStep):
    """ONNX ``Resize`` of height and width."""

    mode: Literal["nearest", "linear"]
    scales: tuple[float, float]
    coordinates: str
    nearest_mode: str
    op: str = "resize"

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
