"""The code of an `Epilogue`, and the numbers that it reads: what is packed is declared in the same order."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.slopes import slopes_of
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec, QConvTranspose2dSpec
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.requantize import CodeRange, requantize, to_half
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    concat,
    constant,
    let,
    load,
    splat,
    take,
)
from vacc_deploy.lowering.plane import Plane

Array: TypeAlias = npt.NDArray[Any]

_TARGET, _SUMS, _AUGEND, _RESIDUAL = range(4)
"""Places in the packed zero points: the target's, that of the requantised sums, those of both summands."""


def pack_epilogue(
    spec: QConv2dSpec | QConvTranspose2dSpec, channels: int, numbers: QConvNumbers
) -> dict[str, Array]:
    """Packs the numbers that come after the sums, in argument order.

    Args:
        spec: The convolution.
        channels: Channels that the kernel computes, padding included.
        numbers: Its numbers.

    Raises:
        ValueError: The epilogue has a table or a residual whose numbers are missing, or slopes that its table
            does not have.
    """
    target, steps, added = spec.target, spec.epilogue, spec.epilogue.residual
    params: dict[str, Array] = {"multiplier": np.zeros(channels, np.float32)}
    params["multiplier"][: numbers.multiplier.size] = numbers.multiplier
    if target.dtype == "float16":
        return params
    limits = [steps.low - steps.zero_point, steps.high - steps.zero_point]
    zero_points = [steps.zero_point, steps.table_zero_point if steps.table != "none" else steps.zero_point]
    if steps.table == "slopes":
        limits += [-steps.table_zero_point, 255 - steps.table_zero_point]
    if added is not None:
        limits += [added.low - target.fill, added.high - target.fill]
        zero_points.append(added.source.fill)
    params["limits"] = np.array(limits, np.float32)
    params["zero_points"] = np.array([target.fill, *zero_points], np.int32)
    if steps.table != "none" and numbers.table is None:
        raise ValueError("the epilogue has a table, but none was given")
    if steps.table == "lookup":
        params["table"] = np.asarray(numbers.table)
    elif steps.table == "slopes":
        slopes = slopes_of(np.asarray(numbers.table), steps.zero_point, steps.table_zero_point)
        if slopes is None:
            raise ValueError("the epilogue's table is not two lines")
        params["slopes"] = slopes
    if added is not None:
        if numbers.residual is None:
            raise ValueError("the epilogue adds a residual, but its multipliers were not given")
        params["residual_factors"] = np.array([numbers.residual.a, numbers.residual.b], np.int32)
        params["residual_scale"] = np.array([numbers.residual.m], np.float32)
    return params


class EpilogueWriter:
    """Emits an `Epilogue` for vectors of ``simd.lanes`` output channels.

    Construct it between the kernel's weight and target arguments: it declares its own parameters there, in
    the order of `pack_epilogue`. The residual's plane is an input and comes before all parameters.
    """

    def __init__(
        self, simd: Simd, epilogue: Epilogue, target: Plane, channels: int, residual: PlaneBuffer | None
    ) -> None:
        self.simd = simd
        self.epilogue = epilogue
        self.residual = residual
        self.plane = target
        self.multiplier = argument("multiplier", (channels,), "float32")
        self.table: Buffer = None
        if target.dtype == "float16":
            return
        clamps = 1 + (epilogue.table == "slopes") + (residual is not None)
        self.limits = argument("limits", (2 * clamps,), "float32")
        self.zero_points = argument("zero_points", (3 if residual is None else 4,), "int32")
        if epilogue.table == "slopes":
            self.slopes = argument("slopes", (2,), "float32")
        elif epilogue.table == "lookup":
            self.table = argument("table", (256,), "uint8")
        if residual is not None:
            self.factors = argument("residual_factors", (2,), "int32")
            self.scale = argument("residual_scale", (1,), "float32")

    def in_lanes(self, lanes: int) -> EpilogueWriter:
        """The same steps for vectors of another length, which LLVM splits where registers are shorter."""
        other = copy(self)
        other.simd = replace(self.simd, lanes=lanes)
        return other

    def target_argument(self) -> PlaneBuffer:
        """Declares the target as the next argument; its halo gets the zero point of run time."""
        if self.plane.dtype == "float16":
            return plane_argument("target", self.plane)
        return plane_argument("target", self.plane, fill=cast(self.zero_points[_TARGET], "uint8"))

    def store(self, target: PlaneBuffer, acc: Expr, vector: Expr, n: Expr, y: Expr, x: Expr) -> None:
        """Finishes the sums of output channels ``vector · lanes …`` of one pixel and stores them."""
        lanes, block = self.simd.lanes, target.plane.block
        per_block = max(1, block // lanes)
        position = (n, vector // per_block, y, x, vector % per_block * lanes)
        if target.plane.dtype == "float16":
            value = to_half(acc, load(self.multiplier, (vector * lanes,), lanes), relu=self.epilogue.relu)
        else:
            value = cast(self._codes(target, acc, vector, position, min(lanes, block)), "uint8")
        target.store(*position, value if block >= lanes else take(value, range(block)))

    def store_pixels(self, target: PlaneBuffer, acc: Expr, n: Expr, y: Expr, x: Expr) -> None:
        """Finishes the sums of neighbouring pixels of a plane of 4-channel blocks: 4 lanes per pixel.

        The packed numbers must repeat themselves every 4 lanes.
        """
        position = (n, 0, y, x, 0)
        if target.plane.dtype == "float16":
            multiplier = load(self.multiplier, (0,), self.simd.lanes)
            value = to_half(acc, multiplier, relu=self.epilogue.relu)
        else:
            value = cast(self._codes(target, acc, 0, position, self.simd.lanes), "uint8")
        target.store(*position, value)

    def _codes(
        self, target: PlaneBuffer, acc: Expr, vector: Expr, position: tuple[Expr, ...], count: int
    ) -> Expr:
        """The final codes as int32 lanes, the first `count` of which lie next to each other in memory."""
        simd, lanes, steps = self.simd, self.simd.lanes, self.epilogue
        multiplier = load(self.multiplier, (vector * lanes,), lanes)
        codes = requantize(simd, acc, multiplier, self._range(_SUMS, clamp=0))
        if steps.table == "slopes":
            signed = let(codes - self._zero_point(_SUMS))
            above, below = (splat(self.slopes[side], lanes) for side in range(2))
            slope = T.Select(signed < constant(0, "int32", lanes), below, above)
            codes = requantize(simd, signed, slope, self._range(_AUGEND, clamp=1))
        elif steps.table == "lookup":
            codes = simd.lookup(self.table, codes)
        if self.residual is None:
            return codes
        n, block, y, x, channel = position
        other = self.residual.load(n, block, y, x, channel, lanes=count)
        if count < lanes:  # the plane's block is narrower than a vector
            other = concat([other] * (lanes // count))
        ours = (codes - self._zero_point(_AUGEND)) * splat(self.factors[0], lanes)
        theirs = (cast(other, "int32") - self._zero_point(_RESIDUAL)) * splat(self.factors[1], lanes)
        return requantize(simd, ours + theirs, splat(self.scale[0], lanes), self._range(_TARGET, clamp=-1))

    def _zero_point(self, which: int) -> Expr:
        return splat(self.zero_points[which], self.simd.lanes)

    def _range(self, which: int, *, clamp: int) -> CodeRange:
        first = 2 * clamp % int(self.limits.shape[0])
        lowest, highest = (splat(self.limits[first + i], self.simd.lanes) for i in range(2))
        return CodeRange(self._zero_point(which), lowest, highest)


def residual_argument(epilogue: Epilogue) -> PlaneBuffer | None:
    """Declares the residual's plane, if there is one, as the next argument."""
    return None if epilogue.residual is None else plane_argument("residual", epilogue.residual.source)


def fill_unused_channels(target: PlaneBuffer, epilogue: Epilogue, simd: Simd, n: Expr, y: Expr) -> None:
    """Fills the channels of row `y` past the plane's last one, as far as the sums have not done so.

    Padding channels have sums of 0, whose code is the zero point unless a table maps it or a clamp cuts it
    off.
    """
    plane, lanes = target.plane, simd.lanes
    keeps_zero = epilogue.keeps_zero(plane.fill)
    done = -(-plane.channels // lanes) * lanes if keeps_zero else plane.channels
    if done >= plane.blocks * plane.block:
        return
    block = plane.blocks - 1
    first, end = done - block * plane.block, plane.block
    with T.serial(0, plane.width) as x:
        for channel in range(first, min(end, -(-first // lanes) * lanes)):
            target.store(n, block, y, x, channel, target.filling(1))
        for channel in range(-(-first // lanes) * lanes, end, lanes):
            target.store(n, block, y, x, channel, target.filling(lanes))
