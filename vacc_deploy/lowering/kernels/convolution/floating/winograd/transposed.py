"""Transposed 3×3 convolution in steps of 2 by Winograd: 81 multiplications where the definition has 144.

The output's four pictures (`four_results`) are each an F(4×4, 2×2), and share the transformed input. What a
single tap makes zero is not multiplied.
"""

from __future__ import annotations

from functools import partial

from vacc_deploy.lowering.kernels.convolution.floating.spec import HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import cut, tile_count
from vacc_deploy.lowering.kernels.convolution.floating.winograd.kernel import WinogradKernel
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS, TWO_TAPS
from vacc_deploy.lowering.kernels.convolution.four_results import SPREAD, FourResults, result_seen_at
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.target import Target

# (bytes, tiles): below so many tiles, transforming filters of this size costs more than it saves.
_FEWEST_TILES = ((24 << 20, 256), (0, 128))


def winograd_of(spec: HconvTranspose2dSpec, target: Target) -> WinogradKernel | None:
    """The kernel, or None where this method does not compute `spec`, or not faster than the definition."""
    simd, results = float_simd_of(target), FourResults.of(spec)
    deep = min(spec.source.channels, spec.target.channels) >= simd.lanes
    if results is None or not deep or min(results.size) < OUTPUTS:
        return None
    blocking = cut(TWO_TAPS, simd, spec.source, spec.target, results.size, spread=SPREAD)
    fewest = next(fewest for size, fewest in _FEWEST_TILES if blocking.filter_bytes >= size)
    if tile_count(spec.target.batch, results.size) < fewest:
        return None
    return WinogradKernel(
        spec,
        simd,
        blocking,
        results.window.padding,
        tuple(partial(results.tap, part) for part in results.parts),
        lambda result, phase, point: result_seen_at(results.single, TWO_TAPS.points, result, point),
    )
