"""int8 Winograd convolution: fewer multiplications than the direct one, the same bytes.

What is computed, and why it is exact, stands in `winograd_integer`. This file walks the picture: its 4×4
output tiles are taken in chunks through three stages, input transform, a small matrix product for each
position of the transformed tile, and output transform. Tiles that would cross the right or bottom border
overlap their neighbours instead.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.epilogue import (
    EpilogueWriter,
    fill_unused_channels,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import QConv2dSpec, pad_channels
from vacc_deploy.lowering.kernels.convolution.winograd_integer import FORMS, STEP, Form
from vacc_deploy.lowering.kernels.isa.function import (
    argument,
    kernel_function,
    read,
    register,
    scratch,
    write,
)
from vacc_deploy.lowering.kernels.isa.planes import (
    plane_argument,
    write_row_halo,
)
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
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
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_HEAVY_WEIGHTS = 2 * 1024 * 1024  # bytes; beyond, threads share out output channels instead of tiles
# (bytes, tiles), by stride. Transformed weights are 8 times larger, 22 times for steps of 2: from so many
# bytes on they come from beyond the caches in every inference, which pays only for at least so many tiles.
_PAYS_FROM = {1: ((_HEAVY_WEIGHTS, 64), (1 << 19, 32), (0, 4)), 2: ((1 << 24, 64), (1 << 19, 16), (0, 4))}


@dataclass(frozen=True, slots=True)
class Chunk:
    """How many tiles go through the three stages together, and the register tile of their products.

    Attributes:
        tiles: Winograd tiles of one pass; their transforms should stay in the second-level cache.
        rows: Tiles of a register tile.
        vectors: Vectors of output channels of a register tile.
        heavy: The transformed weights do not fit the second-level cache: all tiles are transformed first, for
            all threads, then the threads divide (channel group, chunk) pairs, channels first.
    """

    tiles: int
    rows: int
    vectors: int
    heavy: bool = False


def choose_chunk(simd: Simd, spec: QConv2dSpec) -> Chunk | None:
    """Blocking for this geometry, or None where the algorithm does not apply or does not pay."""
    out = spec.target
    if (spec.kernel, spec.dilation) != ((3, 3), (1, 1)) or spec.stride not in ((1, 1), (2, 2)):
        return None
    if spec.stride == (2, 2) and simd.weight_dtype == "int8":
        return None  # 8-bit products are twice as dense as the 16-bit ones here, which eats the gain of 16/9
    if spec.source.block < 2 * simd.lanes or out.channels < simd.lanes:
        return None
    tiles = -(-out.height // STEP) * -(-out.width // STEP)
    total = _vectors(simd, spec)
    weight_bytes = _form(spec).side ** 2 * _depth(simd, spec) * total * simd.lanes * 2
    fewest = next(fewest for size, fewest in _PAYS_FROM[spec.stride[0]] if weight_bytes >= size)
    if min(out.height, out.width) < STEP or tiles < fewest:
        return None
    choices = ((4, 4), (3, 4), (5, 4), (2, 8), (1, 16)) if simd.registers == 32 else ((2, 4), (4, 2), (1, 4))
    vectors, rows = next((v, rows) for v, rows in choices if total % v == 0)
    rows = min(rows, tiles)
    heavy = weight_bytes >= _HEAVY_WEIGHTS
    # As many tiles as share one pass over the weights, but several chunks for the threads to divide.
    most = 64 if heavy else min(32 if _form(spec).stride == 1 else 16, max(8, tiles // 4))
    sizes = [size for size in range(rows, most + 1, rows) if size <= tiles and 2 * size >= min(most, tiles)]
    best = min(sizes or [rows], key=lambda size: (-(-tiles // size) * size, -size))
    return Chunk(best, rows, vectors, heavy)


def pack_winograd(spec: QConv2dSpec, simd: Simd, chunk: Chunk, weights: Array) -> Array:
    """Transformed weights, int16: (group, position, 2 input channels, vector of the group · lanes · 2)."""
    form, vectors, depth = _form(spec), _vectors(simd, spec), _depth(simd, spec)
    padded = pad_channels(pad_channels(weights, 0, vectors * simd.lanes), 1, depth // len(form.phases))
    shape = (form.side**2, depth // 2, 2, vectors // chunk.vectors, chunk.vectors, simd.lanes)
    split = form.transform_weights(padded).reshape(shape)
    ordered = split.transpose(3, 0, 1, 4, 5, 2)  # group, position, pair of channels, vector, lane, 2
    return np.ascontiguousarray(ordered).reshape(vectors // chunk.vectors, form.side**2, depth // 2, -1)


def _form(spec: QConv2dSpec) -> Form:
    return FORMS[spec.stride[0]]


def _vectors(simd: Simd, spec: QConv2dSpec) -> int:
    return -(-spec.target.channels // simd.lanes)


def _depth(simd: Simd, spec: QConv2dSpec) -> int:
    """Terms of a product: input channels, rounded up to whole int16 vectors, of every phase."""
    return -(-spec.source.channels // (2 * simd.lanes)) * 2 * simd.lanes * len(_form(spec).phases)


class _Winograd:
    """The arguments of one kernel and its three stages."""

    def __init__(self, spec: QConv2dSpec, simd: Simd, chunk: Chunk) -> None:
        self.spec, self.simd, self.chunk, self.form = spec, simd, chunk, _form(spec)
        self.positions = self.form.side**2
        self.vectors, self.depth = _vectors(simd, spec), _depth(simd, spec)
        self.per_phase = self.depth // len(self.form.phases)
        self.columns = -(-spec.target.width // STEP)  # tiles of a row
        self.tiles = self.columns * -(-spec.target.height // STEP)
        self.chunks = -(-self.tiles // chunk.tiles)
        # One cache line more per position, or all positions of a tile would fall into the same cache sets.
        # (Flat buffers: TVM would shrink an axis that is never used to its end.)
        self.moved_row = chunk.tiles * self.depth + 32
        self.product_row = chunk.tiles * chunk.vectors * simd.lanes + 16
        self.source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        groups, row = self.vectors // chunk.vectors, chunk.vectors * 2 * simd.lanes
        shape = (groups, self.positions, self.depth // 2, row)
        self.weights: Buffer = argument("weights", shape, "int16")
        self.bias: Buffer = argument("bias", (self.vectors * simd.lanes,), "int32")
        self.epilogue = EpilogueWriter(simd, spec.epilogue, spec.target, self.vectors * simd.lanes, residual)
        self.target = self.epilogue.target_argument()

    def corner(self, tile: Expr) -> tuple[Expr, Expr]:
        """Output row and column of the first pixel of a tile."""
        out = self.spec.target
        y, x = T.floordiv(tile, self.columns) * STEP, T.floormod(tile, self.columns) * STEP
        last_y, last_x = out.height - STEP, out.width - STEP
        return (
            y if out.height % STEP == 0 else T.min(y, last_y),
            x if out.width % STEP == 0 else T.min(x, last_x),
        )

    def transform_inputs(self, n: Expr, first: Expr, moved: Buffer, base: Expr) -> None:
        """Stage 1: ``Bᵀ d B`` of a chunk's tiles to `base` of `moved`: position, tile, phase, channel."""
        lanes, block = 2 * self.simd.lanes, self.spec.source.block
        with T.serial(0, self.chunk.tiles) as t:
            corner_y, corner_x = self.corner(first + t)
            y, x = let(self.spec.source_row(corner_y, 0)), let(self.spec.source_column(corner_x, 0))
            with T.serial(0, self.per_phase // lanes) as c:
                where = (T.floordiv(c * lanes, block), T.floormod(c * lanes, block))
                with T.serial(0, len(self.form.phases)) as phase:
                    tile = self._phase_of_tile((n, where[0], y, x, where[1]), phase)
                    place = let(base + t * self.depth + phase * self.per_phase + c * lanes)
                    for position, value in enumerate(tile):
                        store(moved, (place + position * self.moved_row,), value)

    def _phase_of_tile(self, corner: tuple[Expr, ...], phase: Expr) -> list[Expr]:
        """One phase of an input tile, transformed; `corner` is its first pixel's place in the source."""
        n, block, y, x, channel = corner
        form, lanes = self.form, 2 * self.simd.lanes
        sides = range(form.side)
        last = (STEP - 1) * form.stride + 2  # row or column of a window; what lies beyond is multiplied by 0
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

    def multiply(self, group: Expr, moved: Buffer, base: Expr, products: Buffer) -> None:
        """Stage 2: for each position, tiles × depth times depth × channels of the group."""
        lanes, vectors = self.simd.lanes, self.chunk.vectors
        rows, blocks = range(self.chunk.rows), self.chunk.tiles // self.chunk.rows
        with T.serial(0, self.positions) as position, T.serial(0, blocks) as block:
            t = block * self.chunk.rows
            sums = [[register("int32", lanes) for _ in range(vectors)] for _ in rows]
            for p in rows:
                for v in range(vectors):
                    write(sums[p][v], constant(0, "int32", lanes), lanes)
            places = [base + position * self.moved_row + (t + p) * self.depth for p in rows]
            phases = T.serial(0, len(self.form.phases))
            with phases as phase, T.If(self.form.contributes(phase, position)), T.Then():
                self._add_products(sums, (group, position, phase), moved, places)
            for p in rows:
                for v in range(vectors):
                    place = position * self.product_row + ((t + p) * vectors + v) * lanes
                    store(products, (place,), read(sums[p][v], lanes))

    def _add_products(
        self, sums: list[list[Buffer]], place: tuple[Expr, Expr, Expr], moved: Buffer, rows: list[Expr]
    ) -> None:
        """Adds one phase's products of a few tiles, whose transformed inputs start at `rows`."""
        group, position, phase = place
        lanes, pairs, unroll = self.simd.lanes, self.per_phase // 2, 4
        with T.serial(0, pairs // unroll) as outer:
            for inner in range(unroll):
                k = phase * pairs + outer * unroll + inner
                weights = [
                    let(load(self.weights, (group, position, k, v * 2 * lanes), 2 * lanes))
                    for v in range(self.chunk.vectors)
                ]
                for row, accumulators in zip(rows, sums, strict=True):
                    pair = load(moved, (row + 2 * k,), 2)
                    spread = splat(reinterpret(pair, "int32"), lanes)
                    pair = let(reinterpret(spread, f"int16x{2 * lanes}"))
                    for acc, taps in zip(accumulators, weights, strict=True):
                        write(acc, self.simd.dot2(read(acc, lanes), pair, taps), lanes)

    def transform_outputs(self, n: Expr, first: Expr, group: Expr, products: Buffer) -> None:
        """Stage 3: ``Aᵀ M A``, the exact division, and the epilogue."""
        lanes, vectors, form = self.simd.lanes, self.chunk.vectors, self.form
        sides = range(form.side)
        with T.serial(0, self.chunk.tiles) as t:
            corner_y, corner_x = self.corner(first + t)
            y, x = let(corner_y), let(corner_x)
            with T.serial(0, vectors) as v:
                vector = group * vectors + v
                bias = let(load(self.bias, (vector * lanes,), lanes))

                def product(i: int, j: int) -> Expr:
                    position = (i * form.side + j) * self.product_row
                    return let(load(products, (position + (t * vectors + v) * lanes,), lanes))

                columns = [form.transform_output([product(i, j) for i in sides]) for j in sides]
                for i in range(STEP):
                    for j, value in enumerate(form.transform_output([column[i] for column in columns])):
                        self.epilogue.store(self.target, form.divide(value, bias), vector, n, y + i, x + j)

    def chunk_tasks(self) -> None:
        """One task per chunk: all stages, one channel group after the other, in the thread's own cache."""
        chunk, chunks = self.chunk, self.chunks
        with T.parallel(0, self.spec.target.batch * chunks) as i:
            n, first = T.floordiv(i, chunks), self.first_tile(T.floormod(i, chunks))
            moved = scratch((self.positions * self.moved_row,), "int16")
            products = scratch((self.positions * self.product_row,), "int32")
            self.transform_inputs(n, first, moved, 0)
            with T.serial(0, self.vectors // chunk.vectors) as group:
                self.multiply(group, moved, 0, products)
                self.transform_outputs(n, first, group, products)

    def channel_tasks(self) -> None:
        """Transforms all tiles into shared memory, then one task per channel group and chunk."""
        chunks, batch, groups = self.chunks, self.spec.target.batch, self.vectors // self.chunk.vectors
        size = self.positions * self.moved_row
        moved = scratch((batch * chunks * size,), "int16", shared=True)
        with T.parallel(0, batch * chunks) as i:
            first = self.first_tile(T.floormod(i, chunks))
            self.transform_inputs(T.floordiv(i, chunks), first, moved, i * size)
        with T.parallel(0, groups * batch * chunks) as i:
            group, place = T.floordiv(i, batch * chunks), T.floormod(i, batch * chunks)
            products = scratch((self.positions * self.product_row,), "int32")
            self.multiply(group, moved, place * size, products)
            first = self.first_tile(T.floormod(place, chunks))
            self.transform_outputs(T.floordiv(place, chunks), first, group, products)

    def first_tile(self, chunk: Expr) -> Expr:
        """First tile of a chunk; the last chunk overlaps the one before it."""
        size = self.chunk.tiles
        return chunk * size if self.tiles % size == 0 else T.min(chunk * size, self.tiles - size)


@functools.cache
def emit_winograd(spec: QConv2dSpec, target: Target, chunk: Chunk) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    simd, out = simd_of(target), spec.target
    with kernel_function("qconv2d_winograd") as function:
        kernel = _Winograd(spec, simd, chunk)
        if chunk.heavy:
            kernel.channel_tasks()
        else:
            kernel.chunk_tasks()
        with T.parallel(0, out.batch * out.height) as i:
            n, y = T.floordiv(i, out.height), T.floormod(i, out.height)
            fill_unused_channels(kernel.target, spec.epilogue, simd, n, y)
            for block in range(out.blocks):
                write_row_halo(kernel.target, n, block, y)
    return function.get()
