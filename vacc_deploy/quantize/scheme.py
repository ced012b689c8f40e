"""From a clipping range to a scale and a zero point.

* ``symmetric``: int8, zero point 0, ``scale = T / 127``, codes −128 … 127. What the card does. (TVM's
  Relay divides by 128 and clips at ±127; T/127 reaches T itself and costs 0.07 dB of resolution.) A range
  that starts at 0 needs no sign: uint8, zero point 0, ``scale = T / 255`` (`relu_tensors`).
* ``asymmetric``: uint8, ``scale = (high − low) / 255``, ``zero_point = round(−low / scale)``.

Weights are int8, symmetric, −127 … 127, one scale per output channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators.registry import Range, Scheme

Array = npt.NDArray[Any]
WeightScale = Literal["max", "power2", "mse"]

_SMALLEST_SCALE = 2.0**-60  # keeps every product of two scales a normal float32


@dataclass(frozen=True, slots=True)
class QuantParams:
    """How a tensor's real values map to codes: ``x = (q − zero_point) · scale``."""

    scale: np.float32
    zero_point: int
    dtype: Literal["int8", "uint8"]

    @property
    def range(self) -> Range:
        """The real values of the smallest and largest code."""
        info = np.iinfo(self.dtype)
        scale = float(self.scale)
        return Range((info.min - self.zero_point) * scale, (info.max - self.zero_point) * scale)


def quant_params(kept: Range, scheme: Scheme) -> QuantParams:
    """Scale and zero point for a clipping range; an empty range gets scale 1."""
    if scheme == "symmetric" and not kept.unsigned:
        threshold = max(-kept.low, kept.high)
        return QuantParams(_usable(threshold / 127), 0, "int8")
    low, high = min(kept.low, 0.0), max(kept.high, 0.0)
    scale = _usable((high - low) / 255)
    zero_point = int(np.clip(np.rint(-low / float(scale)), 0, 255))
    return QuantParams(scale, zero_point, "uint8")


def _usable(scale: float) -> np.float32:
    return np.float32(scale if scale == 0 or scale > _SMALLEST_SCALE else _SMALLEST_SCALE) or np.float32(1)


def weight_scales(
    weight: Array, axis: int, *, method: WeightScale = "max", per_channel: bool = True
) -> Array:
    """One positive float32 scale per output channel.

    Args:
        weight: float32, the output channel on `axis`.
        axis: 0 for Conv, 1 for ConvTranspose and MatMul.
        method: ``max`` reaches the largest weight; ``power2`` rounds that threshold up to a power of two;
            ``mse`` takes the threshold of least squared error among 70 % … 100 % of the largest weight.
        per_channel: False gives every channel the same scale.

    Returns:
        (channels,) float32. A channel of zeros gets scale 1.
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float64)
    if not per_channel:
        rows = rows.reshape(1, -1)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    safe = np.where(largest > 0, largest, 127.0)
    if method == "power2":
        safe = np.exp2(np.ceil(np.log2(safe)))
        scales = np.where(largest > 0, safe / 128, 1.0)  # a power of two, so that requantising is a shift
    else:
        scales = safe / 127
    if method == "mse":
        scales = _least_squares(rows, scales)
    scales = np.maximum(scales, _SMALLEST_SCALE)
    return np.broadcast_to(scales.astype(np.float32), (weight.shape[axis],)).copy()


def _least_squares(rows: Array, scales: Array) -> Array:
    best, least = scales, np.full(scales.shape, np.inf)
    for fraction in np.linspace(1.0, 0.7, 31):
        candidate = scales * fraction
        codes = np.clip(np.rint(rows / candidate[:, None]), -127, 127)
        error = np.square(codes * candidate[:, None] - rows).sum(axis=1)
        better = error < least
        best, least = np.where(better, candidate, best), np.where(better, error, least)
    return best


def quantize_weight(weight: Array, scales: Array, axis: int) -> Array:
    """int8 codes of a weight, −127 … 127, the same shape; `scales` (channels,) along `axis`."""
    shape = [1] * weight.ndim
    shape[axis] = scales.size
    steps = np.rint(weight.astype(np.float32) / scales.reshape(shape).astype(np.float32))
    return np.clip(steps, -127, 127).astype(np.int8)
