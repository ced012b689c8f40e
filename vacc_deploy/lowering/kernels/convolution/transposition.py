"""Transposed convolution as ordinary convolutions that write interleaved pixels.

    y[o] = Σ x[i]·w[k]   over   i·stride + k·dilation = o + padding

Outputs whose ``o + padding`` leave the same remainder modulo the stride read the same taps, so they are an
ordinary convolution with those taps in reverse. Along one axis with stride 2, kernel 4 and padding 1:

    y[0], y[2], …  =  x[i]·w[1] + x[i−1]·w[3]
    y[1], y[3], …  =  x[i]·w[2] + x[i+1]·w[0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.section import Section
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Phase:
    """Outputs ``first, first + stride, …`` along one axis."""

    first: int
    taps: tuple[int, ...]  # in the order of the inputs they read
    before: int  # how many inputs before the first output's own the window starts
    dilation: int


@dataclass(frozen=True, slots=True)
class TransposePart:
    """A section and the filter taps that it uses, as (rows, columns) of the kernel."""

    section: Section
    taps: tuple[tuple[int, ...], tuple[int, ...]]

    def select(self, weights: Array) -> Array:
        """This part's filter (C_out, C_in/groups, rows, columns) of weights (C_out, C_in/groups, kH, kW)."""
        return np.ascontiguousarray(weights[:, :, self.taps[0]][:, :, :, self.taps[1]])


def _phases(size: int, kernel: int, stride: int, dilation: int, padding: int) -> list[_Phase]:
    """The phases of one axis with `size` outputs."""
    result = []
    for first in range(min(stride, size)):
        taps = [k for k in range(kernel) if (first + padding - k * dilation) % stride == 0]
        taps.reverse()
        starts = [(first + padding - k * dilation) // stride for k in taps]
        apart = dilation // math.gcd(stride, dilation)
        result.append(_Phase(first, tuple(taps), -starts[0] if starts else 0, apart))
    return result


def transpose_parts(window: Window, size: tuple[int, int], groups: int = 1) -> list[TransposePart]:
    """The parts that together write every output once; where strides are large, some have no taps.

    Args:
        window: What slides over the output; its padding is cut off.
        size: (height, width) of the output.
        groups: Of every part's section.
    """
    down, across = (
        _phases(size[a], window.kernel[a], window.stride[a], window.dilation[a], window.padding[a])
        for a in range(2)
    )
    return [
        TransposePart(
            Section(
                rows=-(-(size[0] - v.first) // window.stride[0]),
                columns=-(-(size[1] - h.first) // window.stride[1]),
                window=Window(
                    kernel=(len(v.taps), len(h.taps)),
                    dilation=(v.dilation, h.dilation),
                    padding=(v.before, h.before),
                ),
                step=window.stride,
                offset=(v.first, h.first),
                groups=groups,
            ),
            (v.taps, h.taps),
        )
        for v in down
        for h in across
    ]


def required_halo(parts: list[TransposePart], size: tuple[int, int]) -> Halo:
    """The border of an input of `size` (height, width) that the parts read."""
    halo = Halo()
    for section in (part.section for part in parts if part.section.window.taps):
        halo = halo.union(section.window.reach(size, (section.rows, section.columns)))
    return halo


def outputs_first(weights: Array, groups: int) -> Array:
    """ONNX's (C_in, C_out/groups, kH, kW) as an ordinary convolution's (C_out, C_in/groups, kH, kW)."""
    inputs, outputs, height, width = weights.shape
    split = weights.reshape(groups, inputs // groups, outputs, height, width)
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(-1, inputs // groups, height, width))
