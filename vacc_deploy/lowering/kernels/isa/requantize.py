"""The epilogue of every int8 kernel: int32 sums become uint8 codes, by the rule of `runtime.reference`.

    y = clamp(round_half_even(f32(acc) · m) + z)        one multiply, one rounding

The clamp happens before the rounding here, in float: its limits are integers and rounding is monotone, so the
result is the same, it keeps the conversion to int32 in range for any accumulator, and it stands between the
multiplication and the next addition, where LLVM would otherwise contract both to an FMA.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, constant, lanes_of


@dataclass(frozen=True, slots=True)
class CodeRange:
    """The codes that a result may have, each number in every lane.

    Attributes:
        zero_point: z, the code of 0; int32.
        lowest: Smallest code − z; float32. 0 for a fused ReLU of an output that has one.
        highest: Largest code − z; float32.
    """

    zero_point: Expr
    lowest: Expr
    highest: Expr


def requantize(simd: Simd, acc: Expr, multiplier: Expr, codes: CodeRange) -> Expr:
    """Output codes, within 0…255, as int32 lanes.

    Args:
        simd: The instruction set.
        acc: int32 sums, ``simd.lanes`` of them.
        multiplier: float32, one per lane.
        codes: What the result may be.
    """
    real = tirx.min(tirx.max(cast(acc, "float32") * multiplier, codes.lowest), codes.highest)
    return simd.to_int(real) + codes.zero_point


def to_half(acc: Expr, multiplier: Expr, *, relu: bool = False) -> Expr:
    """The float16 output variant: ``f16(f32(acc) · m)``, overflow to infinity; a Relu may lie before f16."""
    value = cast(acc, "float32") * multiplier
    if relu:
        value = tirx.max(value, constant(0.0, "float32", lanes_of(value)))
    return cast(value, "float16")
