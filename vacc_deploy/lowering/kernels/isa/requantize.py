"""The epilogue of every int8 kernel: int32 sums become uint8 codes, by the rule of `runtime.reference`.

    y = clamp(round_half_even(f32(acc) · m) + z)        one multiply, one rounding

The clamp happens before the rounding here, in float: its limits are integers and rounding is monotone, so the
result is the same, it keeps the conversion to int32 in range for any accumulator, and it stands between the
multiplication and the next addition, where LLVM would otherwise contract both to an FMA.
"""

from __future__ import annotations

from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, clamp, constant


def requantize(
    simd: Simd, acc: Expr, multiplier: Expr, zero_point: int, *, low: int = 0, high: int = 255
) -> Expr:
    """Output codes as int32 lanes within [low, high].

    Args:
        simd: The instruction set.
        acc: int32 sums, ``simd.lanes`` of them.
        multiplier: float32, one per lane.
        zero_point: z, the code of 0.
        low: Smallest code; the zero point for a fused ReLU of an output that has one.
        high: Largest code.
    """
    real = clamp(cast(acc, "float32") * multiplier, low - zero_point, high - zero_point)
    return simd.to_int(real) + constant(zero_point, "int32", simd.lanes)


def to_codes(values: Expr) -> Expr:
    """Codes within 0…255, in int32 lanes, as uint8 lanes."""
    return cast(values, "uint8")


def to_half(acc: Expr, multiplier: Expr) -> Expr:
    """The float16 output variant: ``f16(f32(acc) · m)``, overflow to infinity."""
    return cast(cast(acc, "float32") * multiplier, "float16")
