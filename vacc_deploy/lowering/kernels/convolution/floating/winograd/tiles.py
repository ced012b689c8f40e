"""The stages of a float Winograd convolution: how it is cut into tiles, and what is done with them.

The picture's 4×4 output tiles are taken in groups that fit the second-level cache through an input transform,
a small matrix product for each point of the transformed tile, and an output transform. Filters are
transformed by each call: that costs little where the method is chosen, and keeps the constants at 9 values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.epilogue import EpilogueBuffers
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS, Winograd
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import CACHE_LINE, read, register, scratch, write
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, load, splat, store
from vacc_deploy.lowering.plane import Plane, StorageType

Array: TypeAlias = npt.NDArray[Any]
Place: TypeAlias = tuple[Expr, Expr, Expr]
"""Picture, row and column, of tiles or of pixels."""

_SCRATCH_BYTES = 256 << 10  # of transformed inputs and products: a quarter of a second-level cache
# Transformed filters that no cache holds; many tiles must share a pass over them.
_FAR_FILTERS_BYTES = 12 << 20
_FAR_TILES = 96
_UNROLL = 4
_RUN = 64  # most input channels whose filters are transformed together
_PAD = CACHE_LINE // 4  # keeps the points of a tile or a filter out of one cache set


@dataclass(frozen=True, slots=True)
class Blocking:
    """How the work is cut.

    Attributes:
        form: The algorithm along an axis.
        spread: Distance of the outputs of a result, both ways; its square of results make the output, and
            share the transformed inputs.
        depth: Input channels.
        inputs: Input channels, rounded up to whole vectors.
        lanes: Channels per vector.
        vectors: Vectors of output channels per register block.
        groups: Register blocks across all output channels.
        tiles: Tiles per register block.
        per_group: Tiles that are transformed together, a multiple of `tiles`.
        size: Outputs (rows, columns) that the tiles cover, at least 4 each way.
        count: Tiles of all pictures; the last of a row or column starts early rather than reach too far.
    """

    form: Winograd
    spread: int
    depth: int
    inputs: int
    lanes: int
    vectors: int
    groups: int
    tiles: int
    per_group: int
    size: tuple[int, int]
    count: int

    @property
    def results(self) -> int:
        """Parts of the output."""
        return self.spread**2

    @property
    def channels(self) -> int:
        """Output channels computed, padding included."""
        return self.groups * self.vectors * self.lanes

    @property
    def points(self) -> int:
        """Values of a transformed tile."""
        return self.form.points**2

    @property
    def filter_shape(self) -> tuple[int, ...]:
        """Of the transformed filters: the points of every result; group, input channel, output channel."""
        return (self.results * self.points, self.groups * self.depth * self.vectors * self.lanes + _PAD)

    @property
    def filter_bytes(self) -> int:
        """Size of the transformed filters."""
        return 4 * math.prod(self.filter_shape)

    def tile(self, number: Expr) -> Place:
        """Where tile number `number` lies, counted in tiles."""
        down, across = (-(-side // OUTPUTS) for side in self.size)
        number = let(number)
        row = let(T.floormod(T.floordiv(number, across), down))
        return T.floordiv(number, down * across), row, let(T.floormod(number, across))

    def first_output(self, tile: Place) -> Place:
        """Where a tile starts, in pixels."""
        n, row, column = tile
        top = let(T.min(row * OUTPUTS, self.size[0] - OUTPUTS))
        return n, top, let(T.min(column * OUTPUTS, self.size[1] - OUTPUTS))


def tile_count(batch: int, size: tuple[int, int]) -> int:
    """Tiles that cover `size` outputs of `batch` pictures."""
    return batch * -(-size[0] // OUTPUTS) * -(-size[1] // OUTPUTS)


def cut(
    form: Winograd, simd: FloatSimd, x: Plane, y: Plane, size: tuple[int, int], *, spread: int = 1
) -> Blocking:
    """The cut of a convolution of `x` into `y`, with `size` outputs of each result."""
    lanes = min(simd.lanes, y.block)
    total = -(-y.channels // lanes)
    vectors = next(v for v in (4 if simd.registers == 32 else 2, 2, 1) if total % v == 0 or v == 1)
    count = tile_count(y.batch, size)
    tiles = min((simd.registers - vectors - 2) // vectors, count)
    depth, inputs = x.channels, -(-x.channels // lanes) * lanes
    blocking = Blocking(form, spread, depth, inputs, lanes, vectors, total // vectors, tiles, 1, size, count)
    fitting = _SCRATCH_BYTES // (4 * blocking.points * (inputs + blocking.channels))
    if blocking.filter_bytes > _FAR_FILTERS_BYTES:
        fitting = _FAR_TILES
    # As even as possible, and at least two for the threads: what the last one overlaps is computed twice.
    together = max(2, -(-count // (tiles * max(1, fitting // tiles))))
    return replace(blocking, per_group=tiles * max(1, -(-count // (tiles * together))))


def pack_weights(blocking: Blocking, weights: Array, dtype: StorageType) -> Array:
    """Weights (C_out, C_in, 3, 3) as (3, 3, C_in, channels)."""
    outputs, inputs, height, width = weights.shape
    packed = np.zeros((height, width, inputs, blocking.channels), dtype)
    packed[..., :outputs] = weights.transpose(2, 3, 1, 0)
    return packed


def transform_filters(
    blocking: Blocking, results: Sequence[Callable[[int, int, Expr, Expr], Expr]]
) -> Buffer:
    """G g Gᵀ of all filters, as `Blocking.filter_shape`: appends a parallel loop.

    Args:
        blocking: The cut.
        results: Of every result, ``tap(i, j, input channel, first output channel)`` gives g.
    """
    form, lanes, width = blocking.form, blocking.lanes, blocking.vectors * blocking.lanes
    filters = T.alloc_buffer(blocking.filter_shape, "float32", layout=None, align=64)
    inputs = blocking.depth
    run = max(size for size in range(1, _RUN + 1) if inputs % size == 0)
    with T.parallel(0, blocking.groups * (inputs // run)) as item:
        group, first = T.floordiv(item, inputs // run), T.floormod(item, inputs // run) * run
        # Neighbouring channels lie next to each other at every point.
        with T.serial(0, run) as c:
            channel = let(first + c)
            for result, tap in enumerate(results):
                for v in range(0, width, lanes):
                    sides = range(form.taps)
                    taps = [[tap(i, j, channel, group * width + v) for j in sides] for i in sides]
                    half = [form.filter_points([row[j] for row in taps]) for j in sides]
                    for i in range(form.points):
                        for j, value in enumerate(form.filter_points([column[i] for column in half])):
                            point = result * blocking.points + i * form.points + j
                            store(filters, (point, (group * inputs + channel) * width + v), value)
    return filters


class FloatTiles:
    """The buffers of a group of tiles, and its stages. Construct it inside the loop over groups.

    Args:
        blocking: The cut.
        first: Number of the group's first tile.
    """

    def __init__(self, blocking: Blocking, first: Expr) -> None:
        self.cut, self.first = blocking, first
        count, form = blocking.per_group, blocking.form
        self.moved = scratch((blocking.points, count * blocking.inputs + _PAD), "float32")
        self.products = scratch((blocking.points, count * blocking.channels + _PAD), "float32")
        self.half = scratch((form.points, form.points, blocking.lanes), "float32")

    def transform_inputs(self, simd: FloatSimd, x: PlaneBuffer, before: tuple[int, int]) -> None:
        """Bᵀ d B for all channels; windows start `before` rows and columns before the outputs."""
        blocking, form = self.cut, self.cut.form
        lanes, points, block_size = blocking.lanes, form.points, x.plane.block
        with T.serial(0, blocking.per_group) as t:
            n, row, column = blocking.first_output(blocking.tile(self.first + t))
            top, left = let(row - before[0]), let(column - before[1])
            with T.serial(0, blocking.inputs // lanes) as vector:
                block, inside = T.floordiv(vector * lanes, block_size), T.floormod(vector * lanes, block_size)

                def pixel(i: int, j: int) -> Expr:
                    return let(simd.load(x.buffer, x.index(n, block, top + i, left + j, inside), lanes))

                with T.serial(0, points) as j:
                    for i, value in enumerate(form.input_points([pixel(i, j) for i in range(points)])):
                        store(self.half, (i, j, 0), value)
                with T.serial(0, points) as i:
                    line = [let(load(self.half, (i, j, 0), lanes)) for j in range(points)]
                    for j, value in enumerate(form.input_points(line)):
                        store(self.moved, (i * points + j, t * blocking.inputs + vector * lanes), value)

    def multiply(self, filters: Buffer, place: tuple[Expr, Expr, Expr], result: Expr) -> None:
        """Sums over the input channels for `Blocking.tiles` tiles; `place` is (point, group, first tile)."""
        point, group, tile = place
        blocking = self.cut
        lanes, width = blocking.lanes, blocking.vectors * blocking.lanes
        sums = [[register("float32", lanes) for _ in range(blocking.vectors)] for _ in range(blocking.tiles)]
        for vectors in sums:
            for acc in vectors:
                write(acc, constant(0.0, "float32", lanes), lanes)

        def step(channel: Expr) -> None:
            row, first = result * blocking.points + point, (group * blocking.depth + channel) * width
            taps = [let(load(filters, (row, first + v * lanes), lanes)) for v in range(blocking.vectors)]
            for p, vectors in enumerate(sums):
                activation = let(splat(self.moved[point, (tile + p) * blocking.inputs + channel], lanes))
                for acc, tap in zip(vectors, taps, strict=True):
                    write(acc, read(acc, lanes) + activation * tap, lanes)

        steps, tail = divmod(blocking.depth, _UNROLL)
        with T.serial(0, steps) as i:
            for u in range(_UNROLL):
                step(i * _UNROLL + u)
        for u in range(tail):
            step(steps * _UNROLL + u)
        for p, vectors in enumerate(sums):
            for v, acc in enumerate(vectors):
                where = (point, (tile + p) * blocking.channels + group * width + v * lanes)
                store(self.products, where, read(acc, lanes))

    def transform_outputs(self, epilogue: EpilogueBuffers, y: PlaneBuffer, result: Expr) -> None:
        """Aᵀ m A of the products, which are those of one result, and the epilogue.

        Tiles overlap where the size is no multiple of 4; the earlier one's outputs stand.
        """
        blocking, form, plane, spread = self.cut, self.cut.form, y.plane, self.cut.spread
        lanes, points = blocking.lanes, range(form.points)
        first_row, first_column = T.floordiv(result, spread), T.floormod(result, spread)
        with T.serial(0, blocking.per_group) as t:
            tile = blocking.tile(self.first + t)
            n, top, left = blocking.first_output(tile)
            with T.serial(0, blocking.channels // lanes) as vector:
                channel = let(vector * lanes)
                constants = epilogue.constants(channel, lanes)
                block, inside = T.floordiv(channel, plane.block), T.floormod(channel, plane.block)

                def product(i: int, j: int) -> Expr:
                    where = (i * form.points + j, t * blocking.channels + channel)
                    return let(load(self.products, where, lanes))

                def write_output(row: Expr, column: Expr, value: Expr) -> None:
                    where = (n, block, row, column, inside)
                    epilogue.simd.store(y.buffer, y.index(*where), epilogue.apply(value, constants, where))

                with T.serial(0, form.points) as i:
                    for j, value in enumerate(form.outputs_of([product(i, j) for j in points])):
                        store(self.half, (i, j, 0), value)
                with T.serial(0, OUTPUTS) as j:
                    column = [let(load(self.half, (i, j, 0), lanes)) for i in points]
                    for i, value in enumerate(form.outputs_of(column)):
                        at = ((top + i) * spread + first_row, (left + j) * spread + first_column)
                        conditions = self._conditions(tile, (top + i, left + j), at, plane)
                        if conditions:
                            with T.If(tirx.all(*conditions)), T.Then():
                                write_output(*at, value)
                        else:
                            write_output(*at, value)

    def _conditions(
        self, tile: Place, output: tuple[Expr, Expr], at: tuple[Expr, Expr], plane: Plane
    ) -> list[Expr]:
        """When a tile writes an output: it is the first that has it, and the plane reaches to its place."""
        conditions = []
        for axis, side in enumerate((plane.height, plane.width)):
            if self.cut.size[axis] % OUTPUTS:
                conditions.append(output[axis] >= tile[1 + axis] * OUTPUTS)
            if self.cut.size[axis] * self.cut.spread > side:
                conditions.append(at[axis] < side)
        return conditions
