"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications where the definition has 144.

A tile of 4×4 outputs needs 6×6 inputs. Both the inputs' tile d and the filter g are transformed to 6×6
values, multiplied point by point, summed over the input channels, and transformed back:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015, with points 0, ±1, ±2, ∞.)
All of it is float32; `tiles` has the stages.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.kernel import WinogradKernel
from vacc_deploy.lowering.kernels.convolution.floating.winograd.tiles import cut, tile_count
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import OUTPUTS, THREE_TAPS
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_LEAST_TILES = 16  # below, transforming the filters costs more than it saves


def applies(spec: Hconv2dSpec, target: Target) -> bool:
    """Whether this method computes `spec`, and faster than the definition."""
    outputs, lanes = spec.target, float_simd_of(target).lanes
    if spec.groups != 1 or spec.window != Window((3, 3), padding=spec.window.padding):
        return False
    deep = min(spec.source.channels, outputs.channels) >= lanes
    return deep and min(outputs.size) >= OUTPUTS and tile_count(outputs.batch, outputs.size) >= _LEAST_TILES


def _kernel(spec: Hconv2dSpec, target: Target) -> WinogradKernel:
    simd = float_simd_of(target)
    blocking = cut(THREE_TAPS, simd, spec.source, spec.target, spec.target.size)
    return WinogradKernel(spec, simd, blocking, spec.window.padding)


def pack(
    spec: Hconv2dSpec, target: Target, weights: Array, bias: Array | None, slope: Array | float | None
) -> dict[str, Array]:
    """See `hconv2d.pack`."""
    return _kernel(spec, target).pack(weights, bias, slope)


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    return _kernel(spec, target).emit("hconv2d")
