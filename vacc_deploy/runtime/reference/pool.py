"""Integer pooling: maximum on the codes, averages through an accumulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.fixed_point import requantize

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def pooled_size(size: int, kernel: int, stride: int, dilation: int, pads: Pair, ceil_mode: bool) -> int:
    """Length of one spatial axis after pooling; a window must start inside the input or its first padding."""
    span = size + pads[0] + pads[1] - dilation * (kernel - 1) - 1
    length = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (length - 1) * stride >= size + pads[0]:
        length -= 1
    return length


def _taps(
    x: Array, fill: int, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, ceil_mode: bool
) -> Iterator[Array]:
    """One (N, C, H_out, W_out) view per window position, `fill` outside the picture."""
    height, width = x.shape[2:]
    rows = pooled_size(height, kernel[0], strides[0], dilations[0], (pads[0], pads[2]), ceil_mode)
    columns = pooled_size(width, kernel[1], strides[1], dilations[1], (pads[1], pads[3]), ceil_mode)
    need_rows = (rows - 1) * strides[0] + dilations[0] * (kernel[0] - 1) + 1
    need_columns = (columns - 1) * strides[1] + dilations[1] * (kernel[1] - 1) + 1
    below = max(pads[2], need_rows - height - pads[0])
    right = max(pads[3], need_columns - width - pads[1])
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], below), (pads[1], right)), constant_values=fill)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            first, left = i * dilations[0], j * dilations[1]
            yield padded[
                :,
                :,
                first : first + (rows - 1) * strides[0] + 1 : strides[0],
                left : left + (columns - 1) * strides[1] + 1 : strides[1],
            ]


def max_pool2d(
    x: Array,
    kernel: Pair,
    *,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    dilations: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Array:
    """The largest code of every window; scale and zero point stay the input's.

    Args:
        x: (N, C, H, W) int8 or uint8 codes.
        kernel: Window height and width.
        strides: Step between windows.
        pads: Above, left, below, right; padding never wins.
        dilations: Distance between a window's taps.
        ceil_mode: Keep a last window that only partly lies inside.

    Returns:
        (N, C, H_out, W_out), dtype of `x`.
    """
    lowest = int(np.iinfo(x.dtype).min)
    result: Array | None = None
    for tap in _taps(x, lowest, kernel, strides, pads, dilations, ceil_mode):
        result = tap.copy() if result is None else np.maximum(result, tap)
    assert result is not None  # a kernel has at least one tap
    return result


def average_counts(
    size: Pair, kernel: Pair, strides: Pair, pads: Pads, *, count_include_pad: bool, ceil_mode: bool = False
) -> Array:
    """How many elements each window averages over, (H_out, W_out) int32.

    Padding counts with `count_include_pad`; what lies beyond it (ceil mode) never does.
    """
    if count_include_pad:
        inside = np.ones((1, 1, size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]), np.int32)
        taps = _taps(inside, 0, kernel, strides, (0, 0, 0, 0), (1, 1), ceil_mode)
    else:
        inside = np.ones((1, 1, *size), np.int32)
        taps = _taps(inside, 0, kernel, strides, pads, (1, 1), ceil_mode)
    counts = np.asarray(sum(tap[0, 0] for tap in taps), np.int32)
    rows, columns = (
        pooled_size(size[axis], kernel[axis], strides[axis], 1, (pads[axis], pads[axis + 2]), ceil_mode)
        for axis in range(2)
    )
    return counts[:rows, :columns]  # a padded picture would have room for one more window in ceil mode


def average_pool2d(
    x: Array,
    kernel: Pair,
    *,
    scale: float,
    output_scale: float,
    zero_point: int = 0,
    output_zero_point: int = 0,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    lo: int = -128,
    hi: int = 127,
) -> Array:
    """The mean of every window: ``acc = Σ (q − z)``, ``m = f32(s_x / f32(s_y · n))``.

    Args:
        x: (N, C, H, W) int8 or uint8 codes.
        kernel: Window height and width; the whole picture for global pooling.
        scale: Step of the input.
        output_scale: Step of the output.
        zero_point: Code of 0.0 in the input.
        output_zero_point: Code of 0.0 in the output.
        strides: Step between windows.
        pads: Above, left, below, right.
        ceil_mode: Keep a last window that only partly lies inside.
        count_include_pad: Whether padding counts in n.
        lo: Smallest code of the result.
        hi: Largest code of the result.

    Returns:
        (N, C, H_out, W_out) codes, int32.
    """
    centred = x.astype(np.int32) - zero_point
    acc: Array | None = None
    for tap in _taps(centred, 0, kernel, strides, pads, (1, 1), ceil_mode):
        acc = tap.copy() if acc is None else np.add(acc, tap)
    assert acc is not None  # a kernel has at least one tap
    size = (x.shape[2], x.shape[3])
    counts = average_counts(
        size, kernel, strides, pads, count_include_pad=count_include_pad, ceil_mode=ceil_mode
    )
    m = np.float32(scale) / (np.float32(output_scale) * counts.astype(np.float32))
    return requantize(acc, m, output_zero_point, lo, hi)
