"""Transposed 3×3 convolution in steps of 2 by Winograd: 81 multiplications where the definition has 144.

Even and odd rows and columns of the output are four pictures (*results*), each output of which two
neighbouring inputs make, or one alone. Seen in a window of 2×2, in which a single tap is either the first or
the second, each is an F(4×4, 2×2), and all four share the transformed input. What a single tap makes zero is
not multiplied.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.conv_transpose_sections import (
    TransposePart,
    common_window,
    outputs_first,
    section_halo,
    transpose_parts,
)
from vacc_deploy.lowering.kernels.convolution.float_epilogue import (
    epilogue_arguments,
    finish_plane,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.convolution.float_winograd_tiles import (
    Blocking,
    FloatTiles,
    cut,
    pack_weights,
    tile_count,
    transform_filters,
)
from vacc_deploy.lowering.kernels.convolution.winograd import OUTPUTS, TWO_TAPS
from vacc_deploy.lowering.kernels.convolution.winograd_integer import Transposed
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Expr, constant, let, store
from vacc_deploy.lowering.target import Target

if TYPE_CHECKING:
    from vacc_deploy.lowering.kernels.convolution.hconv_transpose2d import HconvTranspose2dSpec

Array = npt.NDArray[Any]

# (bytes, tiles): below so many tiles, transforming filters of this size costs more than it saves.
_PAYS_FROM = ((24 << 20, 1024), (0, 128))


def applies(spec: HconvTranspose2dSpec, target: Target) -> bool:
    """Whether this method computes `spec`, and faster than the definition."""
    if (spec.kernel, spec.stride, spec.dilation, spec.groups) != ((3, 3), (2, 2), (1, 1), 1):
        return False
    window = common_window(_parts(spec))
    size, read = (window.rows, window.columns), section_halo(window, spec.x)
    deep = min(spec.x.channels, spec.y.channels) >= float_simd_of(target).lanes
    if not deep or min(size) < OUTPUTS:
        return False
    filters = blocking(spec, target).filter_bytes
    fewest = next(fewest for bound, fewest in _PAYS_FROM if filters >= bound)
    return read.union(spec.x.halo) == spec.x.halo and tile_count(spec.y.batch, size) >= fewest


def blocking(spec: HconvTranspose2dSpec, target: Target) -> Blocking:
    """The cut of `spec`."""
    window = common_window(_parts(spec))
    return cut(TWO_TAPS, float_simd_of(target), spec.x, spec.y, (window.rows, window.columns), results=4)


def pack(
    spec: HconvTranspose2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None,
    slope: Array | float | None,
) -> dict[str, Array]:
    """See `hconv_transpose2d.pack`."""
    tiles = blocking(spec, target)
    scaled, params = spec.epilogue.pack(outputs_first(weights, 1), bias, slope, tiles.channels)
    dtype = float_simd_of(target).weight_dtype(spec.weight_dtype)
    return {"weights": pack_weights(tiles, scaled, dtype), **params}


def emit(spec: HconvTranspose2dSpec, target: Target) -> Any:
    """The ``PrimFunc`` ``hconv_transpose2d(x, [residual], weights, scale, bias, [slope], y)``."""
    simd, tiles, parts = float_simd_of(target), blocking(spec, target), _parts(spec)
    before = common_window(parts).padding
    form = Transposed(((spec.padding[0] + 1) % 2, (spec.padding[1] + 1) % 2))
    with kernel_function("hconv_transpose2d") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        shape = (3, 3, spec.x.channels, tiles.channels)
        weights = argument("weights", shape, simd.weight_dtype(spec.weight_dtype))
        epilogue = epilogue_arguments(spec.epilogue, simd, residual, tiles.channels)
        y = plane_argument("y", spec.y)

        def tap(part: TransposePart, i: int, j: int, channel: Expr, output: Expr) -> Expr:
            row, column = (
                place - before[axis] + part.section.padding[axis] for axis, place in enumerate((i, j))
            )
            rows, columns = part.taps
            if row not in range(len(rows)) or column not in range(len(columns)):
                return constant(0.0, "float32", tiles.lanes)
            return let(simd.load(weights, (rows[row], columns[column], channel, output), tiles.lanes))

        filters = transform_filters(tiles, [partial(tap, part) for part in parts])
        with T.parallel(0, -(-tiles.count // tiles.per_group)) as group:
            stages = FloatTiles(tiles, let(T.min(group * tiles.per_group, tiles.count - tiles.per_group)))
            stages.transform_inputs(simd, x, before)
            with T.serial(0, form.results) as result:
                with T.serial(0, tiles.points) as point, T.If(form.contributes(0, result, point)):
                    with T.Then():
                        blocks = T.serial(0, tiles.per_group // tiles.tiles)
                        with T.serial(0, tiles.groups) as g, blocks as b:
                            stages.multiply(filters, (point, g, b * tiles.tiles), result=result)
                    with T.Else(), T.serial(0, tiles.per_group * tiles.channels // tiles.lanes) as i:
                        zero = constant(0.0, "float32", tiles.lanes)
                        store(stages.products, (point, i * tiles.lanes), zero)
                stages.transform_outputs(epilogue, y, result=result, spread=form.spread)
        finish_plane(y, spec.epilogue, tiles.channels, tiles.lanes)
    return function.get()


def _parts(spec: HconvTranspose2dSpec) -> list[TransposePart]:
    return transpose_parts(spec.geometry, spec.y)
