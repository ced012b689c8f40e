"""Direct int8 convolution for vector instruction sets.

A tile of `pixels` neighbouring output pixels × `vectors` vectors of output channels lives in registers.
Every step takes 4 input channels of one tap: `vectors` loads of weights, one 4-byte load per pixel spread
over all lanes, `pixels · vectors` dot products. Nothing is copied or rearranged: a tap is an address offset.

Tiles run along rows; the last tile of a row overlaps its neighbour and computes some pixels twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    fill_unused_channels,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import pad_channels
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.planes import (
    plane_argument,
    write_row_halo,
)
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, load
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: neighbouring pixels of one row × vectors of output channels."""

    pixels: int
    vectors: int


def choose_tile(simd: Simd, width: int, vectors: int) -> Tile:
    """The tile that wastes least: on the last tile of a row, on channel groups, and on loads.

    Args:
        simd: The instruction set.
        width: Output pixels of a row.
        vectors: Vectors of output channels in all.
    """
    accumulators = simd.registers - 8 if simd.registers == 32 else simd.registers // 2
    best, best_cost = Tile(1, 1), float("inf")
    for count in (4, 2, 1):
        if count > vectors:
            continue
        for pixels in range(1, accumulators // count + 1):
            columns = min(pixels, width)
            tiles = -(-width // columns)
            dots = columns * count
            # Two loads and two dot products per cycle; under 10 independent sums the latency shows.
            cycles = max(dots / 2, (columns + count) / 2, 5.0)
            cost = tiles * cycles / count * (1 + 0.1 * (columns + count) / dots)
            if cost < best_cost:
                best, best_cost = Tile(columns, count), cost
    return best


def vectors_of(simd: Simd, channels: int) -> int:
    """Vectors that hold `channels` channels."""
    return -(-channels // simd.lanes)


def pack_direct(spec: QConv2dSpec, simd: Simd, tile: Tile, weights: Array) -> Array:
    """Weights (C_out, C_in, kH, kW) int8 in the order in which the kernel reads them.

    Groups of `tile.vectors` vectors first (the last group holds the rest), then input block, tap row, tap
    column, 4 input channels, vector of the group; one row of the result is what one `dot4` takes.
    """
    source, (height, width) = spec.source, spec.window.kernel
    vectors = vectors_of(simd, spec.target.channels)
    padded = pad_channels(pad_channels(weights, 0, vectors * simd.lanes), 1, source.blocks * source.block)
    split = padded.reshape(vectors, simd.lanes, source.blocks, source.block // 4, 4, height, width)
    ordered = split.transpose(2, 5, 6, 3, 0, 1, 4)  # block, dy, dx, k4, vector, lane, 4
    steps = source.blocks * spec.window.taps * (source.block // 4)
    ordered = ordered.reshape(steps, vectors, simd.lanes, 4)
    whole = vectors // tile.vectors * tile.vectors
    groups = [ordered[:, first : first + tile.vectors] for first in range(0, whole, tile.vectors)]
    if whole < vectors:
        groups.append(ordered[:, whole:])
    return simd.pack_dot4(np.concatenate([group.reshape(-1, simd.lanes, 4) for group in groups]))


class _Direct:
    """The arguments of one kernel and the loops over them."""

    def __init__(self, spec: QConv2dSpec, simd: Simd, tile: Tile) -> None:
        self.spec, self.simd, self.tile = spec, simd, tile
        self.vectors = vectors_of(simd, spec.target.channels)
        self.steps = spec.source.blocks * spec.window.taps * (spec.source.block // 4)
        self.source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        shape = (self.steps * self.vectors, simd.weight_elements)
        self.weights: Buffer = argument("weights", shape, simd.weight_dtype)
        self.bias: Buffer = argument("bias", (self.vectors * simd.lanes,), "int32")
        self.epilogue = EpilogueWriter(simd, spec.epilogue, spec.target, self.vectors * simd.lanes, residual)
        self.target = self.epilogue.target_argument()

    def row(self, n: Expr, y: Expr, first: Expr, vectors: int) -> None:
        """One output row of the `vectors` vectors from vector `first`."""
        width, pixels = self.spec.target.width, self.tile.pixels
        with T.serial(0, -(-width // pixels)) as i:
            x = i * pixels if width % pixels == 0 else T.min(i * pixels, width - pixels)
            self._tile(n, y, x, first, vectors)

    def _tile(self, n: Expr, y: Expr, x: Expr, first: Expr, vectors: int) -> None:
        lanes, pixels = self.simd.lanes, range(self.tile.pixels)
        sums = [[register("int32", lanes) for _ in range(vectors)] for _ in pixels]
        for v in range(vectors):
            bias = load(self.bias, ((first + v) * lanes,), lanes)
            for p in pixels:
                write(sums[p][v], bias, lanes)

        def step(block: Expr, dy: Expr, dx: Expr, k: Expr) -> None:
            window = self.spec.window
            quads = self.spec.source.block // 4
            row = ((block * window.kernel[0] + dy) * window.kernel[1] + dx) * quads + k
            base = first * self.steps + row * vectors
            weights = [self.simd.load_weights(self.weights, (base + v, 0)) for v in range(vectors)]
            for p in pixels:
                pixel = (n, block, window.row(y, dy), window.column(x + p, dx), k * 4)
                activation = self.simd.spread4(self.source.buffer, self.source.index(*pixel))
                for v in range(vectors):
                    write(sums[p][v], self.simd.dot4(read(sums[p][v], lanes), activation, weights[v]), lanes)

        self._reduce(step)
        for p in pixels:
            for v in range(vectors):
                self.epilogue.store(self.target, read(sums[p][v], lanes), first + v, n, y, x + p)

    def _reduce(self, step: Callable[[Expr, Expr, Expr, Expr], None]) -> None:
        """Calls `step` for every input block, tap and group of 4 channels; about 4 steps per loop body."""
        source, (height, width) = self.spec.source, self.spec.window.kernel
        with ExitStack() as loops:
            block = loops.enter_context(T.serial(0, source.blocks)) if source.blocks > 1 else 0
            dy = loops.enter_context(T.serial(0, height)) if height > 1 else 0
            quads = source.block // 4
            if quads == 1 and width <= 9:
                for dx in range(width):
                    step(block, dy, dx, 0)
                return
            dx = loops.enter_context(T.serial(0, width)) if width > 1 else 0
            unroll = min(quads, 4)
            outer = loops.enter_context(T.serial(0, quads // unroll))
            for inner in range(unroll):
                step(block, dy, dx, outer * unroll + inner)

    def fill_row(self, n: Expr, y: Expr) -> None:
        """Writes what no sum goes to: channels past the last one, and the halo beside the row."""
        fill_unused_channels(self.target, self.spec.epilogue, self.simd, n, y)
        for block in range(self.spec.target.blocks):
            write_row_halo(self.target, n, block, y)


# Above this many bytes of weights, several rows share one pass over a group's weights.
_WEIGHTS_PER_ROW = 256 * 1024


@functools.cache
def emit_direct(spec: QConv2dSpec, target: Target, tile: Tile) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    simd = simd_of(target)
    with kernel_function("qconv2d") as function:
        kernel = _Direct(spec, simd, tile)
        out, vectors = spec.target, kernel.vectors
        groups, rest = divmod(vectors, tile.vectors)
        heavy = kernel.steps * vectors * simd.lanes * 4 > _WEIGHTS_PER_ROW
        strips = max(s for s in (1, 2, 4, 8) if (out.height % s == 0 and out.height // s >= 4) or s == 1)
        if heavy and groups >= 2:
            rows = out.height // strips
            with T.parallel(0, out.batch * groups * strips) as i:
                n, strip = T.floordiv(i, groups * strips), T.floormod(i, strips)
                group = T.floormod(T.floordiv(i, strips), groups)
                with T.serial(0, rows) as j:
                    kernel.row(n, strip * rows + j, group * tile.vectors, tile.vectors)
        with T.parallel(0, out.batch * out.height) as i:
            n, y = T.floordiv(i, out.height), T.floormod(i, out.height)
            if not (heavy and groups >= 2):
                if groups == 1:
                    kernel.row(n, y, 0, tile.vectors)
                else:
                    with T.serial(0, groups) as group:
                        kernel.row(n, y, group * tile.vectors, tile.vectors)
            if rest:
                kernel.row(n, y, groups * tile.vectors, rest)
            kernel.fill_row(n, y)
    return function.get()
