"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications where the definition has 144.

A tile of 4×4 outputs needs 6×6 inputs. Both the inputs' tile d and the filter g are transformed to 6×6
values, multiplied point by point, summed over the input channels, and transformed back:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015, with points 0, ±1, ±2, ∞.)
All of it is float32; `float_winograd_tiles` has the stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from tvm.tirx.script import builder as T

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
from vacc_deploy.lowering.kernels.convolution.winograd import OUTPUTS, THREE_TAPS
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Expr, let
from vacc_deploy.lowering.target import Target

if TYPE_CHECKING:
    from vacc_deploy.lowering.kernels.convolution.hconv2d import Hconv2dSpec

Array = npt.NDArray[Any]

_LEAST_TILES = 32  # below, transforming the filters costs more than it saves


def applies(spec: Hconv2dSpec, target: Target) -> bool:
    """Whether this method computes `spec`, and faster than the definition."""
    simple = spec.groups == 1 and spec.kernel == (3, 3) and spec.stride == (1, 1) and spec.dilation == (1, 1)
    deep = min(spec.x.channels, spec.y.channels) >= float_simd_of(target).lanes
    size = (spec.y.height, spec.y.width)
    return simple and deep and min(size) >= OUTPUTS and tile_count(spec.y.batch, size) >= _LEAST_TILES


def blocking(spec: Hconv2dSpec, target: Target) -> Blocking:
    """The cut of `spec`."""
    return cut(THREE_TAPS, float_simd_of(target), spec.x, spec.y, (spec.y.height, spec.y.width))


def pack(
    spec: Hconv2dSpec, target: Target, weights: Array, bias: Array | None, slope: Array | float | None
) -> dict[str, Array]:
    """See `hconv2d.pack`."""
    tiles = blocking(spec, target)
    scaled, params = spec.epilogue.pack(weights, bias, slope, tiles.channels)
    dtype = float_simd_of(target).weight_dtype(spec.weight_dtype)
    return {"weights": pack_weights(tiles, scaled, dtype), **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    simd, tiles = float_simd_of(target), blocking(spec, target)
    with kernel_function("hconv2d") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        shape = (3, 3, spec.x.channels, tiles.channels)
        weights = argument("weights", shape, simd.weight_dtype(spec.weight_dtype))
        epilogue = epilogue_arguments(spec.epilogue, simd, residual, tiles.channels)
        y = plane_argument("y", spec.y)

        def tap(i: int, j: int, channel: Expr, output: Expr) -> Expr:
            return let(simd.load(weights, (i, j, channel, output), tiles.lanes))

        filters = transform_filters(tiles, [tap])
        with T.parallel(0, -(-tiles.count // tiles.per_group)) as group:
            stages = FloatTiles(tiles, let(T.min(group * tiles.per_group, tiles.count - tiles.per_group)))
            stages.transform_inputs(simd, x, spec.padding)
            points, blocks = T.serial(0, tiles.points), T.serial(0, tiles.per_group // tiles.tiles)
            with points as point, T.serial(0, tiles.groups) as g, blocks as b:
                stages.multiply(filters, (point, g, b * tiles.tiles))
            stages.transform_outputs(epilogue, y)
        finish_plane(y, spec.epilogue, tiles.channels, tiles.lanes)
    return function.get()
