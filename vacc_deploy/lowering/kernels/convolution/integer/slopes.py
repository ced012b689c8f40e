"""Tables of codes that are two straight lines, so that they can be computed instead of looked up.

LeakyRelu, and PRelu with one slope, map codes above the zero point by one factor and codes below it by
another. A sign and a multiplication are quicker than a look-up on every instruction set:

    T[q] = clamp(round_half_even((q − z) · (q < z ? below : above)) + z_y, 0, 255)

A table holds more roundings than this formula, and sometimes they show. So the factors are not computed from
scales: they are fitted to the table and count only if they reproduce all of its entries.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.fixed_point import requantize

Array: TypeAlias = npt.NDArray[Any]


def slopes_of(table: Array, zero_point: int, output_zero_point: int) -> Array | None:
    """The factors above and below the zero point, float32 (2,); None if `table` is not two lines.

    Args:
        table: uint8 (256,), from stored code to stored code.
        zero_point: The code of 0 that goes in.
        output_zero_point: The code of 0 that comes out.
    """
    steps = np.arange(256) - zero_point
    values = table.astype(np.int64) - output_zero_point
    slopes = np.array([_slope(steps, values, table, side) for side in (steps > 0, steps < 0)], np.float32)
    if not np.isfinite(slopes).all():
        return None
    factors = np.where(steps < 0, slopes[1], slopes[0])
    made = requantize(steps.astype(np.int32), factors, output_zero_point, 0, 255, dtype=np.uint8)
    return slopes if np.array_equal(made, table) else None


def _slope(steps: Array, values: Array, table: Array, side: Array) -> float:
    """A factor that rounds to `values` on one side; NaN if there is none.

    Every entry bounds the factor from both sides, a clamped one from one side only.
    """
    if not side.any():
        return 0.0
    least = np.where(table > 0, values - 0.5, -np.inf)[side] / steps[side]
    most = np.where(table < 255, values + 0.5, np.inf)[side] / steps[side]
    low, high = np.minimum(least, most).max(), np.maximum(least, most).min()
    if low > high:
        return float("nan")
    return float((max(low, min(high, 0) - 1) + min(high, max(low, 0) + 1)) / 2)  # far from infinite bounds
