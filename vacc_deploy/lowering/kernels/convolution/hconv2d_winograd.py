"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications where the definition has 144.

A tile of 4×4 outputs needs 6×6 inputs. Both the inputs' tile d and the filter g are transformed to 6×6
values, multiplied point by point, summed over the input channels, and transformed back:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015, with points 0, ±1, ±2, ∞.)
All of it is float32. The sum over the input channels is one matrix product for each of the 36 points,
done for a group of tiles that fits the second-level cache. Filters are transformed by each call: that
costs under 1 % of it where this method is chosen, and keeps the constants at their 9 float16 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.float_epilogue import (
    EpilogueBuffers,
    epilogue_arguments,
    finish_plane,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.float_simd import FloatSimd, float_simd_of
from vacc_deploy.lowering.kernels.convolution.winograd import (
    OUTPUTS,
    POINTS,
    filter_points,
    input_points,
    outputs_of,
)
from vacc_deploy.lowering.kernels.isa.function import (
    CACHE_LINE,
    argument,
    kernel_function,
    read,
    register,
    scratch,
    write,
)
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, load, splat, store
from vacc_deploy.lowering.target import Target

if TYPE_CHECKING:
    from vacc_deploy.lowering.kernels.convolution.hconv2d import Hconv2dSpec

Array = npt.NDArray[Any]

_POINTS = POINTS * POINTS
_SCRATCH_BYTES = 256 << 10  # of transformed inputs and products: a quarter of a second-level cache
_FAR_FILTERS_BYTES = (
    12 << 20
)  # transformed filters that no cache holds; many tiles must share a pass over them
_FAR_TILES = 96
_LEAST_TILES = 32  # below, transforming the filters costs more than it saves
_UNROLL = 4


@dataclass(frozen=True, slots=True)
class Blocking:
    """How the work is cut.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors of output channels per register block.
        groups: Register blocks across all output channels.
        tiles: Tiles per register block.
        per_group: Tiles that are transformed together, a multiple of `tiles`.
        down: Tiles down the picture; the last one starts early rather than reaching over the edge.
        across: Tiles across the picture.
    """

    lanes: int
    vectors: int
    groups: int
    tiles: int
    per_group: int
    down: int
    across: int

    @property
    def channels(self) -> int:
        """Output channels computed, padding included."""
        return self.groups * self.vectors * self.lanes


def applies(spec: Hconv2dSpec, target: Target) -> bool:
    """Whether this method computes `spec`, and faster than the definition."""
    simple = spec.groups == 1 and spec.kernel == (3, 3) and spec.stride == (1, 1) and spec.dilation == (1, 1)
    lanes = float_simd_of(target).lanes
    deep = min(spec.x.channels, spec.y.channels) >= lanes
    tiles = spec.y.batch * -(-spec.y.height // OUTPUTS) * -(-spec.y.width // OUTPUTS)
    return simple and deep and min(spec.y.height, spec.y.width) >= OUTPUTS and tiles >= _LEAST_TILES


def blocking(spec: Hconv2dSpec, target: Target) -> Blocking:
    """The cut of `spec`."""
    simd = float_simd_of(target)
    lanes = min(simd.lanes, spec.y.block)
    total = -(-spec.y.channels // lanes)
    vectors = next(v for v in (4 if simd.registers == 32 else 2, 2, 1) if total % v == 0 or v == 1)
    tiles = (simd.registers - vectors - 2) // vectors
    down, across = -(-spec.y.height // OUTPUTS), -(-spec.y.width // OUTPUTS)
    count = spec.y.batch * down * across
    tiles = min(tiles, count)
    channels = -(-spec.x.channels // lanes) * lanes + total * lanes
    fitting = _SCRATCH_BYTES // (4 * _POINTS * channels)
    if 4 * _POINTS * spec.x.channels * total * lanes > _FAR_FILTERS_BYTES:
        fitting = _FAR_TILES
    per_group = tiles * max(1, min(fitting, count // 2) // tiles)
    return Blocking(lanes, vectors, total // vectors, tiles, per_group, down, across)


def pack(
    spec: Hconv2dSpec, target: Target, weights: Array, bias: Array | None, slope: Array | float | None
) -> dict[str, Array]:
    """Weights as (3, 3, C_in, channels); see `hconv2d.pack`."""
    cut = blocking(spec, target)
    scaled, params = spec.epilogue.pack(weights, bias, slope, cut.channels)
    dtype = float_simd_of(target).weight_dtype(spec.weight_dtype)
    packed = np.zeros((*spec.kernel, spec.x.channels, cut.channels), dtype)
    packed[..., : len(weights)] = scaled.transpose(2, 3, 1, 0)
    return {"weights": packed, **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    simd, cut = float_simd_of(target), blocking(spec, target)
    inputs = -(-spec.x.channels // cut.lanes) * cut.lanes
    count = spec.y.batch * cut.down * cut.across
    pad = CACHE_LINE // 4  # keeps the 36 points of a tile out of one cache set
    with kernel_function("hconv2d") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        weights = argument(
            "weights", (3, 3, spec.x.channels, cut.channels), simd.weight_dtype(spec.weight_dtype)
        )
        epilogue = epilogue_arguments(spec.epilogue, simd, residual, cut.channels)
        y = plane_argument("y", spec.y)
        filters = T.alloc_buffer(
            (_POINTS, cut.groups, spec.x.channels, cut.vectors * cut.lanes), "float32", layout=None, align=64
        )
        with T.parallel(0, spec.x.channels) as channel:
            _transform_filters(simd, cut, weights, filters, channel)
        with T.parallel(0, -(-count // cut.per_group)) as group:
            points = scratch((_POINTS, cut.per_group * inputs + pad), "float32")
            products = scratch((_POINTS, cut.per_group * cut.channels + pad), "float32")
            half = scratch((POINTS, POINTS, cut.lanes), "float32")
            first = let(T.min(group * cut.per_group, count - cut.per_group))
            with T.serial(0, cut.per_group) as t:
                _transform_inputs(spec, simd, cut, x, points, half, _place(spec, cut, first + t), t, inputs)
            blocks = cut.per_group // cut.tiles
            with T.serial(0, _POINTS) as point, T.serial(0, cut.groups) as g, T.serial(0, blocks) as b:
                _multiply(cut, points, filters, products, (point, g, b * cut.tiles), inputs)
            with T.serial(0, cut.per_group) as t:
                _transform_outputs(spec, cut, products, epilogue, y, half, _place(spec, cut, first + t), t)
        finish_plane(y, spec.epilogue, cut.channels, cut.lanes)
    return function.get()


def _place(spec: Hconv2dSpec, cut: Blocking, tile: Expr) -> tuple[Expr, Expr, Expr]:
    """Picture, tile row and tile column of tile number `tile`."""
    tile = let(tile)
    n = T.floordiv(tile, cut.down * cut.across)
    return n, let(T.floormod(T.floordiv(tile, cut.across), cut.down)), let(T.floormod(tile, cut.across))


def _transform_filters(
    simd: FloatSimd, cut: Blocking, weights: Buffer, filters: Buffer, channel: Expr
) -> None:
    """G g Gᵀ of all filters that read input channel `channel`."""
    width = cut.vectors * cut.lanes
    with T.serial(0, cut.groups) as g:
        for v in range(0, width, cut.lanes):
            taps = [
                [let(simd.load(weights, (i, j, channel, g * width + v), cut.lanes)) for j in range(3)]
                for i in range(3)
            ]
            half = [filter_points([taps[i][j] for i in range(3)]) for j in range(3)]
            for i in range(POINTS):
                for j, value in enumerate(filter_points([half[k][i] for k in range(3)])):
                    store(filters, (i * POINTS + j, g, channel, v), value)


def _transform_inputs(
    spec: Hconv2dSpec,
    simd: FloatSimd,
    cut: Blocking,
    x: PlaneBuffer,
    points: Buffer,
    half: Buffer,
    place: tuple[Expr, Expr, Expr],
    t: Expr,
    inputs: int,
) -> None:
    """Bᵀ d B of one tile, for all channels."""
    n, tile_row, tile_column = place
    top = let(T.min(tile_row * OUTPUTS, spec.y.height - OUTPUTS) - spec.padding[0])
    left = let(T.min(tile_column * OUTPUTS, spec.y.width - OUTPUTS) - spec.padding[1])
    with T.serial(0, inputs // cut.lanes) as vector:
        block = T.floordiv(vector * cut.lanes, spec.x.block)
        inside = T.floormod(vector * cut.lanes, spec.x.block)

        def pixel(i: int, j: int) -> Expr:
            return let(simd.load(x.buffer, x.index(n, block, top + i, left + j, inside), cut.lanes))

        with T.serial(0, POINTS) as j:
            for i, value in enumerate(input_points([pixel(i, j) for i in range(POINTS)])):
                store(half, (i, j, 0), value)
        with T.serial(0, POINTS) as i:
            row = [let(load(half, (i, j, 0), cut.lanes)) for j in range(POINTS)]
            for j, value in enumerate(input_points(row)):
                store(points, (i * POINTS + j, t * inputs + vector * cut.lanes), value)


def _multiply(
    cut: Blocking,
    points: Buffer,
    filters: Buffer,
    products: Buffer,
    place: tuple[Expr, Expr, Expr],
    inputs: int,
) -> None:
    """Sums over the input channels for cut.tiles tiles at one point."""
    point, group, tile = place
    lanes, width = cut.lanes, cut.vectors * cut.lanes
    channels = int(filters.shape[2])
    sums = [[register("float32", lanes) for _ in range(cut.vectors)] for _ in range(cut.tiles)]
    for vectors in sums:
        for acc in vectors:
            write(acc, constant(0.0, "float32", lanes), lanes)

    def step(channel: Expr) -> None:
        taps = [let(load(filters, (point, group, channel, v * lanes), lanes)) for v in range(cut.vectors)]
        for p, vectors in enumerate(sums):
            activation = let(splat(points[point, (tile + p) * inputs + channel], lanes))
            for acc, tap in zip(vectors, taps, strict=True):
                write(acc, read(acc, lanes) + activation * tap, lanes)

    steps, tail = divmod(channels, _UNROLL)
    with T.serial(0, steps) as i:
        for u in range(_UNROLL):
            step(i * _UNROLL + u)
    for u in range(tail):
        step(steps * _UNROLL + u)
    for p, vectors in enumerate(sums):
        for v, acc in enumerate(vectors):
            where = (point, (tile + p) * cut.channels + group * width + v * lanes)
            store(products, where, read(acc, lanes))


def _transform_outputs(
    spec: Hconv2dSpec,
    cut: Blocking,
    products: Buffer,
    epilogue: EpilogueBuffers,
    y: PlaneBuffer,
    half: Buffer,
    place: tuple[Expr, Expr, Expr],
    t: Expr,
) -> None:
    """Aᵀ m A of one tile, for all output channels, and the epilogue."""
    n, tile_row, tile_column = place
    height, width = spec.y.height, spec.y.width
    top = let(T.min(tile_row * OUTPUTS, height - OUTPUTS))
    left = let(T.min(tile_column * OUTPUTS, width - OUTPUTS))
    with T.serial(0, cut.channels // cut.lanes) as vector:
        channel = let(vector * cut.lanes)
        constants = epilogue.constants(channel, cut.lanes)
        block, inside = T.floordiv(channel, spec.y.block), T.floormod(channel, spec.y.block)

        def product(i: int, j: int) -> Expr:
            return let(load(products, (i * POINTS + j, t * cut.channels + channel), cut.lanes))

        with T.serial(0, POINTS) as i:
            for j, value in enumerate(outputs_of([product(i, j) for j in range(POINTS)])):
                store(half, (i, j, 0), value)
        with T.serial(0, OUTPUTS) as j:
            column = [let(load(half, (i, j, 0), cut.lanes)) for i in range(POINTS)]
            for i, value in enumerate(outputs_of(column)):
                where = (n, block, top + i, left + j, inside)

                def write_output(value: Expr = value, where: tuple[Expr, ...] = where) -> None:
                    epilogue.simd.store(y.buffer, y.index(*where), epilogue.apply(value, constants, where))

                # Tiles overlap where the size is no multiple of 4; the earlier one's outputs stand.
                fresh = []
                if height % OUTPUTS:
                    fresh.append(top + i >= tile_row * OUTPUTS)
                if width % OUTPUTS:
                    fresh.append(left + j >= tile_column * OUTPUTS)
                if fresh:
                    with T.If(tirx.all(*fresh)), T.Then():
                        write_output()
                else:
                    write_output()
