"""Bounds of an int8 convolution's sums, and biases that make zero points cost nothing."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError

Array: TypeAlias = npt.NDArray[Any]


def largest_sum(weights: Array, bias: Array, zero_point: int) -> int:
    """The largest ``|Σ (q − z)·w + b|`` that any uint8 input can reach, over all output channels.

    Args:
        weights: int8 (C_out, …).
        bias: int32 (C_out,).
        zero_point: z of the input.
    """
    flat = weights.reshape(weights.shape[0], -1)
    positive = np.maximum(flat, 0).sum(1, dtype=np.int64)
    negative = flat.sum(1, dtype=np.int64) - positive
    up, down = 255 - zero_point, -zero_point
    high = positive * up + negative * down + bias
    low = positive * down + negative * up + bias
    return int(max(np.abs(high).max(initial=0), np.abs(low).max(initial=0)))


def check_sums(weights: Array, bias: Array, zero_point: int, *, limit: int = 2**31) -> None:
    """Refuses weights whose sums could leave int32.

    Raises:
        ModelError: Some input makes a sum of `limit` or more.
    """
    largest = largest_sum(weights, bias, zero_point)
    if largest >= limit:
        raise ModelError(
            "a convolution's sums can overflow int32",
            why=f"inputs exist that add up to {largest}, the limit is {limit - 1}",
            hint="exclude this layer from quantisation (exclude_layers), or give it larger scales",
        )


def fold_zero_point(weights: Array, bias: Array, zero_point: int) -> Array:
    """The bias for sums of raw codes: ``Σ q·w + (b − z·Σ w) = Σ (q − z)·w + b``, modulo 2^32."""
    total = weights.reshape(weights.shape[0], -1).astype(np.int64).sum(1)
    folded = bias.astype(np.int64) - zero_point * total
    wrapped: Array = (folded & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return wrapped


def pad_channels(array: Array, axis: int, channels: int) -> Array:
    """`array` with zeros appended along `axis` up to `channels`."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, channels - array.shape[axis])
    return np.pad(array, widths)
