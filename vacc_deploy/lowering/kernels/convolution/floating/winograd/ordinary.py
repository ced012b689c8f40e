"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications where the definition has 144.

A tile of 4×4 outputs needs 6×6 inputs. Both the inputs' tile d and the filter g are transformed to 6×6
values, multiplied point by point, summed over the input channels, and transformed back:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015, with points 0, ±1, ±2, ∞.)
All of it is float32; `tiles` has the stages.

In steps of 2, it is the sum of four F(4×4, 2×2) over the phases of the input (`four_phases`): 81
multiplications where the definition has 144, since what a single tap makes zero is left out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import cut, tile_count
from vacc_deploy.lowering.kernels.convolution.floating.winograd.kernel import WinogradKernel
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import (
    OUTPUTS,
    THREE_TAPS,
    TWO_TAPS,
)
from vacc_deploy.lowering.kernels.convolution.four_phases import PHASES, phase_seen_at, tap
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

# By stride: below so many tiles, transforming the filters costs more than it saves.
_FEWEST_TILES = {1: 16, 2: 64}


def applies(spec: Hconv2dSpec, target: Target) -> bool:
    """Whether this method computes `spec`, and faster than the definition."""
    outputs, lanes, stride = spec.target, float_simd_of(target).lanes, spec.window.stride[0]
    window = Window((3, 3), (stride, stride), padding=spec.window.padding)
    if spec.groups != 1 or spec.window != window or stride not in _FEWEST_TILES:
        return False
    deep = min(spec.source.channels, outputs.channels) >= lanes
    enough = tile_count(outputs.batch, outputs.size) >= _FEWEST_TILES[stride]
    return deep and min(outputs.size) >= OUTPUTS and enough


def _kernel(spec: Hconv2dSpec, target: Target) -> WinogradKernel:
    simd, stride = float_simd_of(target), spec.window.stride[0]
    form = THREE_TAPS if stride == 1 else TWO_TAPS
    blocking = cut(form, simd, spec.source, spec.target, spec.target.size, stride=stride)
    kernel = WinogradKernel(spec, simd, blocking, spec.window.padding)
    if stride == 1:
        return kernel
    return replace(
        kernel,
        taps=tuple(partial(tap, phase) for phase in PHASES),
        contributes=lambda result, phase, point: phase_seen_at(form.points, phase, point),
    )


def pack(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """See `hconv2d.pack`."""
    return _kernel(spec, target).pack(numbers)


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    return _kernel(spec, target).emit("hconv2d")
