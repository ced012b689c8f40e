"""Ordinary convolution of float16 planes: float32 sums, one rounding per output.

    y = activation(Σ x·w + bias + residual)

`hconv2d_winograd` computes large 3×3 layers with a quarter of the multiplications, `hconv2d_dot` layers
with few outputs, `hconv2d_depthwise` those with one input channel per output channel, and `hconv2d_direct`
everything else.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.float_epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Halo, Plane, StorageType
from vacc_deploy.lowering.target import Target

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Hconv2dSpec:
    """Geometry of one convolution.

    Attributes:
        x: Input plane, float16 or float32. Its halo must hold the padding (`required_halo`).
        y: Output plane, float16 or float32.
        kernel: (height, width) of the filter.
        stride: (vertical, horizontal) step.
        dilation: (vertical, horizontal) distance of filter taps.
        padding: (top, left) zero pixels around the input; bottom and right follow from y's size.
        epilogue: Activation and residual.
        groups: Equal parts of the channels that are convolved apart.
        weight_dtype: How weights are stored. float16 halves them and costs 3 dB of a single operator.
    """

    x: Plane
    y: Plane
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    epilogue: FloatEpilogue = field(default_factory=FloatEpilogue)
    groups: int = 1
    weight_dtype: StorageType = "float32"

    def __post_init__(self) -> None:
        if self.x.batch != self.y.batch:
            raise ModelError("a convolution cannot change the batch", why=f"{self.x.batch} -> {self.y.batch}")
        if self.x.channels % self.groups or self.y.channels % self.groups:
            raise ModelError(
                "groups must divide the channels",
                why=f"{self.groups} groups, {self.x.channels} inputs and {self.y.channels} outputs",
            )
        need = self.required_halo
        if need.union(self.x.halo) != self.x.halo:
            raise ModelError(
                "the input plane's halo is smaller than the convolution's padding",
                why=f"it needs {need} and has {self.x.halo}",
            )

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns that one output's window covers."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def required_halo(self) -> Halo:
        """The border of `x` that the windows reach into."""
        bottom = (self.y.height - 1) * self.stride[0] + self.span[0] - self.padding[0] - self.x.height
        right = (self.y.width - 1) * self.stride[1] + self.span[1] - self.padding[1] - self.x.width
        return Halo(self.padding[0], self.padding[1], max(0, bottom), max(0, right))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        outputs = self.y.batch * self.y.channels * self.y.height * self.y.width
        return outputs * (self.x.channels // self.groups) * self.kernel[0] * self.kernel[1]


def method(spec: Hconv2dSpec, target: Target) -> Any:
    """The module that computes `spec` fastest."""
    from vacc_deploy.lowering.kernels.convolution import (
        hconv2d_depthwise,
        hconv2d_direct,
        hconv2d_dot,
        hconv2d_winograd,
    )

    if hconv2d_depthwise.applies(spec):
        return hconv2d_depthwise
    if hconv2d_dot.applies(spec):
        return hconv2d_dot
    return hconv2d_winograd if hconv2d_winograd.applies(spec, target) else hconv2d_direct


@functools.cache
def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The ``PrimFunc`` ``hconv2d(x, [residual], weights, scale, bias, [slope], y)``; see `pack`."""
    return method(spec, target).emit(spec, target)


def pack(
    spec: Hconv2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> dict[str, Array]:
    """Lays the constants out for `emit`'s function, in argument order.

    Args:
        spec: The convolution.
        target: The CPU it is compiled for.
        weights: (C_out, C_in/groups, kH, kW) float.
        bias: (C_out,) float.
        slope: (C_out,) float or a number; needed where the epilogue has a slope.

    Raises:
        ModelError: The weights' shape is not the spec's.
    """
    expected = (spec.y.channels, spec.x.channels // spec.groups, *spec.kernel)
    if weights.shape != expected:
        raise ModelError("convolution weights of the wrong shape", why=f"{weights.shape}, not {expected}")
    packed: dict[str, Array] = method(spec, target).pack(spec, target, weights, bias, slope)
    return packed


def build(
    spec: Hconv2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> Kernel:
    """The compiled operator with its constants; arguments as `pack`."""
    return Kernel(emit(spec, target), pack(spec, target, weights, bias, slope), spec.macs)
