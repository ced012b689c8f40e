"""Depthwise convolution of float planes: lanes are channels, and every channel has a filter of its own."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.depthwise import depthwise_places
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
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def _padded_channels(spec: Hconv2dSpec, simd: FloatSimd) -> int:
    """Channels computed: whole vectors."""
    lanes = min(simd.lanes, spec.target.block)
    return -(-spec.target.channels // lanes) * lanes


def pack(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """Weights as (kH, kW, channels); see `hconv2d.pack`."""
    simd = float_simd_of(target)
    channels = _padded_channels(spec, simd)
    scaled, params = spec.epilogue.pack(numbers, channels)
    packed = np.zeros((*spec.window.kernel, channels), simd.weight_dtype(spec.weight_dtype))
    packed[:, :, : spec.target.channels] = scaled[:, 0].transpose(1, 2, 0)
    return {"weights": packed, **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    simd = float_simd_of(target)
    lanes, channels = min(simd.lanes, spec.target.block), _padded_channels(spec, simd)
    pixels = min(simd.registers // 4, spec.target.width)
    with kernel_function("hconv2d") as function:
        x = source_arguments(spec, simd)
        inputs = epilogue_inputs(spec.epilogue)
        weights = argument("weights", (*spec.window.kernel, channels), simd.weight_dtype(spec.weight_dtype))
        epilogue = epilogue_arguments(spec.epilogue, simd, inputs, channels)
        y = plane_argument("y", spec.target)
        with depthwise_places(spec.target, pixels, channels // lanes, spec.target.block // lanes) as place:
            n, vector, _, _ = place
            constants = epilogue.constants(n, vector * lanes, lanes)
            _row_block(spec, x, weights, epilogue, y, constants, place, pixels)
        finish_plane(y, spec.epilogue, channels, lanes)
    return function.get()


def _row_block(
    spec: Hconv2dSpec,
    x: FloatSource,
    weights: Buffer,
    epilogue: EpilogueBuffers,
    y: PlaneBuffer,
    constants: tuple[Expr, ...],
    place: tuple[Expr, Expr, Expr, Expr],
    pixels: int,
) -> None:
    """One vector of channels of `pixels` neighbouring outputs."""
    n, vector, row, column = place
    simd = epilogue.simd
    lanes = min(simd.lanes, spec.target.block)
    block = T.floordiv(vector * lanes, spec.target.block)
    inside = T.floormod(vector * lanes, spec.target.block)
    sums = [register("float32", lanes) for _ in range(pixels)]
    for acc in sums:
        write(acc, constant(0.0, "float32", lanes), lanes)
    left, factors = let(spec.window.column(column, 0)), x.factors(n, block, inside, lanes)
    with T.serial(0, spec.window.kernel[0]) as dy:
        source = let(spec.window.row(row, dy))
        inputs: dict[int, Expr] = {}  # by column: windows of neighbouring outputs share them
        for dx in range(spec.window.kernel[1]):
            taps = let(simd.load(weights, (dy, dx, vector * lanes), lanes))
            for p, acc in enumerate(sums):
                j = p * spec.window.stride[1] + dx * spec.window.dilation[1]
                if j not in inputs:
                    inputs[j] = x.widened((n, block, source, left + j, inside), lanes, factors)
                write(acc, read(acc, lanes) + inputs[j] * taps, lanes)
    for p, acc in enumerate(sums):
        where = (n, block, row, column + p, inside)
        simd.store(y.buffer, y.index(*where), epilogue.apply(read(acc, lanes), constants, where))
