"""Matrix product of float planes of one pixel: fully connected layers.

    y[n] = activation(W·x[n] + bias + residual)

The vectors of a batch are the pixels of one row to the direct convolution, so that weights are read once
for several of them. Pictures with more pixels are a 1×1 convolution's work (`hconv2d`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution, zero_sums
from vacc_deploy.lowering.kernels.convolution.float_epilogue import (
    FloatEpilogue,
    FloatFinish,
    epilogue_arguments,
    finish_plane,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.convolution.products import FloatProducts
from vacc_deploy.lowering.kernels.convolution.section import Section, batch_row
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane, StorageType
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]

_VECTORS = 8  # with one vector per batch, so many sums are needed to keep the multipliers busy


@dataclass(frozen=True, slots=True)
class HmatmulSpec:
    """A fully connected layer.

    Attributes:
        x: Input plane (N, C_in, 1, 1), float16 or float32.
        y: Output plane (N, C_out, 1, 1), float16 or float32.
        epilogue: Activation and residual.
        weight_dtype: How weights are stored.
    """

    x: Plane
    y: Plane
    epilogue: FloatEpilogue = field(default_factory=FloatEpilogue)
    weight_dtype: StorageType = "float32"

    def __post_init__(self) -> None:
        check_vectors(self.x, self.y)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        return self.y.batch * self.y.channels * self.x.channels


def check_vectors(x: Plane, y: Plane) -> None:
    """Refuses planes that are not batches of vectors.

    Raises:
        ModelError: A plane has more than one pixel, or the batches differ.
    """
    if (x.height, x.width, y.height, y.width) != (1, 1, 1, 1):
        raise ModelError(
            "a matrix product works on pictures of one pixel",
            why=f"{x.height}×{x.width} to {y.height}×{y.width}",
            hint="use a 1×1 convolution",
        )
    if x.batch != y.batch:
        raise ModelError("a matrix product cannot change the batch", why=f"{x.batch} -> {y.batch}")


def row_section(batch: int) -> Section:
    """A batch of vectors as one row of a 1×1 convolution."""
    return Section(1, batch, (1, 1))


def _direct(spec: HmatmulSpec, target: Target) -> DirectConvolution:
    products = FloatProducts(float_simd_of(target), spec.y, spec.weight_dtype, _VECTORS)
    x, y = (replace(plane, batch=1, width=plane.batch) for plane in (spec.x, spec.y))
    return DirectConvolution(row_section(spec.y.batch), x, y, products)


@functools.cache
def emit(spec: HmatmulSpec, target: Target) -> Any:
    """The ``PrimFunc`` ``hmatmul(x, [residual], weights, scale, bias, [slope], y)``."""
    direct = _direct(spec, target)
    with kernel_function("hmatmul") as function:
        x = plane_argument("x", spec.x)
        residual = residual_argument(spec.epilogue)
        weights = direct.weights_argument("weights")
        epilogue = epilogue_arguments(spec.epilogue, float_simd_of(target), residual, direct.channels)
        y = plane_argument("y", spec.y)
        finish = FloatFinish(epilogue, y, direct.cut.lanes, batch_row)
        direct.emit(batch_row(x), weights, zero_sums(direct.products), finish)
        finish_plane(y, spec.epilogue, direct.channels, direct.cut.lanes)
    return function.get()


def pack(
    spec: HmatmulSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> dict[str, Array]:
    """Lays the constants out for `emit`'s function, in argument order.

    Args:
        spec: The layer.
        target: The CPU it is compiled for.
        weights: (C_out, C_in) float; the transpose of ONNX MatMul's right operand.
        bias: (C_out,) float.
        slope: (C_out,) float or a number; needed where the epilogue has a slope.

    Raises:
        ModelError: The weights' shape is not the spec's.
    """
    check_matrix(weights, spec.x, spec.y)
    direct = _direct(spec, target)
    scaled, params = spec.epilogue.pack(weights, bias, slope, direct.channels)
    return {"weights": direct.pack(scaled[:, :, np.newaxis, np.newaxis]), **params}


def check_matrix(weights: Array, x: Plane, y: Plane) -> None:
    """Refuses a matrix of the wrong shape.

    Raises:
        ModelError: It is not (C_out, C_in).
    """
    if weights.shape != (y.channels, x.channels):
        expected = (y.channels, x.channels)
        raise ModelError("a matrix of the wrong shape", why=f"{weights.shape}, not {expected}")


def build(
    spec: HmatmulSpec,
    target: Target,
    weights: Array,
    bias: Array | None = None,
    slope: Array | float | None = None,
) -> Kernel:
    """The compiled operator with its constants; arguments as `pack`."""
    return Kernel(emit(spec, target), pack(spec, target, weights, bias, slope), spec.macs)
