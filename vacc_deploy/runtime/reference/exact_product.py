"""Exact integer matrix products at floating-point speed.

A float32 product of 8-bit codes is exact while every partial sum stays below 2²⁴: with |q − z| ≤ 255
and |w| ≤ 255 that is K ≤ 258 terms. Longer sums are split into blocks of K and added in int64. All
partial sums are exact integers, so neither the BLAS library, its thread count, the order of
summation nor FMA can change them; a test holds this at the limit with saturated inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EXACT_TERMS = 2**24 // (255 * 255)  # 258


def exact_product(a: Array, b: Array) -> Array:
    """``a @ b`` of integer-valued matrices with |elements| ≤ 255, exactly.

    Args:
        a: (…, M, K), any dtype.
        b: (…, K, N), any dtype.

    Returns:
        (…, M, N) int64.
    """
    terms = a.shape[-1]
    left, right = a.astype(np.float32), b.astype(np.float32)
    total: Array | None = None
    for start in range(0, terms, EXACT_TERMS):
        block = left[..., start : start + EXACT_TERMS] @ right[..., start : start + EXACT_TERMS, :]
        part = block.astype(np.int64)
        total = part if total is None else total + part
    if total is None:  # K = 0
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return np.zeros((*shape, a.shape[-2], b.shape[-1]), np.int64)
    return total
