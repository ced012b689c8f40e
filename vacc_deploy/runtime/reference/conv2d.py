"""Integer convolution: any kernel, stride, dilation, padding and group count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.exact_product import exact_product
from vacc_deploy.runtime.reference.fixed_point import as_int32

Array = npt.NDArray[Any]

_STRIP_PIXELS = 1 << 15  # output pixels unfolded at a time; bounds memory on large pictures


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Length of one spatial axis after a convolution."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def unfold(
    x: Array, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> Iterator[tuple[slice, Array]]:
    """Strips of output rows with the columns that a convolution multiplies (im2col).

    Args:
        x: (N, C, H, W), already padded.
        kernel: Kernel height and width.
        strides: Vertical and horizontal step.
        dilations: Distance between taps.

    Yields:
        The output rows, and (N, C·kH·kW, rows·W_out) in the weight's (C, kH, kW) order.
    """
    n, c, height, width = x.shape
    (kh, kw), (sh, sw), (dh, dw) = kernel, strides, dilations
    rows = output_size(height, kh, sh, dh, 0, 0)
    columns = output_size(width, kw, sw, dw, 0, 0)
    step = max(1, _STRIP_PIXELS // columns)
    for top in range(0, rows, step):
        bottom = min(rows, top + step)
        patch = np.empty((n, c, kh, kw, bottom - top, columns), x.dtype)
        for i in range(kh):
            for j in range(kw):
                first = top * sh + i * dh
                patch[:, :, i, j] = x[
                    :,
                    :,
                    first : first + (bottom - top - 1) * sh + 1 : sh,
                    j * dw : j * dw + (columns - 1) * sw + 1 : sw,
                ]
        yield slice(top, bottom), patch.reshape(n, c * kh * kw, (bottom - top) * columns)


def accumulate(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    zero_point: int = 0,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Array:
    """``Σ (q_x − z_x)·q_w + b_q``, the accumulators of a convolution.

    Args:
        x: (N, C, H, W) int8 or uint8 codes.
        weight: (O, C/groups, kH, kW) int8 codes with zero point 0.
        bias: (O,) int32 in units of s_x·s_w, or none.
        zero_point: Code of 0.0 in `x`; padding counts as 0.0.
        strides: Vertical and horizontal step.
        pads: Rows above, columns left, rows below, columns right (ONNX order).
        dilations: Distance between taps.
        groups: Channel groups.

    Returns:
        (N, O, H_out, W_out) int32.

    Raises:
        ModelError: A sum leaves int32.
    """
    top, left, bottom, right = pads
    centred = np.pad(x.astype(np.float32) - zero_point, ((0, 0), (0, 0), (top, bottom), (left, right)))
    n, c = x.shape[:2]
    outputs, _, kh, kw = weight.shape
    rows = output_size(centred.shape[2], kh, strides[0], dilations[0], 0, 0)
    columns = output_size(centred.shape[3], kw, strides[1], dilations[1], 0, 0)
    acc = np.empty((n, outputs, rows, columns), np.int64)
    depth, width = c // groups, outputs // groups
    for group in range(groups):
        kernel = weight[group * width : (group + 1) * width].reshape(width, -1)
        part = centred[:, group * depth : (group + 1) * depth]
        for strip, patch in unfold(part, (kh, kw), strides, dilations):
            product = exact_product(kernel, patch)
            acc[:, group * width : (group + 1) * width, strip] = product.reshape(n, width, -1, columns)
    if bias is not None:
        acc += bias.astype(np.int64).reshape(1, -1, 1, 1)
    return as_int32(acc, "conv2d")
