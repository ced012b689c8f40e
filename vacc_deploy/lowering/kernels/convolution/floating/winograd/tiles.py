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
from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS, Winograd
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import CACHE_LINE, read, register, scratch, write
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, load, splat, store
from vacc_deploy.lowering.plane import Plane, StorageType

Array: TypeAlias = npt.NDArray[Any]
Place: TypeAlias = tuple[Expr, Expr, Expr]
"""Picture, row and column, of tiles or of pixels."""
Contributes: TypeAlias = Callable[[Expr, Expr, Expr], Expr]
"""``contributes(result, phase, point)``: whether products can differ from 0."""

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
        stride: Distance of the inputs of a phase, both ways; its square of phases make the input, and their
            products add up.
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
    stride: int
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
    def phases(self) -> int:
        """Parts of the input."""
        return self.stride**2

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
        """Of the transformed filters: points of every result; group, phase, input channel, output channel."""
        depth = self.phases * self.depth
        return (self.results * self.points, self.groups * depth * self.vectors * self.lanes + _PAD)

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
    form: Winograd,
    simd: FloatSimd,
    x: Plane,
    y: Plane,
    size: tuple[int, int],
    *,
    stride: int = 1,
    spread: int = 1,
) -> Blocking:
    """The cut of a convolution of `x` into `y`, with `size` outputs of each result."""
    lanes = min(simd.lanes, y.block)
    total = -(-y.channels // lanes)
    vectors = next(v for v in (4 if simd.registers == 32 else 2, 2, 1) if total % v == 0 or v == 1)
    count = tile_count(y.batch, size)
    tiles = min((simd.registers - vectors - 2) // vectors, count)
    depth, inputs = x.channels, -(-x.channels // lanes) * lanes
    groups = total // vectors
    blocking = Blocking(form, stride, spread, depth, inputs, lanes, vectors, groups, tiles, 1, size, count)
    fitting = _SCRATCH_BYTES // (4 * blocking.points * (blocking.phases * inputs + blocking.channels))
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
    blocking: Blocking, taps: Sequence[Callable[[int, int, Expr, Expr], Expr | None]]
) -> Buffer:
    """G g Gᵀ of all filters, as `Blocking.filter_shape`: appends a parallel loop.

    Args:
        blocking: The cut.
        taps: Of every phase of every result, ``tap(i, j, input channel, first output channel)`` gives g, None
            where it is always zero. Points that see nothing else are not written.
    """
    form, lanes, width = blocking.form, blocking.lanes, blocking.vectors * blocking.lanes
    filters = T.alloc_buffer(blocking.filter_shape, "float32", layout=None, align=64)
    inputs, sides = blocking.depth, range(form.taps)
    run = max(size for size in range(1, _RUN + 1) if inputs % size == 0)
    with T.parallel(0, blocking.groups * (inputs // run)) as item:
        group, first = T.floordiv(item, inputs // run), T.floormod(item, inputs // run) * run
        # Neighbouring channels lie next to each other at every point.
        with T.serial(0, run) as c:
            channel = let(first + c)
            for number, tap in enumerate(taps):
                result, phase = divmod(number, blocking.phases)
                place = let(((group * blocking.phases + phase) * inputs + channel) * width)
                for v in range(0, width, lanes):
                    g = [[tap(i, j, channel, group * width + v) for j in sides] for i in sides]
                    for point, value in _transform_filter(form, g, lanes).items():
                        store(filters, (result * blocking.points + point, place + v), value)
    return filters


def _transform_filter(form: Winograd, g: list[list[Expr | None]], lanes: int) -> dict[int, Expr]:
    """G g Gᵀ by point, without those at which missing taps leave nothing."""
    zero = constant(0.0, "float32", lanes)
    taps = [[zero if tap is None else tap for tap in row] for row in g]
    half = [form.filter_points(column) for column in zip(*taps, strict=True)]
    rows = form.seen([any(tap is not None for tap in row) for row in g])
    columns = form.seen([any(tap is not None for tap in column) for column in zip(*g, strict=True)])
    return {
        i * form.points + j: value
        for i in rows
        for j, value in enumerate(form.filter_points([column[i] for column in half]))
        if j in columns
    }


class FloatTiles:
    """The buffers of a group of tiles, and its stages. Construct it inside the loop over groups.

    Args:
        blocking: The cut.
        first: Number of the group's first tile.
    """

    def __init__(self, blocking: Blocking, first: Expr) -> None:
        self.cut, self.first = blocking, first
        count, form = blocking.per_group, blocking.form
        self.moved_row = blocking.phases * blocking.inputs
        self.moved = scratch((blocking.points, count * self.moved_row + _PAD), "float32")
        self.products = scratch((blocking.points, count * blocking.channels + _PAD), "float32")
        self.half = scratch((form.points, form.points, blocking.lanes), "float32")

    def transform_inputs(self, x: FloatSource, before: tuple[int, int]) -> None:
        """Bᵀ d B for all channels; windows start `before` rows and columns before the outputs."""
        blocking, stride = self.cut, self.cut.stride
        lanes, vectors, block_size = blocking.lanes, blocking.inputs // blocking.lanes, x.plane.block
        phases = T.serial(0, blocking.phases)
        with T.serial(0, blocking.per_group) as t:
            n, row, column = blocking.first_output(blocking.tile(self.first + t))
            top, left = let(row * stride - before[0]), let(column * stride - before[1])
            with T.serial(0, vectors) as vector, phases as phase:
                block, inside = T.floordiv(vector * lanes, block_size), T.floormod(vector * lanes, block_size)
                first = let(T.floordiv(phase, stride)), let(T.floormod(phase, stride))

                factors = x.factors(n, block, inside, lanes)

                def place(axis: int, index: Expr) -> Expr:
                    if stride == 1:
                        return index
                    # What would lie behind the window is multiplied by 0.
                    return T.min(first[axis] + index * stride, (blocking.form.points - 1) * stride)

                def pixel(i: int, j: int) -> Expr:
                    at = n, block, top + place(0, i), left + place(1, j), inside
                    return x.widened(at, lanes, factors)

                self._transform_input(pixel, let(t * self.moved_row + (phase * vectors + vector) * lanes))

    def _transform_input(self, pixel: Callable[[int, int], Expr], place: Expr) -> None:
        """Bᵀ d B of a vector of channels, to `place` of every point."""
        lanes, form = self.cut.lanes, self.cut.form
        points = range(form.points)
        with T.serial(0, form.points) as j:
            for i, value in enumerate(form.input_points([pixel(i, j) for i in points])):
                store(self.half, (i, j, 0), value)
        with T.serial(0, form.points) as i:
            line = [let(load(self.half, (i, j, 0), lanes)) for j in points]
            for j, value in enumerate(form.input_points(line)):
                store(self.moved, (i * form.points + j, place), value)

    def multiply(self, filters: Buffer, result: Expr, point: Expr, contributes: Contributes | None) -> None:
        """The products of a result at a point: sums over the input channels of all phases that contribute."""
        blocking = self.cut
        lanes, vectors = blocking.lanes, range(blocking.vectors)
        tiles = range(blocking.tiles)
        blocks = T.serial(0, blocking.per_group // blocking.tiles)
        with T.serial(0, blocking.groups) as group, blocks as block:
            sums = [[register("float32", lanes) for _ in vectors] for _ in tiles]
            for acc in (acc for row in sums for acc in row):
                write(acc, constant(0.0, "float32", lanes), lanes)
            first = [let((block * blocking.tiles + p) * self.moved_row) for p in tiles]
            with T.serial(0, blocking.phases) as phase:
                channels = [place + phase * blocking.inputs for place in first]
                panel = let((group * blocking.phases + phase) * blocking.depth)
                row = result * blocking.points + point
                if contributes is None:
                    self._add_products(sums, channels, filters, (row, panel), point)
                else:
                    with T.If(contributes(result, phase, point)), T.Then():
                        self._add_products(sums, channels, filters, (row, panel), point)
            for p, row_of_sums in enumerate(sums):
                for v, acc in enumerate(row_of_sums):
                    tile = block * blocking.tiles + p
                    where = tile * blocking.channels + (group * blocking.vectors + v) * lanes
                    store(self.products, (point, where), read(acc, lanes))

    def _add_products(
        self,
        sums: list[list[Buffer]],
        tiles: list[Expr],
        filters: Buffer,
        panel: tuple[Expr, Expr],
        point: Expr,
    ) -> None:
        """Adds the products with a panel of filters; `tiles` are where each tile's inputs start."""
        lanes, vectors = self.cut.lanes, range(self.cut.vectors)

        def step(channel: Expr) -> None:
            where = (panel[1] + channel) * self.cut.vectors * lanes
            taps = [let(load(filters, (panel[0], where + v * lanes), lanes)) for v in vectors]
            for first, row in zip(tiles, sums, strict=True):
                activation = let(splat(self.moved[point, first + channel], lanes))
                for acc, tap in zip(row, taps, strict=True):
                    write(acc, read(acc, lanes) + activation * tap, lanes)

        steps, tail = divmod(self.cut.depth, _UNROLL)
        with T.serial(0, steps) as i:
            for u in range(_UNROLL):
                step(i * _UNROLL + u)
        for u in range(tail):
            step(steps * _UNROLL + u)

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
                constants = epilogue.constants(n, channel, lanes)
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
