"""What a float convolution does with its sums before it rounds and stores them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.section import Section, stepped
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import (
    PlaneBuffer,
    parallel_rows,
    plane_argument,
    write_end_halo,
    write_side_halo,
)
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, lanes_of, let
from vacc_deploy.lowering.plane import Plane

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FloatEpilogue:
    """``y = activation(acc·scale·gain + bias + residual)``.

    The activation is ``clip(v if v > 0 else slope·v, low, high)``; relu is ``low=0``.

    Attributes:
        low: Lower bound of the output.
        high: Upper bound of the output.
        slope: Whether negative values are multiplied by a slope, one per channel (leaky relu, prelu).
        gain: Plane (N, C, 1, 1) of factors that are known only at run time (style demodulation).
        residual: Plane of the tensor that is added, shaped like the output.
    """

    low: float = -math.inf
    high: float = math.inf
    slope: bool = False
    gain: Plane | None = None
    residual: Plane | None = None

    def pack(self, numbers: HconvNumbers, channels: int) -> tuple[Array, dict[str, Array]]:
        """Scales weights so that float16 can hold them, and lays the constants out in argument order.

        Every output channel's weights are multiplied by a power of two that brings its largest one into
        [1, 2), so that small weights do not become float16 subnormals; the epilogue divides it out exactly.

        Args:
            numbers: The layer's; weights (C_out, …).
            channels: Length of the padded constants, at least C_out.

        Returns:
            The scaled weights, and ``scale``, ``bias`` and perhaps ``slope``, (channels,) float32.

        Raises:
            ValueError: `self.slope`, but the numbers have none.
        """
        weights, outputs = numbers.weights, len(numbers.weights)
        flat = weights.reshape(outputs, -1)
        largest = np.maximum(flat.max(axis=1), -flat.min(axis=1))
        exponent = np.where(largest > 0, np.frexp(largest)[1] - 1, 0).clip(-126, 126)  # 2^±e is a float32
        scaled = (flat * np.ldexp(1.0, -exponent).astype(flat.dtype)[:, None]).reshape(weights.shape)

        def padded(values: Array | float) -> Array:
            result = np.zeros(channels, np.float32)
            result[:outputs] = values
            return result

        bias = 0.0 if numbers.bias is None else numbers.bias
        params = {"scale": padded(np.ldexp(1.0, exponent)), "bias": padded(bias)}
        if self.slope:
            if numbers.slope is None:
                raise ValueError("the epilogue has a slope, but pack got none")
            params["slope"] = padded(numbers.slope)
        return scaled, params


@dataclass(frozen=True, slots=True)
class EpilogueBuffers:
    """The epilogue's arguments inside a function being built."""

    epilogue: FloatEpilogue
    simd: FloatSimd
    scale: Buffer
    bias: Buffer
    slope: Buffer | None
    gain: PlaneBuffer | None
    residual: PlaneBuffer | None

    def constants(self, n: Expr, channel: Expr, lanes: int) -> tuple[Expr, ...]:
        """Scale, bias and perhaps slope of `lanes` output channels from `channel` on, to be loaded once.

        The gain of picture `n` is part of the scale.
        """
        scale = self.simd.load(self.scale, (channel,), lanes)
        if self.gain is not None:
            block = self.gain.plane.block
            place = self.gain.index(n, T.floordiv(channel, block), 0, 0, T.floormod(channel, block))
            scale = scale * self.simd.load(self.gain.buffer, place, lanes)
        others = (self.bias, *([] if self.slope is None else [self.slope]))
        return (let(scale), *(let(self.simd.load(buffer, (channel,), lanes)) for buffer in others))

    def apply(self, acc: Expr, constants: Sequence[Expr], place: Sequence[Expr]) -> Expr:
        """The output values of sums `acc` at `place` (picture, block, y, x, channel in block)."""
        lanes, spec = lanes_of(acc), self.epilogue
        value = acc * constants[0] + constants[1]
        if self.residual is not None:
            value = value + self.simd.load(self.residual.buffer, self.residual.index(*place), lanes)
        if spec.slope:
            value = let(value)
            zero = constant(0.0, "float32", lanes)
            value = tirx.max(value, zero) + constants[2] * tirx.min(value, zero)
        if spec.low > -math.inf:
            value = tirx.max(value, constant(spec.low, "float32", lanes))
        if spec.high < math.inf:
            value = tirx.min(value, constant(spec.high, "float32", lanes))
        return value


@dataclass(frozen=True, slots=True)
class EpilogueInputs:
    """The planes that an epilogue reads."""

    gain: PlaneBuffer | None
    residual: PlaneBuffer | None


def epilogue_inputs(epilogue: FloatEpilogue) -> EpilogueInputs:
    """Declares ``gain`` and ``residual`` where the epilogue has them; they follow the source."""
    gain = None if epilogue.gain is None else plane_argument("gain", epilogue.gain)
    residual = None if epilogue.residual is None else plane_argument("residual", epilogue.residual)
    return EpilogueInputs(gain, residual)


def epilogue_arguments(
    epilogue: FloatEpilogue, simd: FloatSimd, inputs: EpilogueInputs, channels: int
) -> EpilogueBuffers:
    """Declares ``scale``, ``bias`` and perhaps ``slope``, (channels,) float32; they follow the weights."""
    scale = argument("scale", (channels,), "float32")
    bias = argument("bias", (channels,), "float32")
    slope = argument("slope", (channels,), "float32") if epilogue.slope else None
    return EpilogueBuffers(epilogue, simd, scale, bias, slope, inputs.gain, inputs.residual)


class FloatFinish:
    """Stores finished sums in `y`, for `DirectConvolution.emit`."""

    def __init__(self, epilogue: EpilogueBuffers, y: PlaneBuffer, lanes: int, section: Section) -> None:
        self.lanes = lanes
        self.y = stepped(y, section)
        residual = None if epilogue.residual is None else stepped(epilogue.residual, section)
        self.epilogue = replace(epilogue, residual=residual)

    def __call__(self, n: Expr, vector: Expr, pixels: list[tuple[Expr, Expr, Expr]]) -> None:
        """Applies the epilogue to one vector of output channels at several pixels (row, column, sum)."""
        per_block = self.y.plane.block // self.lanes
        constants = self.epilogue.constants(n, vector * self.lanes, self.lanes)
        for row, column, acc in pixels:
            place = (n, vector // per_block, row, column, vector % per_block * self.lanes)
            value = self.epilogue.apply(acc, constants, place)
            self.epilogue.simd.store(self.y.buffer, self.y.index(*place), value)


def finish_plane(y: PlaneBuffer, epilogue: FloatEpilogue, written: int, lanes: int) -> None:
    """Zeroes what sums leave of a plane: unused channels and the halo; opens parallel loops.

    Args:
        y: The plane.
        epilogue: What became of the sums; unused channels, whose sums are 0, may not have stayed so.
        written: Channels that were written, the unused ones among them included.
        lanes: Channels per vector.
    """
    plane = y.plane
    if not epilogue.low <= 0.0 <= epilogue.high:
        written = plane.channels
    stored = plane.blocks * plane.block
    whole = min(stored, -(-written // lanes) * lanes)
    if written < stored or plane.halo.left or plane.halo.right:
        with parallel_rows(plane.batch, plane.height) as (n, row):
            if written < stored:
                with T.serial(0, plane.width) as column:
                    for channel in (*range(written, whole), *range(whole, stored, lanes)):
                        zero = constant(0, plane.dtype, 1 if channel < whole else lanes)
                        y.store(n, channel // plane.block, row, column, channel % plane.block, zero)
            with T.serial(0, plane.blocks) as block:
                write_side_halo(y, n, block, row)
    write_end_halo(y)
