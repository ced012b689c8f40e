"""The three stages of an int8 Winograd convolution, for every `Form` of it.

The picture's 4×4 output tiles are taken in chunks through an input transform, a small matrix product for each
position of the transformed tile, and an output transform. What is computed, and why it is exact, stands in
`forms`. Tiles that would cross the right or bottom border overlap their neighbours instead.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    fill_unused_channels,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import STEP
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiling import UNROLL, Chunk, Tiling
from vacc_deploy.lowering.kernels.isa.function import argument, read, register, scratch, write
from vacc_deploy.lowering.kernels.isa.planes import plane_argument, write_row_halo
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    constant,
    let,
    load,
    reinterpret,
    splat,
    store,
)
from vacc_deploy.lowering.plane import Plane


class WinogradTiles:
    """The arguments of one kernel and its three stages.

    Arguments are the source, [the residual], weights, bias, the epilogue's, the target.
    """

    def __init__(self, tiling: Tiling, chunk: Chunk, target: Plane) -> None:
        self.tiling, self.chunk = tiling, chunk
        self.spec, self.simd, self.form = tiling.spec, tiling.simd, tiling.form
        self.positions, self.depth = self.form.side**2, tiling.depth
        self.groups = tiling.vectors // chunk.vectors
        self.chunks = -(-tiling.tiles // chunk.tiles)
        # One cache line more per position, or all positions of a tile would fall into the same cache sets.
        # (Flat buffers: TVM would shrink an axis that is never used to its end.)
        self.moved_row = chunk.tiles * self.depth + 32
        self.product_row = chunk.tiles * chunk.vectors * self.simd.lanes + 16
        self.source = plane_argument("source", self.spec.source)
        residual = residual_argument(self.spec.epilogue)
        channels = tiling.channels
        shape = (self.groups, tiling.weight_rows, self.depth // 2, chunk.vectors * 2 * self.simd.lanes)
        self.weights: Buffer = argument("weights", shape, "int16")
        self.bias: Buffer = argument("bias", (self.form.results * channels,), "int32")
        self.epilogue = EpilogueWriter(self.simd, self.spec.epilogue, target, channels, residual)
        self.target = self.epilogue.target_argument()

    def emit(self) -> None:
        """Appends the whole kernel."""
        if self.chunk.heavy:
            self._channel_tasks()
        else:
            self._chunk_tasks()
        plane = self.target.plane
        with T.parallel(0, plane.batch * plane.height) as i:
            n, y = T.floordiv(i, plane.height), T.floormod(i, plane.height)
            fill_unused_channels(self.target, self.spec.epilogue, self.simd, n, y)
            for block in range(plane.blocks):
                write_row_halo(self.target, n, block, y)

    def _chunk_tasks(self) -> None:
        """One task per chunk: all stages, one channel group after the other, in the thread's own cache."""
        chunks = self.chunks
        with T.parallel(0, self.target.plane.batch * chunks) as i:
            n, first = T.floordiv(i, chunks), self._first_tile(T.floormod(i, chunks))
            moved = scratch((self.positions * self.moved_row,), "int16")
            products = self._products()
            self._transform_inputs(n, first, moved, 0)
            with T.serial(0, self.groups) as group:
                self._multiply(group, moved, 0, products)
                self._transform_outputs(n, first, group, products)

    def _channel_tasks(self) -> None:
        """Transforms all tiles into shared memory, then one task per channel group and chunk."""
        chunks, batch = self.chunks, self.target.plane.batch
        size = self.positions * self.moved_row
        moved = scratch((batch * chunks * size,), "int16", shared=True)
        with T.parallel(0, batch * chunks) as i:
            first = self._first_tile(T.floormod(i, chunks))
            self._transform_inputs(T.floordiv(i, chunks), first, moved, i * size)
        with T.parallel(0, self.groups * batch * chunks) as i:
            group, place = T.floordiv(i, batch * chunks), T.floormod(i, batch * chunks)
            products = self._products()
            self._multiply(group, moved, place * size, products)
            first = self._first_tile(T.floormod(place, chunks))
            self._transform_outputs(T.floordiv(place, chunks), first, group, products)

    def _products(self) -> Buffer:
        """Memory for the products of a chunk with one channel group."""
        return scratch((self.chunk.shares * self.tiling.weight_rows * self.product_row,), "int32")

    def _first_tile(self, chunk: Expr) -> Expr:
        """First tile of a chunk; the last chunk overlaps the one before it."""
        size, tiles = self.chunk.tiles, self.tiling.tiles
        return chunk * size if tiles % size == 0 else T.min(chunk * size, tiles - size)

    def _corner(self, tile: Expr) -> tuple[Expr, Expr]:
        """Output row and column of the first pixel of a tile."""
        out, columns = self.spec.target, self.tiling.columns
        y, x = T.floordiv(tile, columns) * STEP, T.floormod(tile, columns) * STEP
        last_y, last_x = out.height - STEP, out.width - STEP
        return (
            y if out.height % STEP == 0 else T.min(y, last_y),
            x if out.width % STEP == 0 else T.min(x, last_x),
        )

    def _transform_inputs(self, n: Expr, first: Expr, moved: Buffer, base: Expr) -> None:
        """Stage 1: ``Bᵀ d B`` of a chunk's tiles to `base` of `moved`: position, tile, phase, channel."""
        lanes, block, per_phase = 2 * self.simd.lanes, self.spec.source.block, self.tiling.per_phase
        with T.serial(0, self.chunk.tiles) as t:
            corner_y, corner_x = self._corner(first + t)
            y, x = let(self.spec.window.row(corner_y, 0)), let(self.spec.window.column(corner_x, 0))
            with T.serial(0, per_phase // lanes) as c:
                where = (T.floordiv(c * lanes, block), T.floormod(c * lanes, block))
                with T.serial(0, len(self.form.phases)) as phase:
                    tile = self._phase_of_tile((n, where[0], y, x, where[1]), phase)
                    place = let(base + t * self.depth + phase * per_phase + c * lanes)
                    for position, value in enumerate(tile):
                        store(moved, (place + position * self.moved_row,), value)

    def _phase_of_tile(self, corner: tuple[Expr, ...], phase: Expr) -> list[Expr]:
        """One phase of an input tile, transformed; `corner` is its first pixel's place in the source."""
        n, block, y, x, channel = corner
        form, lanes = self.form, 2 * self.simd.lanes
        sides = range(form.side)
        # Last row or column of a window; what lies beyond is multiplied by 0.
        last = (STEP - 1) * form.stride + self.spec.window.kernel[0] - 1
        top, left = (let(first) for first in form.first_pixel(phase))

        def at(first: Expr, index: int) -> Expr:
            inside = index * form.stride + form.stride - 1 <= last
            return first + index * form.stride if inside else T.min(first + index * form.stride, last)

        def pixel(i: int, j: int) -> Expr:
            codes = self.source.load(n, block, y + at(top, i), x + at(left, j), channel, lanes=lanes)
            return let(cast(codes, "int16"))

        columns = [form.transform_input([pixel(i, j) for i in sides]) for j in sides]
        rows = [form.transform_input([column[i] for column in columns]) for i in sides]
        return [value for row in rows for value in row]

    def _multiply(self, group: Expr, moved: Buffer, base: Expr, products: Buffer) -> None:
        """Stage 2: for each position of each result, tiles × depth times depth × channels of the group."""
        lanes, vectors, form = self.simd.lanes, self.chunk.vectors, self.form
        rows = range(self.chunk.rows)
        results, shares = T.serial(0, form.results), T.serial(0, self.chunk.shares)
        positions, blocks = T.serial(0, self.positions), T.serial(0, self.chunk.tiles // self.chunk.rows)
        with results as result, shares as share, positions as position, blocks as block:
            t = block * self.chunk.rows
            sums = [[register("int32", lanes) for _ in range(vectors)] for _ in rows]
            for p in rows:
                for v in range(vectors):
                    write(sums[p][v], constant(0, "int32", lanes), lanes)
            places = [base + position * self.moved_row + (t + p) * self.depth for p in rows]
            phases = T.serial(0, len(form.phases))
            with phases as phase, T.If(form.contributes(phase, result, position)), T.Then():
                weights = (group, result * self.positions + position)
                self._add_products(sums, weights, (phase, share), moved, places)
            for p in rows:
                for v in range(vectors):
                    row = self._product_row(result, share, position) + ((t + p) * vectors + v) * lanes
                    store(products, (row,), read(sums[p][v], lanes))

    def _product_row(self, result: Expr, share: Expr, position: Expr) -> Expr:
        """Where the products of a position start."""
        return ((result * self.chunk.shares + share) * self.positions + position) * self.product_row

    def _add_products(
        self,
        sums: list[list[Buffer]],
        weights: tuple[Expr, Expr],
        part: tuple[Expr, Expr],
        moved: Buffer,
        rows: list[Expr],
    ) -> None:
        """Adds the products of a phase and share of a few tiles, whose transformed inputs start at `rows`."""
        phase, share = part
        lanes, pairs = self.simd.lanes, self.tiling.per_phase // 2
        turns = pairs // self.chunk.shares // UNROLL
        with T.serial(0, turns) as outer:
            for inner in range(UNROLL):
                k = phase * pairs + (share * turns + outer) * UNROLL + inner
                factors = [
                    let(load(self.weights, (*weights, k, v * 2 * lanes), 2 * lanes))
                    for v in range(self.chunk.vectors)
                ]
                for row, accumulators in zip(rows, sums, strict=True):
                    pair = load(moved, (row + 2 * k,), 2)
                    spread = splat(reinterpret(pair, "int32"), lanes)
                    pair = let(reinterpret(spread, f"int16x{2 * lanes}"))
                    for acc, factor in zip(accumulators, factors, strict=True):
                        write(acc, self.simd.dot2(read(acc, lanes), pair, factor), lanes)

    def _transform_outputs(self, n: Expr, first: Expr, group: Expr, products: Buffer) -> None:
        """Stage 3: ``Aᵀ M A``, the exact division, and the epilogue."""
        lanes, vectors, form = self.simd.lanes, self.chunk.vectors, self.form
        with T.serial(0, self.chunk.tiles) as t:
            corner_y, corner_x = self._corner(first + t)
            y, x = let(corner_y), let(corner_x)
            with T.serial(0, vectors) as v, T.serial(0, form.results) as result:
                vector = group * vectors + v
                bias = let(load(self.bias, ((result * self.tiling.vectors + vector) * lanes,), lanes))
                shares = [
                    self._outputs(products, self._product_row(result, share, 0) + (t * vectors + v) * lanes)
                    for share in range(self.chunk.shares)
                ]
                for i in range(STEP):
                    for j in range(STEP):
                        total = form.total([share[i][j] for share in shares], bias)
                        self._store(total, vector, n, form.place(result, y + i, x + j))

    def _outputs(self, products: Buffer, first: Expr) -> list[list[Expr]]:
        """4×4 outputs, ``9 · factor`` times too large; the products of the first position lie at `first`."""
        sides, transform = range(self.form.side), self.form.transform_output

        def product(i: int, j: int) -> Expr:
            place = first + (i * self.form.side + j) * self.product_row
            return let(load(products, (place,), self.simd.lanes))

        columns = [transform([product(i, j) for i in sides]) for j in sides]
        return [transform([column[i] for column in columns]) for i in range(STEP)]

    def _store(self, total: Expr, vector: Expr, n: Expr, place: tuple[Expr, Expr]) -> None:
        """Finishes and stores one pixel; the tiles of some results reach over the plane's edge."""
        y, x = place
        plane, covered = self.target.plane, self.spec.target
        if (plane.height, plane.width) == self.form.covers(covered.height, covered.width):
            self.epilogue.store(self.target, total, vector, n, y, x)
            return
        with T.If(T.And(y < plane.height, x < plane.width)), T.Then():
            self.epilogue.store(self.target, total, vector, n, y, x)
