"""Float convolution from many channels to four or fewer: lanes are input channels, summed up at the end.

With lanes as output channels, 12 of 16 lanes and more would multiply padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.epilogue import (
    EpilogueBuffers,
    epilogue_arguments,
    epilogue_inputs,
    finish_plane,
)
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource, source_arguments
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd, float_simd_of
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, parallel_rows, plane_argument
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    concat,
    constant,
    lanes_of,
    let,
    take,
)
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 4  # channels of the output's pixels in memory


def applies(spec: Hconv2dSpec) -> bool:
    """Whether outputs are few and inputs many."""
    return spec.groups == 1 and spec.target.block == _BLOCK and spec.source.block > _BLOCK


def _lanes(spec: Hconv2dSpec, simd: FloatSimd) -> int:
    return min(simd.lanes, spec.source.block)


def pack(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """Weights as (kH, vectors of inputs, kW, C_out, lanes); see `hconv2d.pack`."""
    simd = float_simd_of(target)
    lanes, outputs = _lanes(spec, simd), spec.target.channels
    scaled, params = spec.epilogue.pack(numbers, _BLOCK)
    vectors = -(-spec.source.channels // lanes)
    padded = np.zeros((outputs, vectors * lanes, *spec.window.kernel))
    padded[:, : spec.source.channels] = scaled
    packed = padded.reshape(outputs, vectors, lanes, *spec.window.kernel).transpose(3, 1, 4, 0, 2)
    return {"weights": np.ascontiguousarray(packed, simd.weight_dtype(spec.weight_dtype)), **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    simd = float_simd_of(target)
    outputs, lanes = spec.target.channels, _lanes(spec, simd)
    # Sums take a little over half of the registers, the window's inputs the rest.
    pixels = min(max(1, (simd.registers * 5 // 8 - 2) // outputs), 12, spec.target.width)
    with kernel_function("hconv2d") as function:
        x = source_arguments(spec, simd)
        inputs = epilogue_inputs(spec.epilogue)
        height, width = spec.window.kernel
        shape = (height, -(-spec.source.channels // lanes), width, outputs, lanes)
        weights = argument("weights", shape, simd.weight_dtype(spec.weight_dtype))
        epilogue = epilogue_arguments(spec.epilogue, simd, inputs, _BLOCK)
        y = plane_argument("y", spec.target)
        with parallel_rows(spec.target.batch, spec.target.height) as (n, row):
            constants = epilogue.constants(n, 0, _BLOCK)
            with T.serial(0, -(-spec.target.width // pixels)) as b:
                column = let(T.min(b * pixels, spec.target.width - pixels))
                sums = _sum(spec, simd, x, weights, (n, row, column), pixels)
                _finish(epilogue, y, sums, constants, (n, row, column))
        finish_plane(y, spec.epilogue, _BLOCK, _BLOCK)
    return function.get()


def _sum(
    spec: Hconv2dSpec,
    simd: FloatSimd,
    x: FloatSource,
    weights: Buffer,
    place: tuple[Expr, Expr, Expr],
    pixels: int,
) -> list[list[Expr]]:
    """Sums of `pixels` neighbouring outputs by pixel and output channel, still spread over the lanes."""
    n, row, column = place
    lanes = _lanes(spec, simd)
    sums = [[register("float32", lanes) for _ in range(spec.target.channels)] for _ in range(pixels)]
    for accumulators in sums:
        for acc in accumulators:
            write(acc, constant(0.0, "float32", lanes), lanes)
    left = let(spec.window.column(column, 0))
    with T.serial(0, spec.window.kernel[0]) as dy, T.serial(0, int(weights.shape[1])) as v:
        source = let(spec.window.row(row, dy))
        block, inside = T.floordiv(v * lanes, spec.source.block), T.floormod(v * lanes, spec.source.block)
        factors = x.factors(n, block, inside, lanes)
        inputs: dict[int, Expr] = {}  # by column: windows of neighbouring outputs share them
        for dx in range(spec.window.kernel[1]):
            taps = [let(simd.load(weights, (dy, v, dx, o, 0), lanes)) for o in range(spec.target.channels)]
            for p, accumulators in enumerate(sums):
                j = p * spec.window.stride[1] + dx * spec.window.dilation[1]
                if j not in inputs:
                    inputs[j] = x.widened((n, block, source, left + j, inside), lanes, factors)
                for acc, tap in zip(accumulators, taps, strict=True):
                    write(acc, read(acc, lanes) + inputs[j] * tap, lanes)
    return [[read(acc, lanes) for acc in accumulators] for accumulators in sums]


def _finish(
    epilogue: EpilogueBuffers,
    y: PlaneBuffer,
    sums: Sequence[Sequence[Expr]],
    constants: Sequence[Expr],
    place: tuple[Expr, Expr, Expr],
) -> None:
    """Adds the lanes up and stores the pixels."""
    n, row, column = place
    for p, accumulators in enumerate(sums):
        where = (n, 0, row, column + p, 0)
        value = epilogue.apply(_add_lanes(accumulators), constants, where)
        epilogue.simd.store(y.buffer, y.index(*where), value)


def _add_lanes(values: Sequence[Expr]) -> Expr:
    """A vector of the sums over all lanes of up to four vectors; the rest is 0."""
    quarters = [_fold(value) for value in values]
    quarters += [constant(0.0, "float32", _BLOCK)] * (_BLOCK - len(quarters))
    pairs = []
    for two in (quarters[:2], quarters[2:]):
        both = let(concat(two))
        pairs.append(let(take(both, [0, 4, 1, 5]) + take(both, [2, 6, 3, 7])))  # a0+a2, b0+b2, a1+a3, b1+b3
    all_four = let(concat(pairs))
    return let(take(all_four, [0, 1, 4, 5]) + take(all_four, [2, 3, 6, 7]))


def _fold(value: Expr) -> Expr:
    """Adds the upper half of the lanes to the lower one until four are left."""
    while lanes_of(value) > _BLOCK:
        half = lanes_of(value) // 2
        value = let(value)
        value = take(value, range(half)) + take(value, range(half, 2 * half))
    return let(value)
