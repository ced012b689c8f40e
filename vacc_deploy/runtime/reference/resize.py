"""Integer resizing: nearest neighbour copies codes, bilinear weighs them in fixed point.

Bilinear weights are 11-bit integers per axis that sum to exactly 2¹¹, so a flat area stays flat and no
accumulator leaves int32: 255·2²² < 2³¹. The multiplier is ``f32(s_x / s_y)·2⁻²²``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.fixed_point import requantize

Array = npt.NDArray[Any]
Coordinates = Literal["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
NearestMode = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]

WEIGHT_BITS = 11


def source_coordinates(
    size: int, out_size: int, scale: float, mode: Coordinates, dtype: type[np.floating[Any]] = np.float64
) -> Array:
    """Where each output index lies on the input axis, (out_size,), by ONNX `Resize`'s formulas in `dtype`."""
    index, half, step = np.arange(out_size, dtype=dtype), dtype(0.5), dtype(scale)
    coordinates: Array = (index + half) / step - half
    if mode == "asymmetric":
        coordinates = index / step
    elif mode == "align_corners":
        coordinates = index * dtype(size - 1) / dtype(out_size - 1) if out_size > 1 else np.zeros(1)
    elif mode == "pytorch_half_pixel" and out_size == 1:
        coordinates = np.zeros(1)
    return coordinates


def nearest_indices(
    size: int, out_size: int, scale: float, mode: Coordinates, nearest: NearestMode = "round_prefer_floor"
) -> Array:
    """The input index that each output index copies, (out_size,) int64.

    Computed in float32, as PyTorch and ONNX Runtime do: enlarged 1.7 times, pixel 17 is a copy of pixel 10,
    where exact arithmetic would find it a trace short of 10, as 1.7 itself is stored a trace too large.
    """
    x = source_coordinates(size, out_size, scale, mode, np.float32)
    if nearest == "floor":
        index = np.floor(x)
    elif nearest == "ceil":
        index = np.ceil(x)
    elif nearest == "round_prefer_floor":
        index = np.ceil(x - 0.5)
    else:
        index = np.floor(x + 0.5)
    return np.clip(index, 0, size - 1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class LinearTaps:
    """Two input indices per output index of one axis, and the second one's weight in 2⁻¹¹."""

    first: Array  # (out_size,) int64
    second: Array  # (out_size,) int64
    weight: Array  # (out_size,) int32 in [0, 2048]; the first index weighs 2048 − weight


def linear_taps(size: int, out_size: int, scale: float, mode: Coordinates) -> LinearTaps:
    """The taps of bilinear interpolation along one axis; coordinates outside are clamped to the border."""
    x = np.clip(source_coordinates(size, out_size, scale, mode), 0, size - 1)
    first = np.floor(x).astype(np.int64)
    weight = np.rint((x - first) * (1 << WEIGHT_BITS)).astype(np.int32)
    return LinearTaps(first, np.minimum(first + 1, size - 1), weight)


def resize_nearest(x: Array, rows: Array, columns: Array) -> Array:
    """Codes copied from `rows` and `columns` (`nearest_indices`) of an (N, C, H, W) tensor."""
    result: Array = x[:, :, rows[:, None], columns[None, :]]
    return result


def resize_bilinear(
    x: Array,
    rows: LinearTaps,
    columns: LinearTaps,
    *,
    scale: float,
    output_scale: float,
    zero_point: int = 0,
    output_zero_point: int = 0,
    lo: int = -128,
    hi: int = 127,
) -> Array:
    """Bilinear interpolation of codes.

    Args:
        x: (N, C, H, W) int8 or uint8 codes.
        rows: Taps of the vertical axis.
        columns: Taps of the horizontal axis.
        scale: Step of the input.
        output_scale: Step of the output.
        zero_point: Code of 0.0 in the input.
        output_zero_point: Code of 0.0 in the output.
        lo: Smallest code of the result.
        hi: Largest code of the result.

    Returns:
        (N, C, H_out, W_out) codes, int32.
    """
    centred = x.astype(np.int32) - zero_point
    one = np.int32(1 << WEIGHT_BITS)
    down = rows.weight[:, None]
    acc = centred[:, :, rows.first] * (one - down) + centred[:, :, rows.second] * down
    acc = acc[..., columns.first] * (one - columns.weight) + acc[..., columns.second] * columns.weight
    m = np.float32(scale) / np.float32(output_scale) * np.float32(2.0 ** (-2 * WEIGHT_BITS))
    return requantize(acc, m, output_zero_point, lo, hi)
