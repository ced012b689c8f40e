"""The stages of a float Winograd convolution.

The picture's 4×4 output tiles are taken in groups that fit the second-level cache through an input transform,
a small matrix product for each point of the transformed tile, and an output transform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.epilogue import EpilogueBuffers
from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource
from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import PAD, Blocking, Place
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS
from vacc_deploy.lowering.kernels.isa.function import read, register, scratch, write
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, load, splat, store
from vacc_deploy.lowering.plane import Plane

Contributes: TypeAlias = Callable[[Expr, Expr, Expr], Expr]
"""``contributes(result, phase, point)``: whether products can differ from 0."""

_UNROLL = 4


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
        self.moved = scratch((blocking.points, count * self.moved_row + PAD), "float32")
        self.products = scratch((blocking.points, count * blocking.channels + PAD), "float32")
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
