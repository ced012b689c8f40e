"""The one place where numbers are rounded: quantise, dequantise, requantise.

Everything that turns a real number into an integer code, and every int32 accumulator into an 8-bit
output, goes through here. The formulas are ONNX's (`QuantizeLinear`, `DequantizeLinear`, `QLinearConv`
as ONNX Runtime computes it):

    q   = saturate(round(x / s) + z)              x / s in float32
    x   = (q − z) · s                             float32
    m_c = f32(f32(s_x · s_w[c]) / s_y)            float32, in this order
    y   = clamp(round(f32(acc) · m_c) + z_y)      one multiply, one rounding

Ties go to even. The other two rules exist because an accelerator that requantises by shifting meets
ties in every layer, and a person with a card may want to find out which rule its silicon uses.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError

Array = npt.NDArray[Any]
Real = Array | float | np.floating[Any]
Rounding = Literal["half_even", "half_up", "half_away"]

ROUNDINGS: tuple[Rounding, ...] = ("half_even", "half_up", "half_away")


def round_to_integer(x: Array, rounding: Rounding = "half_even") -> Array:
    """The nearest integers to `x`, still in floating point; `rounding` says where ties go.

    Args:
        x: float32 or float64, any shape.
        rounding: ``half_even`` to the even neighbour (IEEE 754, NumPy), ``half_up`` toward +∞ (Relay's
            UPWARD), ``half_away`` away from zero (C's ``roundf``).

    Returns:
        Same shape and dtype as `x`. Computed from floor and remainder, never as ``floor(x + 0.5)``,
        which is wrong for the largest float below 0.5.
    """
    if rounding == "half_even":
        rounded: Array = np.rint(x)
        return rounded
    below = np.floor(x)
    remainder = x - below  # exact: both are representable and closer than a factor of two
    up = remainder >= 0.5 if rounding == "half_up" else (remainder > 0.5) | ((remainder == 0.5) & (x > 0))
    rounded = below + up.astype(x.dtype)
    return rounded


def shift_right(acc: Array, shift: int, rounding: Rounding = "half_even") -> Array:
    """``acc / 2^shift`` rounded to an integer, all in integers: the requantisation of power-of-two scales.

    Args:
        acc: int32 or int64, any shape.
        shift: 0 to 62 bits.
        rounding: Where ties go, as in `round_to_integer`.

    Returns:
        int64, same shape.
    """
    wide = acc.astype(np.int64)
    if shift == 0:
        return wide
    below = wide >> shift
    remainder = wide - (below << shift)
    half = np.int64(1) << (shift - 1)
    if rounding == "half_even":
        up = (remainder > half) | ((remainder == half) & (below & 1 == 1))
    elif rounding == "half_up":
        up = remainder >= half
    else:
        up = (remainder > half) | ((remainder == half) & (wide >= 0))
    rounded: Array = below + up
    return rounded


def quantize(
    x: Array,
    scale: Real,
    zero_point: Array | int,
    dtype: npt.DTypeLike,
    *,
    lo: int | None = None,
    hi: int | None = None,
) -> Array:
    """ONNX ``QuantizeLinear``: ``saturate(rne(x / scale) + zero_point)``.

    Args:
        x: Real values; converted to float32 first.
        scale: Scalar or array that broadcasts against `x`.
        zero_point: Likewise.
        dtype: ``int8``, ``uint8`` or ``int32``.
        lo: Smallest code, the dtype's by default.
        hi: Largest code, likewise.

    Returns:
        Codes of `dtype`, same shape as `x`. NaN is refused by the callers, not here.
    """
    info = np.iinfo(np.dtype(dtype))
    low, high = (info.min if lo is None else lo), (info.max if hi is None else hi)
    steps = np.rint(x.astype(np.float32) / np.asarray(scale, np.float32)).astype(np.float64)
    return np.clip(steps + np.asarray(zero_point, np.float64), low, high).astype(dtype)


def dequantize(q: Array, scale: Real, zero_point: Array | int = 0) -> Array:
    """ONNX ``DequantizeLinear``: ``(q − zero_point) · scale`` in float32."""
    steps = q.astype(np.int32) - np.asarray(zero_point, np.int32)
    result: Array = steps.astype(np.float32) * np.asarray(scale, np.float32)
    return result


def round_trip(x: Array, scale: float | np.float32, zero_point: int, dtype: npt.DTypeLike) -> Array:
    """``dequantize(quantize(x))`` of a float32 tensor without making the codes, in a tenth of the time.

    All steps are whole numbers of at most 9 bits until the last product, so float32 holds them exactly; only
    a zero may come out as −0.
    """
    info = np.iinfo(np.dtype(dtype))
    steps: Array = x / np.float32(scale)
    np.rint(steps, out=steps)
    np.clip(steps, info.min - zero_point, info.max - zero_point, out=steps)
    return np.multiply(steps, np.float32(scale), out=steps)


def multiplier(input_scale: Real, weight_scale: Real, output_scale: Real) -> Array:
    """``f32(f32(s_x · s_w) / s_y)``: what an accumulator is multiplied with, scalar or per channel."""
    product = np.asarray(input_scale, np.float32) * np.asarray(weight_scale, np.float32)
    return np.asarray(product / np.asarray(output_scale, np.float32), np.float32)


def requantize(
    acc: Array,
    m: Real,
    zero_point: int = 0,
    lo: int = -128,
    hi: int = 127,
    rounding: Rounding = "half_even",
    dtype: npt.DTypeLike = np.int32,
) -> Array:
    """``clamp(round(f32(acc) · m) + zero_point, lo, hi)``: accumulators to output codes.

    Args:
        acc: int32, any shape.
        m: float32 multiplier that broadcasts against `acc` (see `per_channel`).
        zero_point: Code of 0.0 in the output.
        lo: Smallest code; a fused ReLU raises it to `zero_point`.
        hi: Largest code; a fused clip lowers it.
        rounding: Where ties go.
        dtype: Type of the result; values fit it when `lo` and `hi` do.

    Returns:
        Codes, same shape as `acc`.
    """
    scaled = acc.astype(np.float32) * np.asarray(m, np.float32)
    steps = round_to_integer(scaled, rounding)
    # Clamped in float before the addition, so that no product can leave the integers.
    return (np.clip(steps, lo - zero_point, hi - zero_point).astype(np.int32) + zero_point).astype(dtype)


def to_half(acc: Array, scale: Real) -> Array:
    """``f16(f32(acc) · scale)``: an accumulator that leaves the integer section; returns float16."""
    with np.errstate(over="ignore"):
        return (acc.astype(np.float32) * np.asarray(scale, np.float32)).astype(np.float16)


def per_channel(values: Real, rank: int, axis: int = 1) -> Array:
    """A (C,) vector reshaped to broadcast along `axis` of a rank-`rank` tensor; scalars stay scalars."""
    array = np.asarray(values)
    if array.size == 1:
        return array.reshape(())
    shape = [1] * rank
    shape[axis] = array.size
    return array.reshape(shape)


def as_int32(acc: Array, where: str) -> Array:
    """`acc` (exact integers in int64 or float64) as int32.

    Raises:
        ModelError: An accumulator leaves int32; hardware would wrap around silently.
    """
    if acc.size and (acc.max() >= 2**31 or acc.min() < -(2**31)):
        raise ModelError(
            "an int32 accumulator overflows",
            where=where,
            why=f"it ranges over [{int(acc.min())}, {int(acc.max())}]",
            hint="keep this layer in fp16",
        )
    return acc.astype(np.int32)
