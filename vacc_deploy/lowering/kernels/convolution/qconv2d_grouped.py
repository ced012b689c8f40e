"""int8 convolution in groups: every output channel sums over its own group's input channels only.

Neighbouring groups are merged until they fill vectors (`direct.merged_groups`); one channel per group is
`qconv2d_depthwise`'s work.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution import qconv2d_depthwise
from vacc_deploy.lowering.kernels.convolution.code_sections import (
    DirectSection,
    finish_code_plane,
    no_bias,
)
from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution, merged_groups
from vacc_deploy.lowering.kernels.convolution.epilogue import (
    EpilogueWriter,
    pack_epilogue,
    representative,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.products import CodeProducts
from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import QConv2dSpec, check_sums
from vacc_deploy.lowering.kernels.convolution.section import Section
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.add import AddFactors

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class QGroupedConv2dSpec:
    """A convolution in groups.

    Attributes:
        dense: The same convolution's planes, geometry and epilogue.
        groups: Equal parts of the channels that are convolved apart.
    """

    dense: QConv2dSpec
    groups: int

    def __post_init__(self) -> None:
        inputs, outputs = self.dense.source.channels, self.dense.target.channels
        if inputs % self.groups or outputs % self.groups:
            raise ModelError(
                "groups must divide the channels",
                why=f"{self.groups} groups, {inputs} inputs and {outputs} outputs",
            )

    @property
    def depthwise(self) -> bool:
        """Whether every output channel has one input channel, its own."""
        return self.groups == self.dense.source.channels == self.dense.target.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        return self.dense.macs // self.groups


def _section(spec: QGroupedConv2dSpec, target: Target) -> DirectSection:
    """The one section that `spec` is."""
    dense, products = spec.dense, CodeProducts(simd_of(target))
    groups = merged_groups(spec.groups, dense.source, dense.target, products)
    height, width = dense.target.height, dense.target.width
    section = Section(height, width, dense.kernel, dense.stride, dense.dilation, dense.pads, groups=groups)
    return DirectSection(DirectConvolution(section, dense.source, dense.target, products), spec.groups)


@functools.cache
def emit(spec: QGroupedConv2dSpec, target: Target) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target."""
    if spec.depthwise:
        return qconv2d_depthwise.emit(spec.dense, target)
    section = _section(spec, target)
    with kernel_function("qconv2d_grouped") as function:
        source = plane_argument("source", spec.dense.source)
        residual = residual_argument(spec.dense.epilogue)
        weights, bias = section.weights_argument("weights"), section.bias_argument("bias")
        writer = EpilogueWriter(
            simd_of(target), spec.dense.epilogue, spec.dense.target, section.channels, residual
        )
        y = writer.target_argument()
        section.emit(source, weights, bias, writer, y)
        finish_code_plane(y, writer)
    return function.get()


def pack(
    spec: QGroupedConv2dSpec,
    target: Target,
    weights: Array,
    bias: Array,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
) -> Mapping[str, Array]:
    """Parameters in argument order; arguments as in `build`."""
    if spec.depthwise:
        return qconv2d_depthwise.pack(
            spec.dense, target, weights, bias, multiplier, table=table, residual=residual
        )
    section = _section(spec, target)
    folded = section.pack_bias(weights, bias, spec.dense.source.fill)
    numbers = pack_epilogue(
        spec.dense.epilogue, spec.dense.target, section.channels, multiplier, table, residual
    )
    return {"weights": section.pack(weights), "bias": folded, **numbers}


def build(
    spec: QGroupedConv2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
) -> Kernel:
    """Code and constants of one grouped convolution.

    Args:
        spec: Geometry and epilogue.
        target: The CPU to compile for.
        weights: int8 (C_out, C_in/groups, kH, kW).
        bias: int32 (C_out,), in units of ``s_x · s_w[c]``; None is 0.
        multiplier: float32 (C_out,), as in `qconv2d.build`.
        table: uint8 (256,) or (C_out, 256), as the epilogue says.
        residual: Factors of the epilogue's addition.

    Raises:
        ModelError: The sums could overflow int32.
    """
    bias = no_bias(weights) if bias is None else bias
    check_sums(weights, bias, spec.dense.source.fill)
    params = pack(spec, target, weights, bias, multiplier, table=table, residual=residual)
    shared = replace(spec, dense=representative(spec.dense))
    return Kernel(emit(shared, target), params, spec.macs)
