"""Convolutions in float64, with the size of what they sum, to bound the error of float kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Sums = tuple[np.ndarray, np.ndarray]  # exact values, and the sums of the terms' magnitudes


def conv2d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
) -> Sums:
    """An ordinary convolution; `pads` is (top, left, bottom, right)."""
    top, left, bottom, right = pads
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    kh, kw = weights.shape[2:]
    rows = (padded.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (padded.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1

    def total(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        y = np.zeros((len(x), len(w), rows, columns))
        depth, width = w.shape[1], len(w) // groups
        for g in range(groups):
            part = x[:, g * depth : (g + 1) * depth]
            for i in range(kh):
                for j in range(kw):
                    above, before = i * dilation[0], j * dilation[1]
                    window = part[:, :, above:, before:][:, :, :: stride[0], :: stride[1]]
                    taps = w[g * width : (g + 1) * width, :, i, j]
                    y[:, g * width : (g + 1) * width] += np.einsum(
                        "oc,nchw->nohw", taps, window[:, :, :rows, :columns]
                    )
        return y + b.reshape(1, -1, 1, 1)

    return _with_magnitude(total, padded, weights, bias)


def conv_transpose2d(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    output_padding: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> Sums:
    """A transposed convolution as ONNX defines it: every input adds its kernel to the output."""
    (n, c, h, w), (_, width, kh, kw) = x.shape, weights.shape
    full_h = (h - 1) * stride[0] + dilation[0] * (kh - 1) + 1 + output_padding[0]
    full_w = (w - 1) * stride[1] + dilation[1] * (kw - 1) + 1 + output_padding[1]

    def total(x: np.ndarray, weights: np.ndarray, b: np.ndarray) -> np.ndarray:
        y = np.zeros((n, width * groups, full_h, full_w))
        depth = c // groups
        for g in range(groups):
            ins, outs = slice(g * depth, (g + 1) * depth), slice(g * width, (g + 1) * width)
            for i in range(kh):
                for j in range(kw):
                    above, before = i * dilation[0], j * dilation[1]
                    rows = slice(above, above + (h - 1) * stride[0] + 1, stride[0])
                    columns = slice(before, before + (w - 1) * stride[1] + 1, stride[1])
                    y[:, outs, rows, columns] += np.einsum("co,nchw->nohw", weights[ins, :, i, j], x[:, ins])
        top, left, bottom, right = pads
        return y[:, :, top : full_h - bottom, left : full_w - right] + b.reshape(1, -1, 1, 1)

    return _with_magnitude(total, x.astype(np.float64), weights, bias)


def assert_rounded_once(got: np.ndarray, sums: Sums, *, bits: int = 20) -> None:
    """`got` is `sums` rounded once to its type; float32 sums may err by 2^-bits of their terms."""
    exact, magnitude = sums
    step = np.spacing(np.abs(exact).astype(got.dtype)).astype(np.float64)
    bound = 0.5 * step + magnitude * 2.0**-bits
    error = np.abs(got.astype(np.float64) - exact)
    worst = np.unravel_index(np.argmax(error / bound), error.shape)
    assert (error <= bound).all(), f"off by {error[worst]} at {worst}, where {bound[worst]} is allowed"


def _with_magnitude(
    total: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
) -> Sums:
    w, b = weights.astype(np.float64), bias.astype(np.float64)
    return total(x, w, b), total(np.abs(x), np.abs(w), np.abs(b))
