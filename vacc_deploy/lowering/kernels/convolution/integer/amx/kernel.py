"""int8 convolution with AMX tiles, cut as `blocking` says.

Register blocking: 4 accumulator tiles, 2 pixel tiles × 2 channel tiles (4 × 1 where the channels are odd), so
that 4 loads feed 4 products. The sums of a block go through a double-buffered scratch, and the epilogue of
block i−1 is interleaved with the products of block i, whose latency hides it. The last two accumulators are
stored during the first step of the next block: storing waits for the products, and these finish last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.integer.amx.blocking import (
    LANES,
    Blocking,
    channel_tiles_of,
    weights_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    fill_unused_channels,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function, scratch
from vacc_deploy.lowering.kernels.isa.planes import (
    PlaneBuffer,
    plane_argument,
    write_row_halo,
)
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.isa.tile import ROW_BYTES, ROWS, AmxTiles, Tiles, TileShape
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, let, load, prefetch, wrapping
from vacc_deploy.lowering.target import Target

TileFactory: TypeAlias = Callable[[list[TileShape]], Tiles]

_A, _B = 4, 6  # first tile register of the operands; sums are 0…3


@dataclass(frozen=True, slots=True)
class _Place:
    """One block of output: picture, row, first pixel, and the scratch half that takes its sums."""

    n: Expr
    y: Expr
    x: Expr
    half: Expr


@dataclass(frozen=True, slots=True)
class Buffers:
    """What one convolution works on."""

    source: PlaneBuffer
    weights: Buffer
    bias: Buffer
    epilogue: EpilogueWriter
    target: PlaneBuffer


class AmxConvolution:
    """The loops of one convolution; `spec.target` is its size, `buffers` say where outputs lie."""

    def __init__(self, spec: QConv2dSpec, blocking: Blocking, buffers: Buffers) -> None:
        self.spec, self.blocking = spec, blocking
        self.vectors = channel_tiles_of(spec)
        self.source, self.weights, self.bias = buffers.source, buffers.weights, buffers.bias
        # A row of sums has 16 lanes, also where emulated tiles meet shorter vector registers.
        self.epilogue, self.target = buffers.epilogue.in_lanes(LANES), buffers.target

    def emit(self, make_tiles: TileFactory) -> None:
        """Appends the parallel loop."""
        out, blocking = self.spec.target, self.blocking
        groups = self.vectors // blocking.channel_tiles
        heavy = self.vectors * LANES * self.spec.source.channels * self.spec.window.taps > 1024 * 1024
        sizes = [d for d in (8, 4, 2, 1) if out.height % d == 0 and (d * blocking.blocks <= 8 or d == 1)]
        rows = next(d for d in sizes if out.height // d >= 4 or d == 1)
        strips = out.height // rows
        if heavy:
            with T.parallel(0, groups * out.batch * strips) as i:
                group, place = T.floordiv(i, out.batch * strips), T.floormod(i, out.batch * strips)
                first = T.floormod(place, strips) * rows
                self.strip(make_tiles, T.floordiv(place, strips), first, rows, group)
        else:
            with T.parallel(0, out.batch * strips) as i:
                first = T.floormod(i, strips) * rows
                self.strip(make_tiles, T.floordiv(i, strips), first, rows, None)

    def strip(self, make_tiles: TileFactory, n: Expr, first: Expr, rows: int, group: Expr | None) -> None:
        """`rows` output rows from row `first` of one channel group, or of one after the other (None)."""
        blocking = self.blocking
        pixels = TileShape(blocking.rows, blocking.segment_bytes, "uint8")
        weights = TileShape(blocking.segment_bytes // 4, ROW_BYTES, "int8")
        sums = TileShape(blocking.rows, ROW_BYTES, "int32")
        self.tiles = make_tiles([sums] * 4 + [pixels] * 2 + [weights] * 2)
        self.sums: Buffer = scratch((2 * 4 * ROWS, LANES), "int32")
        total = rows * blocking.blocks

        def place(b: Expr) -> _Place:
            y, x = T.floordiv(b, blocking.blocks), T.floormod(b, blocking.blocks) * blocking.span
            last = self.spec.target.width - blocking.span
            x = x if self.spec.target.width % blocking.span == 0 else T.min(x, last)
            return _Place(n, let(first + y), let(x), T.floormod(b, 2))

        with ExitStack() as loops:
            if group is None:
                group = loops.enter_context(T.serial(0, self.vectors // blocking.channel_tiles))
            for tile in range(len(self._pairs())):
                self.tiles.zero(tile)
            self._block(group, place(T.int32(0)), None)
            if total > 1:
                with T.serial(1, total) as b:
                    self._block(group, place(b), place(b - 1))
            for tile in self._late():
                self._store(tile, T.int32((total - 1) % 2))
            self._drain(group, place(T.int32(total - 1)))
        self.tiles.release()

    def _pairs(self) -> list[tuple[int, int]]:
        """(pixel tile, channel tile) of the sums, in register order."""
        wide = self.blocking.channel_tiles
        return [(m, c) for m in range(len(self.blocking.pixel_starts)) for c in range(wide)]

    def _late(self) -> list[int]:
        """Sums that are stored during the next block: those of the second half of the pixel tiles."""
        count = len(self._pairs())
        return list(range((count + 1) // 2, count))

    def _store(self, tile: int, half: Expr) -> None:
        self.tiles.store(tile, self.sums, ((half * 4 + tile) * ROWS, 0), (1, 0))

    def _block(self, group: Expr, here: _Place, before: _Place | None) -> None:
        """The products of one block, with the epilogue of the block before between them."""
        source, height = self.spec.source, self.spec.window.kernel[0]
        window = [(dy, segment) for dy in range(height) for segment in range(self.blocking.segments)]
        work = self._interleaved(group, here, before, len(window) * 2)
        for i, (dy, segment) in enumerate(window):
            last = i == len(window) - 1 and source.blocks == 1
            self._step(group, here, before, (0, dy, segment), work, first=i == 0, last=last)
        for _ in work:
            pass
        if source.blocks > 1:
            with T.serial(1, source.blocks - 1) as block:
                for dy, segment in window:
                    self._step(group, here, None, (block, dy, segment), None, first=False, last=False)
            for i, (dy, segment) in enumerate(window):
                position = (T.int32(source.blocks - 1), dy, segment)
                self._step(group, here, None, position, None, first=False, last=i == len(window) - 1)

    def _step(
        self,
        group: Expr,
        here: _Place,
        before: _Place | None,
        position: tuple[Expr, int, int],
        work: Iterator[None] | None,
        *,
        first: bool,
        last: bool,
    ) -> None:
        """The products of one segment: every pixel tile with every channel tile."""
        block, dy, segment = position
        tiles, spec, wide, late = self.tiles, self.spec, self.blocking.channel_tiles, self._late()
        if spec.window.dilation[1] == 1:
            at = divmod(segment * self.blocking.segment_bytes, spec.source.block)
        else:
            at = (segment, 0)
        for m, start in enumerate(self.blocking.pixel_starts):
            x = spec.window.column(here.x + start, at[0])
            pixel = self.source.index(here.n, block, spec.window.row(here.y, dy), x, at[1])
            for c in range(wide):
                if m == 0:
                    weights = (group, block, dy, segment, c, 0, 0)
                    tiles.load(_B + c, self.weights, weights, (0, 0, 0, 0, 0, 1, 0))
                if c == 0:
                    tiles.load(_A + m % 2, self.source.buffer, pixel, (0, 0, 0, spec.window.stride[1], 0))
                tile = m * wide + c
                if first and before is not None:
                    if tile in late:
                        self._store(tile, before.half)
                    tiles.zero(tile)
                tiles.dot(tile, _A + m % 2, _B + c)
                if last and tile not in late:
                    self._store(tile, here.half)
            if work is not None and m in (0, len(self.blocking.pixel_starts) - 1):
                next(work, None)

    def _interleaved(self, group: Expr, here: _Place, before: _Place | None, slots: int) -> Iterator[None]:
        """Emits a share of the previous block's epilogue, and prefetches, at every `next`."""
        vectors = self._outputs() if before is not None else []
        lines = list(range(self.blocking.span)) if self.spec.source.block == ROW_BYTES else []
        share, line_share = -(-len(vectors) // max(1, slots - 1)), -(-len(lines) // slots)
        spec, source = self.spec, self.spec.source
        ahead = spec.window.row(here.y + 1, spec.window.kernel[0] - 1)
        ahead = T.min(ahead, source.height + source.halo.bottom - 1)
        for slot in range(slots):
            for pixel in lines[slot * line_share : (slot + 1) * line_share]:
                x = spec.window.column(here.x + pixel, 0)
                prefetch(self.source.buffer, self.source.index(here.n, 0, ahead, x))
            if slot > 0 and before is not None:  # the late sums arrive during the first slot
                for m, row, c in vectors[(slot - 1) * share : slot * share]:
                    self._finish(group, before, m, row, c)
            yield

    def _outputs(self) -> list[tuple[int, int, int]]:
        """(pixel tile, row, channel tile) of every output vector of a block, in store order."""
        starts, rows = range(len(self.blocking.pixel_starts)), range(self.blocking.rows)
        return [(m, row, c) for m in starts for row in rows for c in range(self.blocking.channel_tiles)]

    def _finish(self, group: Expr, place: _Place, m: int, row: Expr, c: int) -> None:
        """The epilogue of one vector of sums."""
        wide = self.blocking.channel_tiles
        vector = group * wide + c
        sums = load(self.sums, ((place.half * 4 + m * wide + c) * ROWS + row, 0), LANES)
        sums = wrapping("add", sums, load(self.bias, (vector * LANES,), LANES))
        x = place.x + self.blocking.pixel_starts[m] + row
        self.epilogue.store(self.target, sums, vector, place.n, place.y, x)

    def _drain(self, group: Expr, place: _Place) -> None:
        for m in range(len(self.blocking.pixel_starts)):
            with T.serial(0, self.blocking.rows) as row:
                for c in range(self.blocking.channel_tiles):
                    self._finish(group, place, m, row, c)


@functools.cache
def emit_amx(
    spec: QConv2dSpec, target: Target, blocking: Blocking, make_tiles: TileFactory = AmxTiles
) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target.

    `make_tiles` is `EmulatedTiles` in tests on machines without AMX.
    """
    out, simd = spec.target, simd_of(target)
    channels = channel_tiles_of(spec) * LANES
    with kernel_function("qconv2d_amx") as function:
        source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        weights = weights_argument("weights", spec, blocking)
        bias = argument("bias", (channels,), "int32")
        epilogue = EpilogueWriter(simd, spec.epilogue, spec.target, channels, residual)
        result = epilogue.target_argument()
        AmxConvolution(spec, blocking, Buffers(source, weights, bias, epilogue, result)).emit(make_tiles)
        with T.parallel(0, out.batch * out.height) as i:
            n, y = T.floordiv(i, out.height), T.floormod(i, out.height)
            fill_unused_channels(result, spec.epilogue, simd, n, y)
            for block in range(out.blocks):
                write_row_halo(result, n, block, y)
    return function.get()
