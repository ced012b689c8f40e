"""Ordinary convolution of float16 planes: float32 sums, one rounding per output.

    y = activation(gain·Σ x·modulation·w + bias + residual)

`winograd.ordinary` computes large 3×3 layers with a quarter of the multiplications (9 of 16 in steps of 2),
`hconv2d_dot` layers with few outputs, `hconv2d_depthwise` those with one input channel per output channel,
and `hconv2d_direct` everything else.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.floating import (
    hconv2d_depthwise,
    hconv2d_direct,
    hconv2d_dot,
)
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd import ordinary
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def method(spec: Hconv2dSpec, target: Target) -> ModuleType:
    """The module that computes `spec` fastest."""
    if spec.depthwise:
        return hconv2d_depthwise
    if hconv2d_dot.applies(spec):
        return hconv2d_dot
    return ordinary if ordinary.applies(spec, target) else hconv2d_direct


@functools.cache
def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The ``PrimFunc`` ``hconv2d(x, [modulation, gain, residual], weights, scale, bias, [slope], y)``."""
    return method(spec, target).emit(spec, target)


def pack(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """Lays the constants out for `emit`'s function, in argument order.

    Args:
        spec: The convolution.
        target: The CPU it is compiled for.
        numbers: The layer's.

    Raises:
        ModelError: The weights' shape is not the spec's.
    """
    spec.check_weights(numbers.weights)
    packed: dict[str, Array] = method(spec, target).pack(spec, target, numbers)
    return packed


def build(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> Kernel:
    """The compiled operator with its constants; arguments as `pack`."""
    return Kernel(emit(spec, target), pack(spec, target, numbers), spec.macs)
