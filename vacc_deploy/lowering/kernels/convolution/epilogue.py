"""What becomes of a convolution's int32 sums: requantise, activate, add a residual, store.

    q = clamp(round_half_even(f32(acc) · m) + z, low, high)                 uint8 target
    q = table[q]                                                            where a table is fused
    y = clamp(round_half_even(f32((q − z)·a + (r − z_r)·b) · 2^-k) + z_y)   where a residual r is fused
    y = f16(f32(acc) · m)                                                   float16 target

Each step is exactly the operator of `runtime.reference` that it replaces, so fusing never changes a byte.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.requantize import requantize, to_codes, to_half
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    clamp,
    concat,
    constant,
    literal,
    load,
    splat,
    take,
)
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.runtime.reference.add import AddFactors

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Residual:
    """A second operand that is added to the result.

    Attributes:
        source: uint8 plane of the operand, same picture and channels as the target.
        low: Smallest code of the sum.
        high: Largest code of the sum.
    """

    source: Plane
    low: int = 0
    high: int = 255


@dataclass(frozen=True, slots=True)
class Epilogue:
    """The steps after the sum; the numbers they work with are packed by `pack_epilogue`.

    Attributes:
        zero_point: Code of 0 of the requantised result; the target's own unless a residual follows.
        low: Smallest code of the requantised result (the zero point where a ReLU is fused).
        high: Largest code.
        table: ``shared`` maps every code through one 256-entry table, ``per_channel`` through its channel's.
        residual: Adds another plane afterwards. The table's output, if any, has `table_zero_point`.
        table_zero_point: Code of 0 after the table; equals `zero_point` without one.
    """

    zero_point: int = 0
    low: int = 0
    high: int = 255
    table: Literal["none", "shared", "per_channel"] = "none"
    table_zero_point: int = 0
    residual: Residual | None = None


def pack_epilogue(
    epilogue: Epilogue,
    channels: int,
    multiplier: Array,
    table: Array | None = None,
    residual: AddFactors | None = None,
) -> dict[str, Array]:
    """Packs the epilogue's numbers, in argument order.

    Args:
        epilogue: The steps.
        channels: Channels that the kernel computes, padding included.
        multiplier: float32 (C,), ``m_c``.
        table: uint8 (256,) for ``shared``, (C, 256) for ``per_channel``.
        residual: The factors of the fused addition, the convolution being its first operand.
    """
    params: dict[str, Array] = {"multiplier": np.zeros(channels, np.float32)}
    params["multiplier"][: multiplier.size] = multiplier
    if epilogue.table != "none":
        if table is None:
            raise ValueError("the epilogue has a table, but none was given")
        rows = np.zeros((channels if epilogue.table == "per_channel" else 1, 256), np.uint8)
        rows[: table.reshape(-1, 256).shape[0]] = table.reshape(-1, 256)
        params["table"] = rows.reshape(-1)
    if epilogue.residual is not None:
        if residual is None:
            raise ValueError("the epilogue adds a residual, but its multipliers were not given")
        params["residual_factors"] = np.array([residual.a, residual.b], np.int32)
        params["residual_scale"] = np.array([residual.m], np.float32)
    return params


class EpilogueWriter:
    """Emits an `Epilogue` for vectors of ``simd.lanes`` output channels.

    Construct it between the kernel's weight and target arguments: it declares its own parameters there, in
    the order of `pack_epilogue`. The residual's plane is an input and comes before all parameters.
    """

    def __init__(self, simd: Simd, epilogue: Epilogue, channels: int, residual: PlaneBuffer | None) -> None:
        self.simd = simd
        self.epilogue = epilogue
        self.residual = residual
        self.multiplier = argument("multiplier", (channels,), "float32")
        self.table: Buffer = None
        if epilogue.table != "none":
            rows = channels if epilogue.table == "per_channel" else 1
            self.table = argument("table", (rows * 256,), "uint8")
        if residual is not None:
            self.factors = argument("residual_factors", (2,), "int32")
            self.scale = argument("residual_scale", (1,), "float32")

    def in_lanes(self, lanes: int) -> EpilogueWriter:
        """The same steps for vectors of another length, which LLVM splits where registers are shorter."""
        other = copy(self)
        other.simd = replace(self.simd, lanes=lanes)
        return other

    def store(self, target: PlaneBuffer, acc: Expr, vector: Expr, n: Expr, y: Expr, x: Expr) -> None:
        """Finishes the sums of output channels ``vector · lanes …`` of one pixel and stores them."""
        lanes, block = self.simd.lanes, target.plane.block
        per_block = max(1, block // lanes)
        position = (n, vector // per_block, y, x, vector % per_block * lanes)
        if target.plane.dtype == "float16":
            value = to_half(acc, load(self.multiplier, (vector * lanes,), lanes))
        else:
            value = to_codes(self._codes(target, acc, vector, position, min(lanes, block)))
        target.store(*position, value if block >= lanes else take(value, range(block)))

    def store_pixels(self, target: PlaneBuffer, acc: Expr, n: Expr, y: Expr, x: Expr) -> None:
        """Finishes the sums of neighbouring pixels of a plane of 4-channel blocks: 4 lanes per pixel.

        The packed numbers must repeat themselves every 4 lanes.
        """
        position = (n, 0, y, x, 0)
        if target.plane.dtype == "float16":
            value = to_half(acc, load(self.multiplier, (0,), self.simd.lanes))
        else:
            value = to_codes(self._codes(target, acc, 0, position, self.simd.lanes))
        target.store(*position, value)

    def _codes(
        self, target: PlaneBuffer, acc: Expr, vector: Expr, position: tuple[Expr, ...], count: int
    ) -> Expr:
        """The final codes as int32 lanes, the first `count` of which lie next to each other in memory."""
        simd, lanes, steps = self.simd, self.simd.lanes, self.epilogue
        multiplier = load(self.multiplier, (vector * lanes,), lanes)
        codes = requantize(simd, acc, multiplier, steps.zero_point, low=steps.low, high=steps.high)
        zero_point = steps.zero_point
        if steps.table == "shared":
            codes, zero_point = simd.lookup(self.table, codes), steps.table_zero_point
        elif steps.table == "per_channel":
            rows = splat(vector * (lanes * 256), lanes) + literal([lane * 256 for lane in range(lanes)])
            codes, zero_point = cast(self.table[(rows + codes,)], "int32"), steps.table_zero_point
        if self.residual is None or steps.residual is None:
            return codes
        n, block, y, x, channel = position
        other = self.residual.load(n, block, y, x, channel, lanes=count)
        if count < lanes:  # the plane's block is narrower than a vector
            other = concat([other] * (lanes // count))
        ours = (codes - constant(zero_point, "int32", lanes)) * splat(self.factors[0], lanes)
        fill = self.residual.plane.fill
        theirs = (cast(other, "int32") - constant(fill, "int32", lanes)) * splat(self.factors[1], lanes)
        limits = steps.residual
        real = clamp(
            cast(ours + theirs, "float32") * splat(self.scale[0], lanes),
            limits.low - target.plane.fill,
            limits.high - target.plane.fill,
        )
        return simd.to_int(real) + constant(target.plane.fill, "int32", lanes)


def residual_argument(epilogue: Epilogue) -> PlaneBuffer | None:
    """Declares the residual's plane, if there is one, as the next argument."""
    return None if epilogue.residual is None else plane_argument("residual", epilogue.residual.source)


def fill_unused_channels(target: PlaneBuffer, epilogue: Epilogue, simd: Simd, n: Expr, y: Expr) -> None:
    """Fills the channels of row `y` past the plane's last one, as far as the sums have not done so.

    Padding channels have sums of 0, whose code is the zero point unless a table maps it or a clamp cuts it
    off.
    """
    plane, lanes = target.plane, simd.lanes
    keeps_zero = epilogue.table == "none" and epilogue.low <= epilogue.zero_point <= epilogue.high
    if epilogue.residual is not None:
        keeps_zero = keeps_zero and epilogue.residual.low <= plane.fill <= epilogue.residual.high
    done = -(-plane.channels // lanes) * lanes if keeps_zero else plane.channels
    if done >= plane.blocks * plane.block:
        return
    block = plane.blocks - 1
    first, end = done - block * plane.block, plane.block
    with T.serial(0, plane.width) as x:
        for channel in range(first, min(end, -(-first // lanes) * lanes)):
            target.store(n, block, y, x, channel, constant(plane.fill, plane.dtype))
        for channel in range(-(-first // lanes) * lanes, end, lanes):
            target.store(n, block, y, x, channel, constant(plane.fill, plane.dtype, lanes))
