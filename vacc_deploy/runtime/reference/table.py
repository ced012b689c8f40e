"""Unary operators on 8-bit codes: a table of 256 entries each.

``T[q] = quantize(f(dequantize(q)))``. `f` is evaluated in float64 and rounded once to float32, so that
the tables do not depend on which vectorised ``exp`` a NumPy build happens to use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.fixed_point import dequantize, quantize

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]


def relu(x: Array) -> Array:
    """``max(x, 0)``."""
    return np.maximum(x, 0)


def leaky_relu(slope: float = 0.01) -> Function:
    """ONNX ``LeakyRelu``, and ``PRelu`` with one slope."""
    factor = float(np.float32(slope))
    return lambda x: np.where(x < 0, x * factor, x)


def clip(low: float, high: float) -> Function:
    """ONNX ``Clip``."""
    return lambda x: np.clip(x, low, high)


def sigmoid(x: Array) -> Array:
    """ONNX ``Sigmoid``, without overflow for large negative `x`."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> Function:
    """ONNX ``HardSigmoid``."""
    return lambda x: np.clip(alpha * x + beta, 0, 1)


def identity(x: Array) -> Array:
    """`x` itself: the table of a requantisation."""
    return x


def build_table(
    function: Function,
    *,
    scale: float,
    zero_point: int,
    dtype: npt.DTypeLike,
    output_scale: float,
    output_zero_point: int,
    output_dtype: npt.DTypeLike,
) -> Array:
    """The 256 output codes of a unary operator, indexed by ``q − min(dtype)``.

    Args:
        function: float64 in, float64 out, element by element.
        scale: Step of the input.
        zero_point: Code of 0.0 in the input.
        dtype: ``int8`` or ``uint8``.
        output_scale: Step of the output.
        output_zero_point: Code of 0.0 in the output.
        output_dtype: ``int8`` or ``uint8``.

    Returns:
        (256,) of `output_dtype`; entry 0 belongs to −128 (int8) or 0 (uint8).
    """
    low = np.iinfo(np.dtype(dtype)).min
    x = dequantize(np.arange(low, low + 256), np.float32(scale), zero_point)
    y = np.asarray(function(x.astype(np.float64))).astype(np.float32)
    return quantize(y, np.float32(output_scale), output_zero_point, output_dtype)


def requantize_table(
    *,
    scale: float,
    zero_point: int,
    dtype: npt.DTypeLike,
    output_scale: float,
    output_zero_point: int,
    output_dtype: npt.DTypeLike,
) -> Array:
    """The table that moves codes from one scale to another, as concatenation needs."""
    return build_table(
        identity,
        scale=scale,
        zero_point=zero_point,
        dtype=dtype,
        output_scale=output_scale,
        output_zero_point=output_zero_point,
        output_dtype=output_dtype,
    )


def look_up(q: Array, table: Array) -> Array:
    """`table` applied to the codes `q`.

    Args:
        q: int8 or uint8 codes, any shape.
        table: (256,), or (C, 256) with one table per channel of an (N, C, …) tensor.

    Returns:
        Codes of the table's dtype, same shape as `q`.
    """
    index = q.astype(np.int32) - np.iinfo(q.dtype).min
    if table.ndim == 1:
        entries: Array = table[index]
        return entries
    channel = np.arange(table.shape[0]).reshape(1, -1, *([1] * (q.ndim - 2)))
    entries = table[channel, index]
    return entries
