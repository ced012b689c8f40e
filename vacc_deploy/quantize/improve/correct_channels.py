"""Channel correction: give every channel of an int8 layer the mean and the size that it has in float.

Rounding shifts the mean of a convolution's channels and, where many values are small against a step,
shrinks them; over a deep network both add up, tint the picture and take detail away. A gain and a
shift per output channel, the least-squares fit of the float result by the quantised one, go into the
weights' scales and the bias and cost nothing at run time. They are measured layer by layer with all
earlier corrections in place, and kept only where they do no harm to pictures that they were not
measured on: one layer's systematic error is small against its rounding noise, so the test is whether
the noise grows, not whether it shrinks. Where scales are powers of two or shared by channels, a gain
changes the codes; if these were rounded together, only the shift is corrected.

The shift alone is the empirical bias correction of Banner et al. 2018 and Nagel et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.side_by_side import SideBySide, Step
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.runtime.reference.fixed_point import per_channel

Array = npt.NDArray[Any]

_LARGEST_GAIN = 1.25
_HARM = 1.02  # a correction may raise the squared error on other pictures by 2 %, no more


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums per channel over positions: of the float result y, the quantised result z, and products."""

    count: float
    y: Array
    z: Array
    yy: Array
    yz: Array
    zz: Array

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.y + other.y,
            self.z + other.z,
            self.yy + other.yy,
            self.yz + other.yz,
            self.zz + other.zz,
        )

    def fit(self, *, with_gain: bool = True) -> tuple[Array, Array]:
        """Gain and shift, (channels,) each, with the least squared error of ``gain·z + shift`` against y."""
        mean_y, mean_z = self.y / self.count, self.z / self.count
        if not with_gain:
            return np.ones_like(mean_y), mean_y - mean_z
        covariance = self.yz / self.count - mean_y * mean_z
        variance = self.zz / self.count - mean_z * mean_z
        alive = variance > 1e-12 * (self.zz / self.count + 1e-30)
        gain = np.where(alive, covariance / np.where(alive, variance, 1.0), 1.0)
        gain = np.clip(gain, 1 / _LARGEST_GAIN, _LARGEST_GAIN)
        return gain, mean_y - gain * mean_z

    def error(self, gain: Array | float, shift: Array | float) -> float:
        """Σ (y − gain·z − shift)² over all channels and positions."""
        total = (
            self.yy
            + gain * gain * self.zz
            + self.count * shift * shift
            - 2 * gain * self.yz
            - 2 * shift * self.y
            + 2 * gain * shift * self.z
        )
        return float(np.sum(total))


def moments(reference: Array, result: Array, axis: int) -> Moments:
    """The moments of one picture's float and quantised results, channels on `axis`."""
    channels = reference.shape[axis]
    sums = np.empty((5, channels))
    by_channel = (np.moveaxis(part, axis, 0).reshape(channels, -1) for part in (reference, result))
    y, z = np.empty((2, reference.size // channels))  # float64, of one channel: they stay in the caches
    for channel, values in enumerate(zip(*by_channel, strict=True)):
        y[:], z[:] = values
        sums[:, channel] = y.sum(), z.sum(), y @ y, y @ z, z @ z
    return Moments(reference.size / channels, *sums)


def correct_step(walk: SideBySide, step: Step) -> None:
    """Correct one int8 layer in the walk's table, unless that does harm."""
    layer = step.layer
    if layer.kind != "mac" or layer.op_type == "MatMul" or not step.int8:
        return
    axis = 1 if layer.op_type != "Gemm" else step.reference[0].ndim - 1
    step.result = walk.run_quantized(layer, walk.inputs_of(layer))
    per_picture = walk.in_parallel(partial(moments, axis=axis), step.reference, step.result)
    leaves_codes = _leaves_codes(walk.table)
    with_gain = _knows_gain(layer) and (leaves_codes or not walk.table.layers[layer.name].rounding)
    if not does_no_harm(per_picture, with_gain=with_gain):
        return
    gain, shift = sum_of(per_picture).fit(with_gain=with_gain)
    entry = replace(
        walk.table.layers[layer.name],
        gain=tuple(float(v) for v in gain) if with_gain else (),
        bias_shift=tuple(float(v) for v in shift),
    )
    walk.table = replace(walk.table, layers={**walk.table.layers, layer.name: entry})
    if with_gain and not leaves_codes:
        step.result.clear()  # the walk runs the layer again
        return
    rank = step.reference[0].ndim
    gain, shift = (per_channel(v.astype(np.float32), rank, axis) for v in (gain, shift))
    # With the codes as they were, this is what the corrected layer computes, but for the bias's own rounding.
    step.result = walk.in_parallel(lambda z: z * gain + shift, step.result)


def _leaves_codes(table: CalibrationTable) -> bool:
    """Whether a gain goes into the scales of the weights alone and leaves their codes as they are."""
    return bool(table.settings["per_channel"]) and table.settings["weight_scale"] != "power2"


def _knows_gain(layer: Layer) -> bool:
    """Not a grouped ConvTranspose: all its groups share their scales."""
    return layer.op_type != "ConvTranspose" or (layer.node.attributes.get_int("group", 1) or 1) == 1


def sum_of(parts: list[Moments]) -> Moments:
    """All moments together."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def does_no_harm(per_picture: list[Moments], *, with_gain: bool = True) -> bool:
    """Whether a fit to one half of the pictures leaves the error on the other half about as it was."""
    if len(per_picture) < 2:
        return False
    even, odd = sum_of(per_picture[0::2]), sum_of(per_picture[1::2])
    before = after = 0.0
    for measured, judged in ((even, odd), (odd, even)):
        before += judged.error(1.0, 0.0)
        after += judged.error(*measured.fit(with_gain=with_gain))
    return after <= _HARM * before
