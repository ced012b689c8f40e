"""Integer multiplication of two tensors, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.fixed_point import Real, requantize

Array = npt.NDArray[Any]


def mul(
    a: Array,
    b: Array,
    m: Real,
    *,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    output_zero_point: int = 0,
    lo: int = -128,
    hi: int = 127,
) -> Array:
    """``clamp(round((q_a − z_a)(q_b − z_b)·m) + z_y)`` with ``m = f32(f32(s_a·s_b) / s_y)``.

    Args:
        a: int8 or uint8 codes.
        b: int8 or uint8 codes that broadcast against `a`.
        m: float32, from `fixed_point.multiplier(s_a, s_b, s_y)`.
        a_zero_point: Code of 0.0 in `a`.
        b_zero_point: Code of 0.0 in `b`.
        output_zero_point: Code of 0.0 in the result.
        lo: Smallest code of the result.
        hi: Largest code of the result.

    Returns:
        int32 codes of the broadcast shape.
    """
    acc = (a.astype(np.int32) - a_zero_point) * (b.astype(np.int32) - b_zero_point)
    return requantize(acc, m, output_zero_point, lo, hi)
