"""Integer addition and subtraction of two tensors with scales of their own.

Both operands are brought to a common fine step 2⁻ᵏ of the output's in int32, added there, and rounded
once. There is no ``a·x + b·y`` in floating point, which a compiler may contract to an FMA on one
machine and not on another, changing bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.runtime.reference.fixed_point import requantize

Array = npt.NDArray[Any]

_LARGEST_SHIFT = 62


@dataclass(frozen=True, slots=True)
class AddFactors:
    """``acc = (q_a − z_a)·a + (q_b − z_b)·b`` counts in units of ``2^-shift`` output steps."""

    a: int
    b: int
    shift: int

    @property
    def m(self) -> np.float32:
        """The float32 multiplier 2^-shift, exact."""
        return np.float32(math.ldexp(1.0, -self.shift))


def add_factors(a_scale: float, b_scale: float, output_scale: float, *, subtract: bool = False) -> AddFactors:
    """The integer factors of an addition: the finest common step for which no sum leaves int32.

    Args:
        a_scale: Step of the first operand.
        b_scale: Step of the second operand.
        output_scale: Step of the result.
        subtract: Compute a − b; the second factor becomes negative.

    Returns:
        Factors with ``255·(|a| + |b|) < 2³¹`` and the largest shift that allows it.

    Raises:
        ModelError: An operand's step is more than 2²² output steps, or not a positive finite number.
    """
    scales = (float(a_scale), float(b_scale), float(output_scale))
    if not all(math.isfinite(s) and s > 0 for s in scales):
        raise ModelError("an addition has a scale that is not positive", where="add", why=f"scales {scales}")
    ratio_a, ratio_b = scales[0] / scales[2], scales[1] / scales[2]
    for shift in range(_LARGEST_SHIFT, -1, -1):
        a = round(ratio_a * 2.0**shift)  # Python rounds ties to even
        b = round(ratio_b * 2.0**shift)
        if 255 * (a + b) < 2**31:
            return AddFactors(a, -b if subtract else b, shift)
    raise ModelError(
        "the operands of an addition are too coarse for its output",
        where="add",
        why=f"their steps are {ratio_a:.3g} and {ratio_b:.3g} output steps",
        hint="keep this layer in fp16, or calibrate again: the output's threshold is far too small",
    )


def add(
    a: Array,
    b: Array,
    factors: AddFactors,
    *,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    output_zero_point: int = 0,
    lo: int = -128,
    hi: int = 127,
) -> Array:
    """``a + b`` (or ``a − b``, see `add_factors`) of codes that broadcast against each other.

    Args:
        a: int8 or uint8 codes.
        b: int8 or uint8 codes; a quantised constant is an operand like any other.
        factors: From `add_factors`.
        a_zero_point: Code of 0.0 in `a`.
        b_zero_point: Code of 0.0 in `b`.
        output_zero_point: Code of 0.0 in the result.
        lo: Smallest code of the result.
        hi: Largest code of the result.

    Returns:
        int32 codes of the broadcast shape.
    """
    left = (a.astype(np.int32) - a_zero_point) * np.int32(factors.a)
    right = (b.astype(np.int32) - b_zero_point) * np.int32(factors.b)
    return requantize(left + right, factors.m, output_zero_point, lo, hi)
