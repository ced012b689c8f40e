"""int8 Winograd convolution: fewer multiplications than the direct one, the same bytes.

This file decides where the algorithm applies and pays; `winograd_tiles` has the code and `winograd_integer`
what is computed and why it is exact.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import QConv2dSpec, largest_sum, pad_channels
from vacc_deploy.lowering.kernels.convolution.winograd_integer import FORMS
from vacc_deploy.lowering.kernels.convolution.winograd_tiles import WinogradTiles
from vacc_deploy.lowering.kernels.convolution.winograd_tiling import HEAVY_WEIGHTS, UNROLL, Chunk, Tiling
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_SMALLEST_MULTIPLIER = 2.0**-100  # a 64th of a smaller one could lose bits as a subnormal
# (bytes, tiles), by stride. Transformed weights are 8 times larger, 22 times for steps of 2: from so many
# bytes on they come from beyond the caches in every inference, which pays only for at least so many tiles.
_PAYS_FROM = {1: ((HEAVY_WEIGHTS, 64), (1 << 19, 32), (0, 4)), 2: ((1 << 24, 64), (1 << 19, 16), (0, 4))}


def tiling_of(simd: Simd, spec: QConv2dSpec) -> Tiling:
    """The convolution by the form for its stride."""
    return Tiling(FORMS[spec.stride[0]], spec, simd)


def choose_chunk(simd: Simd, spec: QConv2dSpec) -> Chunk | None:
    """Blocking for this geometry, or None where the algorithm does not apply or does not pay."""
    if (spec.kernel, spec.dilation) != ((3, 3), (1, 1)) or spec.stride not in ((1, 1), (2, 2)):
        return None
    if spec.stride == (2, 2) and simd.weight_dtype == "int8":
        return None  # 8-bit products are twice as dense as the 16-bit ones here, which eats the gain of 16/9
    tiling = tiling_of(simd, spec)
    fewest = next(fewest for size, fewest in _PAYS_FROM[spec.stride[0]] if tiling.weight_bytes >= size)
    return tiling.chunk() if tiling.fits and tiling.tiles >= fewest else None


def plan_winograd(
    simd: Simd, spec: QConv2dSpec, weights: Array, bias: Array, multiplier: Array
) -> Chunk | None:
    """`choose_chunk` with as many shares as these numbers need; None also where even four are too few."""
    chunk = choose_chunk(simd, spec)
    if chunk is None:
        return None
    tiling = tiling_of(simd, spec)
    limit, channels = tiling.form.sum_limit, tiling.per_phase
    if scalable(multiplier) and largest_sum(weights, bias, spec.source.fill) < limit:
        return chunk
    padded = pad_channels(weights, 1, channels)
    for shares in (2, 4):
        if channels % (shares * 2 * UNROLL):
            return None
        parts = np.split(padded, shares, axis=1)
        if all(largest_sum(part, np.zeros(len(part), np.int32), 0) < limit for part in parts):
            return replace(chunk, shares=shares)
    return None


def scalable(multiplier: Array) -> bool:
    """Whether a `Form.factor` can be taken out of the multipliers without loss."""
    return bool(np.all((multiplier == 0) | (np.abs(multiplier) >= _SMALLEST_MULTIPLIER)))


def scale_sums(spec: QConv2dSpec, chunk: Chunk, bias: Array, multiplier: Array) -> tuple[Array, Array]:
    """Bias and multiplier for sums as they arrive: as they are if there are shares, else too large."""
    return FORMS[spec.stride[0]].scale_sums(bias, multiplier) if chunk.shares == 1 else (bias, multiplier)


def pack_winograd(spec: QConv2dSpec, simd: Simd, chunk: Chunk, weights: Array) -> Array:
    """Transformed weights as `Tiling.pack` orders them."""
    return tiling_of(simd, spec).pack(chunk, [FORMS[spec.stride[0]].filters(weights)])


@functools.cache
def emit_winograd(spec: QConv2dSpec, target: Target, chunk: Chunk) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    with kernel_function("qconv2d_winograd") as function:
        WinogradTiles(tiling_of(simd_of(target), spec), chunk, spec.target).emit()
    return function.get()
