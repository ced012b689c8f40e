"""int8 transposed convolution with 3×3 filters in steps of 2 by Winograd: the same bytes, fewer products.

The four parts of the convolution (`conv_transpose_sections`) read one or two neighbouring inputs each way.
Seen in a window of 2×2, in which a single tap is either the first or the second, they are the results of the
form `Transposed`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.conv_transpose_sections import (
    common_window,
    section_halo,
    transpose_parts,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import (
    QConv2dSpec,
    fold_zero_point,
    largest_sum,
    pad_channels,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_winograd import scalable
from vacc_deploy.lowering.kernels.convolution.winograd_integer import Transposed
from vacc_deploy.lowering.kernels.convolution.winograd_tiles import WinogradTiles
from vacc_deploy.lowering.kernels.convolution.winograd_tiling import FAR_WEIGHTS, HEAVY_WEIGHTS, Tiling
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.plane import Halo

if TYPE_CHECKING:
    from vacc_deploy.lowering.kernels.convolution.qconv_transpose2d import QConvTranspose2dSpec

Array: TypeAlias = npt.NDArray[Any]

# (bytes, tiles): transformed weights, 11 times larger than packed ones, come from beyond the caches, and are
# memory that an artifact takes.
_PAYS_FROM = ((FAR_WEIGHTS, 128), (HEAVY_WEIGHTS, 32), (0, 4))


def tiling_of(simd: Simd, spec: QConvTranspose2dSpec) -> Tiling | None:
    """The convolution as tiles, or None where the algorithm does not apply or does not pay."""
    if (spec.kernel, spec.stride, spec.dilation, spec.groups) != ((3, 3), (2, 2), (1, 1), 1):
        return None
    if simd.weight_dtype == "int8":
        return None  # 8-bit products are twice as dense as the 16-bit ones here, which eats the gain of 16/9
    target, single = spec.target, ((spec.pads[0] + 1) % 2, (spec.pads[1] + 1) % 2)
    window = common_window(transpose_parts(spec.geometry, target))
    read = section_halo(window, spec.source)
    if read.union(spec.source.halo) != spec.source.halo:
        return None
    covered = replace(target, height=window.rows, width=window.columns, halo=Halo())
    seen = QConv2dSpec(spec.source, covered, window.kernel, pads=window.padding, epilogue=spec.epilogue)
    tiling = Tiling(Transposed(single), seen, simd)
    fewest = next(fewest for size, fewest in _PAYS_FROM if tiling.weight_bytes >= size)
    return tiling if tiling.fits and tiling.tiles >= fewest else None


def applies(simd: Simd, spec: QConvTranspose2dSpec, weights: Array, bias: Array, multiplier: Array) -> bool:
    """Whether the algorithm can compute this geometry, exactly, with these numbers.

    Args:
        simd: The instruction set.
        spec: The transposed convolution.
        weights: int8 (C_out, C_in, 3, 3).
        bias: int32 (C_out,).
        multiplier: float32 (C_out,).
    """
    tiling = tiling_of(simd, spec)
    if tiling is None or not scalable(multiplier):
        return False
    return largest_sum(weights, bias, spec.source.fill) < tiling.form.sum_limit


def pack(
    tiling: Tiling, spec: QConvTranspose2dSpec, weights: Array, bias: Array, multiplier: Array
) -> tuple[Array, Array, Array]:
    """Transformed weights, biases of every result, and the multiplier; arguments as in `applies`."""
    parts = transpose_parts(spec.geometry, spec.target)
    before = common_window(parts).padding
    filters, biases = [], []
    for part in parts:
        selected = part.select(weights)
        first = [before[axis] - part.section.padding[axis] for axis in range(2)]
        taps = np.zeros((*weights.shape[:2], 2, 2), np.int8)
        height, width = part.section.kernel
        taps[:, :, first[0] : first[0] + height, first[1] : first[1] + width] = selected
        filters.append([taps])
        biases.append(pad_channels(fold_zero_point(selected, bias, spec.source.fill), 0, tiling.channels))
    folded, scaled = tiling.form.scale_sums(np.concatenate(biases), multiplier)
    return tiling.pack(tiling.chunk(), filters), folded, scaled


def emit(tiling: Tiling, spec: QConvTranspose2dSpec) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    with kernel_function("qconv_transpose2d_winograd") as function:
        WinogradTiles(tiling, tiling.chunk(), spec.target).emit()
    return function.get()
