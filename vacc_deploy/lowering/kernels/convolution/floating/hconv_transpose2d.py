"""Transposed convolution of float16 planes: float32 sums, one rounding per output.

Computed as one ordinary convolution per remainder of ``o + padding`` (`transposition`), or by Winograd
(`winograd.transposed`).
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.direct import (
    DirectConvolution,
    block_diagonal,
    merged_groups,
    zero_sums,
)
from vacc_deploy.lowering.kernels.convolution.floating.epilogue import (
    FloatFinish,
    epilogue_arguments,
    epilogue_inputs,
    finish_plane,
)
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.products import FloatProducts
from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource, source_arguments
from vacc_deploy.lowering.kernels.convolution.floating.spec import HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transposed import winograd_of
from vacc_deploy.lowering.kernels.convolution.transposition import TransposePart, outputs_first
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def _parts(
    spec: HconvTranspose2dSpec, target: Target
) -> list[tuple[TransposePart, DirectConvolution[FloatSource]]]:
    """The sections, each with its direct convolution."""
    products = FloatProducts(float_simd_of(target), spec.target, spec.weight_dtype)
    parts = spec.parts(merged_groups(spec.groups, spec.source, spec.target, products))
    return [(part, DirectConvolution(part.section, spec.source, spec.target, products)) for part in parts]


@functools.cache
def emit(spec: HconvTranspose2dSpec, target: Target) -> Any:
    """``hconv_transpose2d(x, [modulation, gain, residual], weights…, scale, bias, [slope], y)``."""
    winograd = winograd_of(spec, target)
    if winograd is not None:
        return winograd.emit("hconv_transpose2d")
    parts = _parts(spec, target)
    channels = max(direct.channels for _, direct in parts)
    with kernel_function("hconv_transpose2d") as function:
        x = source_arguments(spec, float_simd_of(target))
        inputs = epilogue_inputs(spec.epilogue)
        weights = [direct.weights_argument(f"weights_{i}") for i, (_, direct) in enumerate(parts)]
        epilogue = epilogue_arguments(spec.epilogue, float_simd_of(target), inputs, channels)
        y = plane_argument("y", spec.target)
        for (part, direct), filters in zip(parts, weights, strict=True):
            finish = FloatFinish(epilogue, y, direct.products.registers.lanes, part.section)
            direct.emit(x, filters, zero_sums(direct.products), finish)
        finish_plane(y, spec.epilogue, min(direct.channels for _, direct in parts), parts[0][1].cut.lanes)
    return function.get()


def pack(spec: HconvTranspose2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """Lays the constants out for `emit`'s function, in argument order.

    Args:
        spec: The convolution.
        target: The CPU it is compiled for.
        numbers: The layer's.

    Raises:
        ModelError: The weights' shape is not the spec's.
    """
    spec.check_weights(numbers.weights)
    ordinary = replace(numbers, weights=outputs_first(numbers.weights, spec.groups))
    winograd = winograd_of(spec, target)
    if winograd is not None:
        return winograd.pack(ordinary)
    parts = _parts(spec, target)
    channels = max(direct.channels for _, direct in parts)
    scaled, params = spec.epilogue.pack(ordinary, channels)
    packed = {}
    for i, (part, direct) in enumerate(parts):
        merged = block_diagonal(part.select(scaled), spec.groups, direct.section.groups)
        packed[f"weights_{i}"] = direct.pack(merged)
    return {**packed, **params}


def build(spec: HconvTranspose2dSpec, target: Target, numbers: HconvNumbers) -> Kernel:
    """The compiled operator with its constants; arguments as `pack`."""
    return Kernel(emit(spec, target), pack(spec, target, numbers), spec.macs)
