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

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.section import Section
from vacc_deploy.lowering.plane import Halo, Plane

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A transposed convolution's attributes.

    Attributes:
        kernel: (height, width).
        stride: (vertical, horizontal) distance of the kernels of neighbouring inputs.
        dilation: (vertical, horizontal) distance of taps.
        padding: (top, left) outputs cut off.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]


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


def transpose_parts(geometry: Geometry, y: Plane, groups: int = 1) -> list[TransposePart]:
    """The parts that together write every pixel of `y` once; where strides are large, some have no taps."""
    down, across = (
        _phases(size, geometry.kernel[a], geometry.stride[a], geometry.dilation[a], geometry.padding[a])
        for a, size in ((0, y.height), (1, y.width))
    )
    return [
        TransposePart(
            Section(
                rows=-(-(y.height - v.first) // geometry.stride[0]),
                columns=-(-(y.width - h.first) // geometry.stride[1]),
                kernel=(len(v.taps), len(h.taps)),
                dilation=(v.dilation, h.dilation),
                padding=(v.before, h.before),
                step=geometry.stride,
                offset=(v.first, h.first),
                groups=groups,
            ),
            (v.taps, h.taps),
        )
        for v in down
        for h in across
    ]


def common_window(parts: list[TransposePart]) -> Section:
    """What a 3×3 convolution in steps of 2 reads, seen as one of 2×2 with the outputs of its largest part.

    Every part reads one or two neighbouring inputs each way; a single one is the window's first or second.
    """
    sections = [part.section for part in parts]
    top, left = (max(section.padding[axis] for section in sections) for axis in range(2))
    rows, columns = max(section.rows for section in sections), max(section.columns for section in sections)
    return Section(rows, columns, kernel=(2, 2), padding=(top, left))


def required_halo(parts: list[TransposePart], x: Plane) -> Halo:
    """The border of the input plane that the parts read."""
    halo = Halo()
    for section in (part.section for part in parts if part.section.taps):
        halo = halo.union(section_halo(section, x))
    return halo


def section_halo(section: Section, x: Plane) -> Halo:
    """The border of the input plane that a section in steps of 1 reads."""
    bottom = section.rows - 1 + section.span[0] - section.padding[0] - x.height
    right = section.columns - 1 + section.span[1] - section.padding[1] - x.width
    top, left = max(0, section.padding[0]), max(0, section.padding[1])
    return Halo(top, left, max(0, bottom), max(0, right))


def transpose_macs(geometry: Geometry, x: Plane, y: Plane, groups: int) -> int:
    """Multiply-accumulates of one call, those with the halo included."""
    sections = [part.section for part in transpose_parts(geometry, y)]
    sums = sum(section.rows * section.columns * section.taps for section in sections)
    return sums * y.batch * y.channels * (x.channels // groups)


def check_transposed_weights(weights: Array, geometry: Geometry, x: Plane, y: Plane, groups: int) -> None:
    """Refuses weights of the wrong shape.

    Raises:
        ModelError: They are not (C_in, C_out/groups, kH, kW), ONNX's order.
    """
    expected = (x.channels, y.channels // groups, *geometry.kernel)
    if weights.shape != expected:
        raise ModelError(
            "transposed convolution's weights of the wrong shape", why=f"{weights.shape}, not {expected}"
        )


def outputs_first(weights: Array, groups: int) -> Array:
    """ONNX's (C_in, C_out/groups, kH, kW) as an ordinary convolution's (C_out, C_in/groups, kH, kW)."""
    inputs, outputs, height, width = weights.shape
    split = weights.reshape(groups, inputs // groups, outputs, height, width)
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(-1, inputs // groups, height, width))
