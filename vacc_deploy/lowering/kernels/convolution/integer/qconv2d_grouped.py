"""int8 convolution in groups: every output channel sums over its own group's input channels only.

Neighbouring groups are merged until they fill vectors (`direct.merged_groups`); one channel per group is
`qconv2d_depthwise`'s work.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution, merged_groups
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    pack_epilogue,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.products import CodeProducts
from vacc_deploy.lowering.kernels.convolution.integer.sections import DirectSection, finish_code_plane
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.section import Section
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.target import Target

Array: TypeAlias = npt.NDArray[Any]


def _section(spec: QConv2dSpec, target: Target) -> DirectSection:
    """The one section that `spec` is."""
    products = CodeProducts(simd_of(target))
    groups = merged_groups(spec.groups, spec.source, spec.target, products)
    section = Section(*spec.target.size, spec.window, groups=groups)
    return DirectSection(DirectConvolution(section, spec.source, spec.target, products), spec.groups)


@functools.cache
def emit(spec: QConv2dSpec, target: Target) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target."""
    section = _section(spec, target)
    with kernel_function("qconv2d_grouped") as function:
        source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        weights, bias = section.weights_argument("weights"), section.bias_argument("bias")
        writer = EpilogueWriter(simd_of(target), spec.epilogue, spec.target, section.channels, residual)
        y = writer.target_argument()
        section.emit(source, weights, bias, writer, y)
        finish_code_plane(y, writer)
    return function.get()


def pack(spec: QConv2dSpec, target: Target, numbers: QConvNumbers) -> Mapping[str, Array]:
    """Parameters in argument order."""
    section = _section(spec, target)
    return {
        "weights": section.pack(numbers.weights),
        "bias": section.pack_bias(numbers.weights, numbers.bias, spec.source.fill),
        **pack_epilogue(spec, section.channels, numbers),
    }
