"""Transposed convolution of float16 planes: float32 sums, one rounding per output.

Computed as one ordinary convolution per remainder of ``o + padding`` (`conv_transpose_sections`), or by
Winograd (`hconv_transpose2d_winograd`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution import hconv_transpose2d_winograd as winograd
from vacc_deploy.lowering.kernels.convolution.conv_transpose_sections import (
    Geometry,
    TransposePart,
    check_transposed_weights,
    outputs_first,
    required_halo,
    transpose_macs,
    transpose_parts,
)
from vacc_deploy.lowering.kernels.convolution.direct import (
    DirectConvolution,
    block_diagonal,
    merged_groups,
    zero_sums,
)
from vacc_deploy.lowering.kernels.convolution.float_epilogue import (
    FloatEpilogue,
    FloatFinish,
    epilogue_arguments,
    finish_plane,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.convolution.products import FloatProducts
from vacc_deploy.lowering.kernels.convolution.section import stepped
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Halo, Plane, StorageType
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class HconvTranspose2dSpec:
    """Geometry of one transposed convolution.

    Attributes:
        x: Input plane, float16 or float32, whose halo covers `required_halo`.
        y: Output plane, float16 or float32; its size says how much output padding there is.
        kernel: (height, width) of the filter.
        stride: (vertical, horizontal) distance of the kernels of neighbouring inputs.
        dilation: (vertical, horizontal) distance of filter taps.
        padding: (top, left) outputs cut off.
        epilogue: Activation and residual.
        groups: Equal parts of the channels that are convolved apart.
        weight_dtype: How weights are stored. float16 halves them and costs 3 dB of a single operator.
    """

    x: Plane
    y: Plane
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    epilogue: FloatEpilogue = field(default_factory=FloatEpilogue)
    groups: int = 1
    weight_dtype: StorageType = "float32"

    def __post_init__(self) -> None:
        need = self.required_halo
        if need.union(self.x.halo) != self.x.halo:
            raise ModelError(
                "the input plane's halo is smaller than a transposed convolution reads",
                why=f"it needs {need} and has {self.x.halo}",
            )

    @property
    def geometry(self) -> Geometry:
        """The attributes without the planes."""
        return Geometry(self.kernel, self.stride, self.dilation, self.padding)

    @property
    def required_halo(self) -> Halo:
        """The border of `x` that is read."""
        return required_halo(transpose_parts(self.geometry, self.y), self.x)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call, those with the halo's zeros included."""
        return transpose_macs(self.geometry, self.x, self.y, self.groups)


def _parts(spec: HconvTranspose2dSpec, target: Target) -> list[tuple[TransposePart, DirectConvolution]]:
    """The sections, each with its direct convolution."""
    products = FloatProducts(float_simd_of(target), spec.y, spec.weight_dtype)
    parts = transpose_parts(spec.geometry, spec.y, merged_groups(spec.groups, spec.x, spec.y, products))
    return [(part, DirectConvolution(part.section, spec.x, spec.y, products)) for part in parts]


@functools.cache
def emit(spec: HconvTranspose2dSpec, target: Target) -> Any:
    """The ``PrimFunc`` ``hconv_transpose2d(x, [residual], weights…, scale, bias, [slope], y)``."""
    if winograd.applies(spec, target):
        return winograd.emit(spec, target)
    parts = _parts(spec, target)
    channels = max(direct.channels for _, direct in parts)
    with kernel_function("hconv_transpose2d") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        weights = [direct.weights_argument(f"weights_{i}") for i, (_, direct) in enumerate(parts)]
        epilogue = epilogue_arguments(spec.epilogue, float_simd_of(target), residual, channels)
        y = plane_argument("y", spec.y)
        for (part, direct), filters in zip(parts, weights, strict=True):
            finish = FloatFinish(epilogue, y, direct.products.registers.lanes, stepped(part.section))
            direct.emit(x, filters, zero_sums(direct.products), finish)
        finish_plane(y, spec.epilogue, min(direct.channels for _, direct in parts), parts[0][1].cut.lanes)
    return function.get()


def pack(
    spec: HconvTranspose2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> dict[str, Array]:
    """Lays the constants out for `emit`'s function, in argument order.

    Args:
        spec: The convolution.
        target: The CPU it is compiled for.
        weights: (C_in, C_out/groups, kH, kW) float, ONNX's order.
        bias: (C_out,) float.
        slope: (C_out,) float or a number; needed where the epilogue has a slope.

    Raises:
        ModelError: The weights' shape is not the spec's.
    """
    check_transposed_weights(weights, spec.geometry, spec.x, spec.y, spec.groups)
    if winograd.applies(spec, target):
        return winograd.pack(spec, target, weights, bias, slope)
    parts = _parts(spec, target)
    channels = max(direct.channels for _, direct in parts)
    scaled, params = spec.epilogue.pack(outputs_first(weights, spec.groups), bias, slope, channels)
    packed = {}
    for i, (part, direct) in enumerate(parts):
        merged = block_diagonal(part.select(scaled), spec.groups, direct.section.groups)
        packed[f"weights_{i}"] = direct.pack(merged)
    return {**packed, **params}


def build(
    spec: HconvTranspose2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> Kernel:
    """The compiled operator with its constants; arguments as `pack`."""
    return Kernel(emit(spec, target), pack(spec, target, weights, bias, slope), spec.macs)
