"""Codes in and out of wide vectors, by the one rule of `runtime.reference`.

    y = clamp(round_half_even(real) + z)

Kernels hand over ``real`` as one float32 product or quotient, so there is exactly one rounding. The clamp
comes first, in float: its limits are integers and rounding is monotone, so the result is the same; the
conversion stays in range; and no addition follows a multiplication, which LLVM would contract to an FMA.
"""

from __future__ import annotations

from vacc_deploy.lowering.kernels.isa.vector import (
    Expr,
    cast,
    clamp,
    constant,
    intrinsic,
    lanes_of,
    load,
    type_of,
)
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane


def load_centred(source: FlatPlane, at: Expr, lanes: int) -> Expr:
    """``q − z`` of the codes at `at`, as int32 lanes."""
    codes = cast(load(source.buffer, (at,), lanes), "int32")
    return codes - constant(source.plane.fill, "int32", lanes) if source.plane.fill else codes


def round_to_int(real: Expr) -> Expr:
    """Float32 lanes rounded to int32, ties to even; every lane must be within the int32 range.

    ``llvm.lrint`` is ``cvtps2dq`` on every x86 level, from SSE2 on.
    """
    return intrinsic(type_of("int32", lanes_of(real)), "llvm.lrint", real)


def to_codes(real: Expr, zero_point: int, low: int = 0, high: int = 255) -> Expr:
    """Reals in units of the output's scale, as uint8 lanes within [low, high]."""
    lanes = lanes_of(real)
    steps = round_to_int(clamp(real, low - zero_point, high - zero_point))
    return cast(steps + constant(zero_point, "int32", lanes), "uint8")
