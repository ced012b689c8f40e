"""int8 Winograd convolution: fewer multiplications than the direct one, the same bytes.

This file decides where the algorithm applies and pays; `tiles` has the code and `forms` what is computed and
why it is exact.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import largest_sum, pad_channels
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import FORMS
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiles import WinogradTiles
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiling import (
    HEAVY_WEIGHTS,
    UNROLL,
    Chunk,
    Tiling,
)
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

# By stride: (bytes, tiles) as `Tiling.pays` takes them. Transformed weights are 8 times larger, 22 times for
# steps of 2.
_FEWEST_TILES = {1: ((HEAVY_WEIGHTS, 64), (1 << 19, 32), (0, 4)), 2: ((1 << 24, 64), (1 << 19, 16), (0, 4))}


def _tiling_of(simd: Simd, spec: QConv2dSpec) -> Tiling:
    """The convolution by the form for its stride."""
    return Tiling(FORMS[spec.window.stride[0]], spec, simd)


def plan_winograd(simd: Simd, spec: QConv2dSpec, numbers: QConvNumbers) -> Chunk | None:
    """Blocking for this geometry, with as many shares as these numbers need.

    None where the algorithm does not apply, does not pay, or where even four shares are too few.
    """
    stride = spec.window.stride[0]
    if stride not in FORMS or spec.window != Window((3, 3), (stride, stride), padding=spec.window.padding):
        return None
    tiling = _tiling_of(simd, spec)
    if not tiling.pays(_FEWEST_TILES[stride]):
        return None
    chunk, limit, channels = tiling.chunk(), tiling.form.sum_limit, tiling.per_phase
    largest = largest_sum(numbers.weights, numbers.bias, spec.source.fill)
    if tiling.form.scales(numbers.multiplier) and largest < limit:
        return chunk
    padded = pad_channels(numbers.weights, 1, channels)
    for shares in (2, 4):
        if channels % (shares * 2 * UNROLL):
            return None
        parts = np.split(padded, shares, axis=1)
        if all(largest_sum(part, np.zeros(len(part), np.int32), 0) < limit for part in parts):
            return replace(chunk, shares=shares)
    return None


def scale_sums(spec: QConv2dSpec, chunk: Chunk, bias: Array, multiplier: Array) -> tuple[Array, Array]:
    """Bias and multiplier for sums as they arrive: as they are if there are shares, else too large."""
    if chunk.shares > 1:
        return bias, multiplier
    return FORMS[spec.window.stride[0]].scale_sums(bias, multiplier)


def pack_winograd(spec: QConv2dSpec, simd: Simd, chunk: Chunk, weights: Array) -> Array:
    """Transformed weights as `Tiling.pack` orders them."""
    return _tiling_of(simd, spec).pack(chunk, [FORMS[spec.window.stride[0]].filters(weights)])


@functools.cache
def emit_winograd(spec: QConv2dSpec, target: Target, chunk: Chunk) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    with kernel_function("qconv2d_winograd") as function:
        WinogradTiles(_tiling_of(simd_of(target), spec), chunk, spec.target).emit()
    return function.get()
