"""Direct float convolution: a block of pixels times a few vectors of output channels in registers.

Input rows are widened to float32 once per row of outputs, into scratch that stays in the second-level
cache; weights are widened as they are read, so that those of one channel group fit the first level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.float_epilogue import (
    EpilogueBuffers,
    epilogue_arguments,
    residual_argument,
)
from vacc_deploy.lowering.kernels.float_simd import FloatSimd, float_simd_of
from vacc_deploy.lowering.kernels.isa.function import (
    argument,
    kernel_function,
    read,
    register,
    scratch,
    write,
)
from vacc_deploy.lowering.kernels.isa.planes import (
    PlaneBuffer,
    plane_argument,
    write_end_halo,
    write_side_halo,
)
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, splat, store
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

if TYPE_CHECKING:
    from vacc_deploy.lowering.kernels.hconv2d import Hconv2dSpec

Array = npt.NDArray[Any]

_SCRATCH_BYTES = 256 << 10  # of widened input rows: a quarter of a second-level cache
_UNROLL = 4  # input channels per iteration of the innermost loop
_MIN_ITEMS = 8  # parallel iterations worth having, for an even share on a few threads


@dataclass(frozen=True, slots=True)
class Blocking:
    """How the work is cut.

    Attributes:
        lanes: Output channels per vector.
        vectors: Vectors of output channels per register block.
        groups: Register blocks across all output channels.
        pixels: Pixels per register block, along a row.
        rows: Rows per register block (more than 1 where rows are short).
        blocks: Register blocks along a row; the last one starts early rather than being shorter.
        blocks_per_chunk: Register blocks whose input is widened at once.
        splits: Into how many parallel parts the output channels are cut.
    """

    lanes: int
    vectors: int
    groups: int
    pixels: int
    rows: int
    blocks: int
    blocks_per_chunk: int
    splits: int

    @property
    def channels(self) -> int:
        """Output channels computed, padding included."""
        return self.groups * self.vectors * self.lanes


def blocking(spec: Hconv2dSpec, target: Target) -> Blocking:
    """Chooses the cut of `spec` with the fewest instructions."""
    simd = float_simd_of(target)
    lanes = min(simd.lanes, spec.y.block)
    total = -(-spec.y.channels // lanes)
    vectors = min(2, total)
    groups = -(-total // vectors)
    # One register for the activation, one per weight vector, one spare.
    most = (simd.registers - vectors - 2) // vectors
    width, height = spec.y.width, spec.y.height

    def cost(pixels: int) -> float:
        """Instructions per input channel and tap along a row; fewer than 8 sums wait for each other."""
        return -(-width // pixels) * (max(pixels * vectors, 8) + vectors + 0.1 * pixels)

    pixels = min(range(1, min(most, width) + 1), key=lambda p: (cost(p), -p))
    rows = 1
    if 2 * width <= most:
        rows = max(r for r in range(1, most // width + 1) if height % r == 0)
        pixels = width if rows > 1 else pixels
    blocks = -(-width // pixels)
    bytes_per_column = 4 * spec.x.blocks * spec.x.block * ((rows - 1) * spec.stride[0] + spec.span[0])
    columns = max(1, _SCRATCH_BYTES // bytes_per_column)
    per_chunk = max(1, min(blocks, columns // (pixels * spec.stride[1])))
    items = spec.y.batch * (height // rows)
    splits = 1
    if items < _MIN_ITEMS:
        splits = min(
            (s for s in range(1, groups + 1) if groups % s == 0 and s * items >= _MIN_ITEMS), default=groups
        )
    return Blocking(lanes, vectors, groups, pixels, rows, blocks, per_chunk, splits)


def pack(
    spec: Hconv2dSpec, target: Target, weights: Array, bias: Array | None, slope: Array | float | None
) -> dict[str, Array]:
    """Weights as (group, kH, kW, C_in, vectors·lanes); see `hconv2d.pack`."""
    cut = blocking(spec, target)
    scaled, params = spec.epilogue.pack(weights, bias, slope, cut.channels)
    padded = np.zeros((cut.channels, *weights.shape[1:]))
    padded[: len(weights)] = scaled
    grouped = padded.reshape(cut.groups, cut.vectors * cut.lanes, *weights.shape[1:])
    packed = np.ascontiguousarray(grouped.transpose(0, 3, 4, 2, 1))
    return {"weights": packed.astype(float_simd_of(target).weight_dtype), **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    simd, cut = float_simd_of(target), blocking(spec, target)
    rows_in = (cut.rows - 1) * spec.stride[0] + spec.span[0]
    chunk_pixels = cut.pixels * cut.blocks_per_chunk
    columns_in = (min(chunk_pixels, spec.y.width) - 1) * spec.stride[1] + spec.span[1]
    row_groups = spec.y.height // cut.rows
    per_split = cut.groups // cut.splits
    with kernel_function("hconv2d") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        shape = (cut.groups, *spec.kernel, spec.x.channels, cut.vectors * cut.lanes)
        weights = argument("weights", shape, simd.weight_dtype)
        epilogue = epilogue_arguments(spec.epilogue, simd, residual, cut.channels)
        y = plane_argument("y", spec.y)
        with T.parallel(0, cut.splits * spec.y.batch * row_groups) as item:
            split = T.floordiv(item, spec.y.batch * row_groups)
            n = T.floormod(T.floordiv(item, row_groups), spec.y.batch)
            row = T.floormod(item, row_groups) * cut.rows
            wide = scratch((rows_in, spec.x.blocks, columns_in, spec.x.block), "float32")
            with T.serial(0, -(-cut.blocks // cut.blocks_per_chunk)) as chunk:
                first = let(T.min(chunk * chunk_pixels, spec.y.width - cut.pixels))
                last = T.min((chunk + 1) * chunk_pixels, spec.y.width)
                top = row * spec.stride[0] - spec.padding[0]
                left = first * spec.stride[1] - spec.padding[1]
                widen_rows(simd, x, wide, n, top, left, (last - 1 - first) * spec.stride[1] + spec.span[1])
                with T.serial(0, per_split) as g:
                    group = split * per_split + g
                    here = T.min(cut.blocks_per_chunk, cut.blocks - chunk * cut.blocks_per_chunk)
                    with T.serial(0, here) as b:
                        column = let(
                            T.min((chunk * cut.blocks_per_chunk + b) * cut.pixels, spec.y.width - cut.pixels)
                        )
                        _register_block(
                            spec, simd, cut, wide, weights, epilogue, y, (n, row, column, group, first)
                        )
            with T.If(split == 0), T.Then():
                for r in range(cut.rows):
                    finish_row(y, n, row + r, cut.channels, cut.lanes)
        write_end_halo(y)
    return function.get()


def widen_rows(
    simd: FloatSimd, x: PlaneBuffer, wide: Buffer, n: Expr, top: Expr, left: Expr, columns: Expr
) -> None:
    """Copies rows from `top` and columns from `left` on into `wide` (rows, blocks, columns, block), float32."""
    rows, blocks, _, block = (int(extent) for extent in wide.shape)
    lanes = min(simd.lanes, block)
    with T.serial(0, rows) as r, T.serial(0, blocks) as b, T.serial(0, columns) as c:
        for channel in range(0, block, lanes):
            place = x.index(n, b, top + r, left + c, channel)
            store(wide, (r, b, c, channel), simd.load(x.buffer, place, lanes))


def finish_row(y: PlaneBuffer, n: Expr, row: Expr, written: int, lanes: int) -> None:
    """Zeroes what the register blocks leave of a row: channels from `written` on, and the side halo."""
    plane = y.plane
    zero = constant(plane.fill, plane.dtype, lanes)
    unused = range(written, plane.blocks * plane.block, lanes)
    if unused:
        with T.serial(0, plane.width) as column:
            for channel in unused:
                y.store(n, channel // plane.block, row, column, channel % plane.block, zero)
    for block in range(plane.blocks):
        write_side_halo(y, n, block, row)


def _register_block(
    spec: Hconv2dSpec,
    simd: FloatSimd,
    cut: Blocking,
    wide: Buffer,
    weights: Buffer,
    epilogue: EpilogueBuffers,
    y: PlaneBuffer,
    place: tuple[Expr, Expr, Expr, Expr, Expr],
) -> None:
    """Sums and stores cut.rows × cut.pixels outputs of one channel group."""
    n, row, column, group, first = place
    lanes = cut.lanes
    pixels = [(r, p) for r in range(cut.rows) for p in range(cut.pixels)]
    sums = [[register("float32", lanes) for _ in range(cut.vectors)] for _ in pixels]
    for vectors in sums:
        for acc in vectors:
            write(acc, constant(0.0, "float32", lanes), lanes)
    start = let((column - first) * spec.stride[1])

    def step(dy: Expr, dx: Expr, block: Expr, channel: Expr) -> None:
        k = block * spec.x.block + channel
        filters = [let(simd.load(weights, (group, dy, dx, k, v * lanes), lanes)) for v in range(cut.vectors)]
        for (r, p), vectors in zip(pixels, sums, strict=True):
            where = (
                r * spec.stride[0] + dy * spec.dilation[0],
                block,
                start + p * spec.stride[1] + dx * spec.dilation[1],
                channel,
            )
            activation = let(splat(wide[where], lanes))
            for acc, taps in zip(vectors, filters, strict=True):
                write(acc, read(acc, lanes) + activation * taps, lanes)

    with T.serial(0, spec.kernel[0]) as dy, T.serial(0, spec.kernel[1]) as dx:
        each_channel(spec.x, lambda block, channel: step(dy, dx, block, channel))

    for v in range(cut.vectors):
        channel = let((group * cut.vectors + v) * lanes)
        constants = epilogue.constants(channel, lanes)
        block, inside = T.floordiv(channel, spec.y.block), T.floormod(channel, spec.y.block)
        for (r, p), vectors in zip(pixels, sums, strict=True):
            where = (n, block, row + r, column + p, inside)
            value = epilogue.apply(read(vectors[v], lanes), constants, where)
            simd.store(y.buffer, y.index(*where), value)


def each_channel(plane: Plane, body: Any) -> None:
    """Calls ``body(block, channel)`` inside loops over the real channels of `plane`, in order."""
    full, rest = divmod(plane.channels, plane.block)

    def run(block: Expr, channels: int) -> None:
        steps, tail = divmod(channels, _UNROLL)
        if steps:
            with T.serial(0, steps) as i:
                for u in range(_UNROLL):
                    body(block, i * _UNROLL + u)
        for u in range(tail):
            body(block, steps * _UNROLL + u)

    if full:
        with T.serial(0, full) as block:
            run(block, plane.block)
    if rest:
        run(full, rest)
