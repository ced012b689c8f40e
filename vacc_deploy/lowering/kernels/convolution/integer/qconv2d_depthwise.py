"""int8 depthwise convolution: lanes are channels, and two neighbouring taps make one product step.

A pair of input codes a, b of one channel becomes the int16 pair (a, b) in an int32 lane, which `Simd.dot2`
multiplies by the two taps and adds: exact, because codes and weights are far from the int16 range.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.depthwise import depthwise_places
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    pack_epilogue,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.sections import finish_code_plane
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import fold_zero_point, pad_channels
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    concat,
    constant,
    let,
    load,
    reinterpret,
)
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def _vectors(spec: QConv2dSpec, simd: Simd) -> int:
    """Vectors of channels computed."""
    return -(-spec.target.channels // simd.lanes)


def pack(spec: QConv2dSpec, target: Target, numbers: QConvNumbers) -> Mapping[str, Array]:
    """Weights (C, 1, kH, kW) as int16 (kH, pairs of taps, vectors, lanes·2), and the epilogue's numbers."""
    simd = simd_of(target)
    channels = _vectors(spec, simd) * simd.lanes
    height, width = spec.window.kernel
    padded = pad_channels(pad_channels(numbers.weights[:, 0], 0, channels), 2, -(-width // 2) * 2)
    pairs = padded.reshape(channels // simd.lanes, simd.lanes, height, -1, 2).transpose(2, 3, 0, 1, 4)
    return {
        "weights": np.ascontiguousarray(pairs).astype(np.int16).reshape(*pairs.shape[:3], -1),
        "bias": pad_channels(fold_zero_point(numbers.weights, numbers.bias, spec.source.fill), 0, channels),
        **pack_epilogue(spec, channels, numbers),
    }


@functools.cache
def emit(spec: QConv2dSpec, target: Target) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target."""
    simd = simd_of(target)
    vectors, lanes = _vectors(spec, simd), simd.lanes
    pixels = min(simd.registers // 4, spec.target.width)
    with kernel_function("qconv2d_depthwise") as function:
        source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        height, width = spec.window.kernel
        weights = argument("weights", (height, -(-width // 2), vectors, 2 * lanes), "int16")
        bias = argument("bias", (vectors * lanes,), "int32")
        writer = EpilogueWriter(simd, spec.epilogue, spec.target, vectors * lanes, residual)
        y = writer.target_argument()
        per_block = max(1, spec.source.block // lanes)
        with depthwise_places(spec.target, pixels, vectors, per_block) as (n, v, row, column):
            initial = let(load(bias, (v * lanes,), lanes))
            sums = [register("int32", lanes) for _ in range(pixels)]
            for acc in sums:
                write(acc, initial, lanes)
            _add_taps(spec, simd, source, weights, sums, (n, v, row, column))
            for p, acc in enumerate(sums):
                writer.store(y, read(acc, lanes), v, n, row, column + p)
        finish_code_plane(y, writer)
    return function.get()


def _add_taps(
    spec: QConv2dSpec,
    simd: Simd,
    source: PlaneBuffer,
    weights: Buffer,
    sums: list[Buffer],
    place: tuple[Expr, Expr, Expr, Expr],
) -> None:
    """Adds all taps to the sums of neighbouring pixels."""
    n, vector, row, column = place
    lanes, window = simd.lanes, spec.window
    apart, width = window.dilation[1], window.kernel[1]
    with T.serial(0, window.kernel[0]) as dy:
        codes = _RowCodes(simd, source, (n, vector, window.row(row, dy), window.column(column, 0)))
        for pair in range(-(-width // 2)):
            taps = let(load(weights, (dy, pair, vector, 0), 2 * lanes))
            both = 2 * pair + 1 < width
            for p, acc in enumerate(sums):
                j = p * window.stride[1] + 2 * pair * apart
                operand = codes.pair(j, j + apart if both else None)
                write(acc, simd.dot2(read(acc, lanes), operand, taps), lanes)


class _RowCodes:
    """Codes of one row by column, loaded and paired once however many windows share them."""

    def __init__(self, simd: Simd, source: PlaneBuffer, place: tuple[Expr, Expr, Expr, Expr]) -> None:
        self.simd, self.source = simd, source
        self.n, self.vector, self.row, self.left = place[0], place[1], let(place[2]), let(place[3])
        self.codes: dict[int, Expr] = {}
        self.pairs: dict[tuple[int, int | None], Expr] = {}

    def pair(self, first: int, second: int | None) -> Expr:
        """Two columns as int16 pairs; a missing second one is 0."""
        if (first, second) not in self.pairs:
            value = self._code(first)
            if second is not None:
                value = value | (self._code(second) << constant(16, "int32", self.simd.lanes))
            self.pairs[first, second] = let(reinterpret(value, f"int16x{2 * self.simd.lanes}"))
        return self.pairs[first, second]

    def _code(self, column: int) -> Expr:
        if column not in self.codes:
            lanes, block = self.simd.lanes, self.source.plane.block
            count = min(lanes, block)
            channel = self.vector * lanes
            place = (
                self.n,
                T.floordiv(channel, block),
                self.row,
                self.left + column,
                T.floormod(channel, block),
            )
            codes = self.source.load(*place, lanes=count)
            if count < lanes:  # the plane's block is narrower than a vector
                codes = concat([codes] * (lanes // count))
            self.codes[column] = let(cast(codes, "int32"))
        return self.codes[column]
