"""Direct convolution of float planes, dense or in groups."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.direct import (
    DirectConvolution,
    block_diagonal,
    merged_groups,
    zero_sums,
)
from vacc_deploy.lowering.kernels.convolution.floating.epilogue import (
    FloatFinish,
    epilogue_arguments,
    epilogue_inputs,
    finish_plane,
)
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.products import FloatProducts
from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource, source_arguments
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.convolution.section import Section
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def convolution(spec: Hconv2dSpec, target: Target) -> DirectConvolution[FloatSource]:
    """The one section that `spec` is."""
    products = FloatProducts(float_simd_of(target), spec.target, spec.weight_dtype)
    groups = merged_groups(spec.groups, spec.source, spec.target, products)
    section = Section(*spec.target.size, spec.window, groups=groups)
    return DirectConvolution(section, spec.source, spec.target, products)


def pack(spec: Hconv2dSpec, target: Target, numbers: HconvNumbers) -> dict[str, Array]:
    """See `hconv2d.pack`."""
    direct = convolution(spec, target)
    scaled, params = spec.epilogue.pack(numbers, direct.channels)
    merged = block_diagonal(scaled, spec.groups, direct.section.groups)
    return {"weights": direct.pack(np.asarray(merged)), **params}


def emit(spec: Hconv2dSpec, target: Target) -> Any:
    """The function described by `hconv2d.emit`."""
    direct = convolution(spec, target)
    with kernel_function("hconv2d") as function:
        x = source_arguments(spec, float_simd_of(target))
        inputs = epilogue_inputs(spec.epilogue)
        weights = direct.weights_argument("weights")
        epilogue = epilogue_arguments(spec.epilogue, float_simd_of(target), inputs, direct.channels)
        y = plane_argument("y", spec.target)
        finish = FloatFinish(epilogue, y, direct.cut.lanes, direct.section)
        direct.emit(x, weights, zero_sums(direct.products), finish)
        finish_plane(y, spec.epilogue, direct.channels, direct.cut.lanes)
    return function.get()
