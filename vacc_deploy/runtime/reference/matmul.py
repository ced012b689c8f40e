"""Integer matrix product: MatMul and Gemm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.exact_product import exact_product
from vacc_deploy.runtime.reference.fixed_point import as_int32

Array = npt.NDArray[Any]


def accumulate(
    a: Array, b: Array, bias: Array | None = None, *, zero_point: int = 0, b_zero_point: int = 0
) -> Array:
    """``Σ (q_a − z_a)·(q_b − z_b) + bias``.

    Args:
        a: (…, M, K) int8 or uint8 codes.
        b: (…, K, N) codes: int8 weights with zero point 0, or another activation.
        bias: (N,) int32 in units of s_a·s_b, or none.
        zero_point: Code of 0.0 in `a`.
        b_zero_point: Code of 0.0 in `b`.

    Returns:
        (…, M, N) int32.

    Raises:
        ModelError: A sum leaves int32.
    """
    acc = exact_product(a.astype(np.int32) - zero_point, b.astype(np.int32) - b_zero_point)
    if bias is not None:
        acc = acc + bias.astype(np.int64)
    return as_int32(acc, "matmul")
