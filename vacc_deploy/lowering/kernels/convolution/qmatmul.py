"""int8 matrix product of planes of one pixel: fully connected layers, exact on every target.

    acc = Σ (q_x − z_x)·q_w + b        int32
    y   = the epilogue of acc          see `epilogue`

The vectors of a batch are the pixels of one row to the direct convolution, so that weights are read once
for several of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.code_sections import (
    DirectSection,
    finish_code_plane,
    no_bias,
)
from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution
from vacc_deploy.lowering.kernels.convolution.epilogue import (
    Epilogue,
    EpilogueWriter,
    pack_epilogue,
    representative,
    residual_argument,
)
from vacc_deploy.lowering.kernels.convolution.hmatmul import check_matrix, check_vectors, row_section
from vacc_deploy.lowering.kernels.convolution.products import CodeProducts
from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import check_sums
from vacc_deploy.lowering.kernels.convolution.section import batch_row
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.add import AddFactors

Array: TypeAlias = npt.NDArray[Any]

_VECTORS = 8  # with one vector per batch, so many sums are needed to keep the multipliers busy


@dataclass(frozen=True, slots=True)
class QMatmulSpec:
    """A fully connected layer of codes.

    Attributes:
        source: uint8 plane (N, C_in, 1, 1).
        target: uint8 or float16 plane (N, C_out, 1, 1).
        epilogue: What becomes of the sums.
    """

    source: Plane
    target: Plane
    epilogue: Epilogue = field(default_factory=Epilogue)

    def __post_init__(self) -> None:
        check_vectors(self.source, self.target)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        return self.target.batch * self.target.channels * self.source.channels


def _section(spec: QMatmulSpec, target: Target) -> DirectSection:
    x, y = (replace(plane, batch=1, width=plane.batch) for plane in (spec.source, spec.target))
    products = CodeProducts(simd_of(target), _VECTORS)
    return DirectSection(DirectConvolution(row_section(spec.target.batch), x, y, products), view=batch_row)


@functools.cache
def emit(spec: QMatmulSpec, target: Target) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target."""
    section = _section(spec, target)
    with kernel_function("qmatmul") as function:
        source = plane_argument("source", spec.source)
        residual = residual_argument(spec.epilogue)
        weights, bias = section.weights_argument("weights"), section.bias_argument("bias")
        writer = EpilogueWriter(simd_of(target), spec.epilogue, spec.target, section.channels, residual)
        y = writer.target_argument()
        section.emit(batch_row(source), weights, bias, writer, y)
        finish_code_plane(y, writer)
    return function.get()


def pack(
    spec: QMatmulSpec,
    target: Target,
    weights: Array,
    bias: Array,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
) -> Mapping[str, Array]:
    """Parameters in argument order; arguments as in `build`."""
    section = _section(spec, target)
    packed = section.pack(weights[:, :, np.newaxis, np.newaxis])
    folded = section.pack_bias(weights, bias, spec.source.fill)
    numbers = pack_epilogue(spec.epilogue, spec.target, section.channels, multiplier, table, residual)
    return {"weights": packed, "bias": folded, **numbers}


def build(
    spec: QMatmulSpec,
    target: Target,
    weights: Array,
    bias: Array | None,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
) -> Kernel:
    """Code and constants of one fully connected layer.

    Args:
        spec: Planes and epilogue.
        target: The CPU to compile for.
        weights: int8 (C_out, C_in); the transpose of ONNX MatMul's right operand.
        bias: int32 (C_out,), in units of ``s_x · s_w[c]``; None is 0.
        multiplier: float32 (C_out,), as in `qconv2d.build`.
        table: uint8 (256,) or (C_out, 256), as the epilogue says.
        residual: Factors of the epilogue's addition.

    Raises:
        ModelError: The sums could overflow int32, or the weights' shape is not the spec's.
    """
    check_matrix(weights, spec.source, spec.target)
    bias = no_bias(weights) if bias is None else bias
    check_sums(weights, bias, spec.source.fill)
    params = pack(spec, target, weights, bias, multiplier, table=table, residual=residual)
    return Kernel(emit(representative(spec), target), params, spec.macs)
