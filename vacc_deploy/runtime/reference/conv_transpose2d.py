"""Integer transposed convolution: every input pixel scatters its kernel into the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.exact_product import exact_product
from vacc_deploy.runtime.reference.fixed_point import as_int32

Array = npt.NDArray[Any]


def accumulate(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    zero_point: int = 0,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    output_padding: tuple[int, int] = (0, 0),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Array:
    """``Σ (q_x − z_x)·q_w + b_q``, the accumulators of a transposed convolution.

    Args:
        x: (N, C, H, W) int8 or uint8 codes.
        weight: (C, O/groups, kH, kW) int8 codes with zero point 0; the output channel is axis 1.
        bias: (O,) int32 in units of s_x·s_w, or none.
        zero_point: Code of 0.0 in `x`.
        strides: Distance between the kernels of neighbouring input pixels.
        pads: Output rows and columns cut off: above, left, below, right (ONNX order).
        output_padding: Extra rows below and columns right.
        dilations: Distance between taps.
        groups: Channel groups.

    Returns:
        (N, O, H_out, W_out) int32 with H_out = (H−1)·stride + dilation·(kH−1) + 1 + extra − pads.

    Raises:
        ModelError: A sum leaves int32.
    """
    n, c, height, width = x.shape
    _, per_group, kh, kw = weight.shape
    (sh, sw), (dh, dw), (top, left, bottom, right) = strides, dilations, pads
    full_height = (height - 1) * sh + dh * (kh - 1) + 1 + output_padding[0]
    full_width = (width - 1) * sw + dw * (kw - 1) + 1 + output_padding[1]
    acc = np.zeros((n, per_group * groups, full_height, full_width), np.int64)
    flat = (x.astype(np.float32) - zero_point).reshape(n, c, height * width)
    depth = c // groups
    for group in range(groups):
        inputs = slice(group * depth, (group + 1) * depth)
        outputs = slice(group * per_group, (group + 1) * per_group)
        for i in range(kh):
            for j in range(kw):
                tap = weight[inputs, :, i, j].T  # (O/groups, C/groups)
                product = exact_product(tap, flat[:, inputs]).reshape(n, per_group, height, width)
                rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
                columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
                acc[:, outputs, rows, columns] += product
    acc = acc[:, :, top : full_height - bottom, left : full_width - right]
    if bias is not None:
        acc = acc + bias.astype(np.int64).reshape(1, -1, 1, 1)
    return as_int32(acc, "conv_transpose2d")
