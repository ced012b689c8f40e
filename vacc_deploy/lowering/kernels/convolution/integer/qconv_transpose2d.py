"""int8 transposed convolution: uint8 plane × int8 weights → uint8 or float16 plane, exact on every target.

    acc[o] = Σ (q_x[i] − z_x)·q_w[k] + b   over   i·stride + k·dilation = o + padding       int32
    y      = the epilogue of acc                                                     see `epilogue`

Computed as one ordinary convolution per remainder of ``o + padding`` (`transposition`), or by Winograd
(`winograd.transposed`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution, merged_groups
from vacc_deploy.lowering.kernels.convolution.integer.amx.kernel import TileFactory
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    pack_epilogue,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.products import CodeProducts
from vacc_deploy.lowering.kernels.convolution.integer.sections import (
    AmxSection,
    CodeSection,
    DirectSection,
    finish_code_plane,
)
from vacc_deploy.lowering.kernels.convolution.integer.spec import (
    QConvTranspose2dSpec,
    representative_convolution,
)
from vacc_deploy.lowering.kernels.convolution.integer.sums import check_sums
from vacc_deploy.lowering.kernels.convolution.integer.winograd.transposed import TransposedTiling
from vacc_deploy.lowering.kernels.convolution.transposition import TransposePart, outputs_first
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.isa.tile import AmxTiles
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Isa, Target

Array: TypeAlias = npt.NDArray[Any]
Algorithm = Literal["winograd", "sections"]
ALGORITHMS: tuple[Algorithm, ...] = ("winograd", "sections")
"""All algorithms, the preferred one first."""


def _tiles_of(target: Target) -> TileFactory | None:
    """The target's tile unit."""
    return AmxTiles if target.isa is Isa.AMX else None


def _parts(
    spec: QConvTranspose2dSpec, target: Target, tiles: TileFactory | None
) -> list[tuple[TransposePart, CodeSection]]:
    """The sections, each by the fastest algorithm."""
    products = CodeProducts(simd_of(target))
    groups = merged_groups(spec.groups, spec.source, spec.target, products)
    result: list[tuple[TransposePart, CodeSection]] = []
    for part in spec.parts(groups):
        on_tiles = tiles and AmxSection.of(part.section, spec.source, spec.target, spec.groups, tiles)
        direct = DirectConvolution(part.section, spec.source, spec.target, products)
        result.append((part, on_tiles or DirectSection(direct, spec.groups)))
    return result


def choose_algorithm(spec: QConvTranspose2dSpec, target: Target, numbers: QConvNumbers) -> Algorithm:
    """The fastest algorithm for these numbers; weights (C_out, C_in/groups, kH, kW)."""
    tiling = TransposedTiling.of(simd_of(target), spec)
    applies = tiling is not None and tiling.is_exact(numbers)
    return "winograd" if applies else "sections"


def _tiling(spec: QConvTranspose2dSpec, target: Target) -> TransposedTiling:
    tiling = TransposedTiling.of(simd_of(target), spec)
    if tiling is None:
        raise ModelError("this algorithm has no kernel for this convolution")
    return tiling


@functools.cache
def emit(
    spec: QConvTranspose2dSpec,
    target: Target,
    tiles: TileFactory | None = None,
    algorithm: Algorithm = "sections",
) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target.

    `tiles` is `EmulatedTiles` in tests on machines without AMX; by default, the target's own, if any.
    """
    if algorithm == "winograd":
        return _tiling(spec, target).emit(spec.target)
    simd, parts = simd_of(target), _parts(spec, target, tiles or _tiles_of(target))
    with kernel_function("qconv_transpose2d") as function:
        source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        params = [
            (section.weights_argument(f"weights_{i}"), section.bias_argument(f"bias_{i}"))
            for i, (_, section) in enumerate(parts)
        ]
        channels = max(section.channels for _, section in parts)
        writer = EpilogueWriter(simd, spec.epilogue, spec.target, channels, residual)
        y = writer.target_argument()
        for (_, section), (weights, bias) in zip(parts, params, strict=True):
            section.emit(source, weights, bias, writer, y)
        finish_code_plane(y, writer)
    return function.get()


def pack(
    spec: QConvTranspose2dSpec,
    target: Target,
    numbers: QConvNumbers,
    *,
    tiles: TileFactory | None = None,
    algorithm: Algorithm = "sections",
) -> Mapping[str, Array]:
    """Parameters in argument order; weights (C_out, C_in/groups, kH, kW), the others as in `emit`."""
    if algorithm == "winograd":
        return _tiling(spec, target).pack(numbers)
    parts = _parts(spec, target, tiles or _tiles_of(target))
    params: dict[str, Array] = {}
    for i, (part, section) in enumerate(parts):
        taps = part.select(numbers.weights)
        params[f"weights_{i}"] = section.pack(taps)
        params[f"bias_{i}"] = section.pack_bias(taps, numbers.bias, spec.source.fill)
    channels = max(section.channels for _, section in parts)
    return {**params, **pack_epilogue(spec, channels, numbers)}


def build(
    spec: QConvTranspose2dSpec,
    target: Target,
    numbers: QConvNumbers,
    *,
    algorithm: Algorithm | None = None,
) -> Kernel:
    """Code and constants of one transposed convolution.

    Args:
        spec: Geometry and epilogue.
        target: The CPU to compile for.
        numbers: Weights, bias and what the epilogue needs.
        algorithm: For tests and measurements; the fastest one by default.

    Raises:
        ModelError: The sums could overflow int32, or the weights' shape is not the spec's.
    """
    spec.check_weights(numbers.weights)
    ordinary = replace(numbers, weights=outputs_first(numbers.weights, spec.groups))
    check_sums(ordinary.weights, ordinary.bias, spec.source.fill)
    chosen = algorithm or choose_algorithm(spec, target, ordinary)
    params = pack(spec, target, ordinary, algorithm=chosen)
    return Kernel(emit(representative_convolution(spec), target, algorithm=chosen), params, spec.macs)
