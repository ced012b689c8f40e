"""int8 convolution to at most 4 channels, the last layer of most picture-to-picture networks.

Lanes are input channels here, not output channels, of which there are too few to fill a vector. What one row
of the kernel window reads is contiguous, so it is cut into vectors (*segments*); a vector of inputs times a
vector of weights gives partial sums in every lane, and only when all are added do the lanes of 4 pixels × 4
channels fold into one vector, which is exactly how a plane of 4-channel blocks stores them.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm import tirx
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
    parallel_rows,
    plane_argument,
    write_row_halo,
)
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, lanes_of, let, load, wrapping
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 4  # channels of the target's block
_MOST_SEGMENTS = 36  # of one window row; they are unrolled


@dataclass(frozen=True, slots=True)
class Segments:
    """How a window row is read.

    Attributes:
        starts: First byte of each vector; the last one ends with the window row and may overlap.
        pixels: Output pixels of a register tile.
    """

    starts: tuple[int, ...]
    pixels: int


def choose_segments(simd: Simd, spec: QConv2dSpec) -> Segments | None:
    """The segments for this geometry, or None where another algorithm has to do."""
    out, width, vector = spec.target, spec.window.kernel[1] * spec.source.block, 4 * simd.lanes
    if (
        out.channels > _BLOCK
        or spec.window.dilation[1] != 1
        or width < vector
        or spec.source.channels < 2 * simd.lanes
    ):
        return None
    per_vector = simd.lanes // _BLOCK  # pixels whose sums fill a vector
    sums = 16 if simd.registers == 32 else 8
    pixels = max(1, min(sums // out.channels, out.width) // per_vector) * per_vector
    starts = (*range(0, width - vector, vector), width - vector)
    if pixels > out.width or len(starts) > _MOST_SEGMENTS:
        return None
    return Segments(starts, pixels)


def pack_narrow(spec: QConv2dSpec, simd: Simd, segments: Segments, weights: Array) -> Array:
    """Weights (C_out, C_in, kH, kW) int8 as (input block, window row, segment, channel, one vector)."""
    source, (height, width), vector = spec.source, spec.window.kernel, 4 * simd.lanes
    padded = pad_channels(weights, 1, source.blocks * source.block)
    rows = padded.reshape(spec.target.channels, source.blocks, source.block, height, width)
    rows = rows.transpose(1, 3, 0, 4, 2).reshape(source.blocks, height, spec.target.channels, -1)
    packed = []
    done = 0  # a byte counts in the first segment that reads it
    for start in segments.starts:
        piece = rows[..., start : start + vector].copy()
        piece[..., : done - start] = 0
        done = start + vector
        packed.append(piece)
    stacked = np.stack(packed, axis=2)
    return simd.pack_dot4(stacked.reshape(*stacked.shape[:-1], simd.lanes, 4))


def repeat_channels(numbers: Array, lanes: int) -> Array:
    """Numbers (C,), padded to 4 channels with zeros and repeated over all lanes."""
    block = pad_channels(numbers, 0, _BLOCK)
    return np.tile(block, lanes // _BLOCK)


def _fold(vectors: list[Expr]) -> Expr:
    """Lane i of the result is the sum of all lanes of ``vectors[i]``."""
    while len(vectors) > 1:
        lanes = lanes_of(vectors[0])
        even, odd = list(range(0, 2 * lanes, 2)), list(range(1, 2 * lanes, 2))
        vectors = [
            let(wrapping("add", tirx.Shuffle([a, b], even), tirx.Shuffle([a, b], odd)))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


class _Narrow:
    """The arguments of one kernel and the loops over them."""

    def __init__(self, spec: QConv2dSpec, simd: Simd, segments: Segments) -> None:
        self.spec, self.simd, self.segments = spec, simd, segments
        self.source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        window = (spec.source.blocks, spec.window.kernel[0], len(segments.starts))
        shape = (*window, spec.target.channels, simd.weight_elements)
        self.weights: Buffer = argument("weights", shape, simd.weight_dtype)
        self.bias: Buffer = argument("bias", (simd.lanes,), "int32")
        self.epilogue = EpilogueWriter(simd, spec.epilogue, spec.target, simd.lanes, residual)
        self.target = self.epilogue.target_argument()

    def row(self, n: Expr, y: Expr) -> None:
        """One output row."""
        width, pixels = self.spec.target.width, self.segments.pixels
        with T.serial(0, -(-width // pixels)) as i:
            x = i * pixels if width % pixels == 0 else T.min(i * pixels, width - pixels)
            self._tile(n, y, x)

    def _tile(self, n: Expr, y: Expr, x: Expr) -> None:
        simd, lanes, spec = self.simd, self.simd.lanes, self.spec
        channels, pixels = range(spec.target.channels), range(self.segments.pixels)
        sums = [[register("int32", lanes) for _ in channels] for _ in pixels]
        nothing = constant(0, "int32", lanes)
        for p in pixels:
            for c in channels:
                write(sums[p][c], nothing, lanes)
        with ExitStack() as loops:
            block = loops.enter_context(T.serial(0, spec.source.blocks)) if spec.source.blocks > 1 else 0
            height = spec.window.kernel[0]
            dy = loops.enter_context(T.serial(0, height)) if height > 1 else 0
            for s, start in enumerate(self.segments.starts):
                weights = [simd.load_weights(self.weights, (block, dy, s, c, 0)) for c in channels]
                dx, byte = divmod(start, spec.source.block)
                for p in pixels:
                    pixel = (n, block, spec.window.row(y, dy), spec.window.column(x + p, dx), byte)
                    inputs = simd.load4(self.source.buffer, self.source.index(*pixel))
                    for c in channels:
                        write(sums[p][c], simd.dot4(read(sums[p][c], lanes), inputs, weights[c]), lanes)
        per_vector = lanes // _BLOCK
        for first in range(0, len(pixels), per_vector):
            partial = [
                read(sums[p][c], lanes) if c in channels else nothing
                for p in pixels[first : first + per_vector]
                for c in range(_BLOCK)
            ]
            total = wrapping("add", _fold(partial), load(self.bias, (0,), lanes))
            self.epilogue.store_pixels(self.target, total, n, y, x + first)


@functools.cache
def emit_narrow(spec: QConv2dSpec, target: Target, segments: Segments) -> Any:
    """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
    simd, out = simd_of(target), spec.target
    with kernel_function("qconv2d_narrow") as function:
        kernel = _Narrow(spec, simd, segments)
        with parallel_rows(out.batch, out.height) as (n, y):
            kernel.row(n, y)
            fill_unused_channels(kernel.target, spec.epilogue, simd, n, y)
            write_row_halo(kernel.target, n, 0, y)
    return function.get()
