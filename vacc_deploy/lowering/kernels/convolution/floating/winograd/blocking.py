"""How a float Winograd convolution is cut into tiles, groups of tiles and register blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS, Winograd
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import CACHE_LINE
from vacc_deploy.lowering.kernels.isa.vector import Expr, let
from vacc_deploy.lowering.plane import Plane

Place: TypeAlias = tuple[Expr, Expr, Expr]
"""Picture, row and column, of tiles or of pixels."""

PAD = CACHE_LINE // 4
"""Floats more per point, which keep the points of a tile or a filter out of one cache set."""

_SCRATCH_BYTES = 256 << 10  # of transformed inputs and products: a quarter of a second-level cache
# Transformed filters that no cache holds; many tiles must share a pass over them.
_FAR_FILTERS_BYTES = 12 << 20
_FAR_TILES = 150


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
        return (self.results * self.points, self.groups * depth * self.vectors * self.lanes + PAD)

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
    # Evenly, since what the last group overlaps is computed twice, and as many for each of two threads.
    together = -(-count // (tiles * max(1, fitting // tiles)))
    together += together % 2
    return replace(blocking, per_group=tiles * max(1, -(-count // (tiles * together))))
