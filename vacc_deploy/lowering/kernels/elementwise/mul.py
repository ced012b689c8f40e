"""Multiplication of planes, element by element.

Codes: ``clamp(round(f32((q_a − z_a)(q_b − z_b)) · m) + z_y)`` with ``m = f32(f32(s_a·s_b) / s_y)``.
Floats: in float32, rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.codes import representative
from vacc_deploy.lowering.kernels.elementwise.binary import (
    BinarySpec,
    Combine,
    Scales,
    emit_binary,
    pack_binary,
)
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, let, splat
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import Plain
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.fixed_point import multiplier


@dataclass(frozen=True, slots=True)
class MulSpec(BinarySpec):
    """``a · b``."""


@cache
def emit(spec: MulSpec, target: Target) -> Any:
    """``mul(inputs, constant operand, multiplier (1,) float32, codes, output)``; no multiplier for floats."""
    if not spec.reads_codes:
        return emit_binary("mul", spec, {}, lambda _: lambda a, b, _lanes: a * b)
    return emit_binary("mul", spec, {"multiplier": Plain((1,), "float32")}, _integer_product)


def _integer_product(params: dict[str, Buffer]) -> Combine:
    factor = let(params["multiplier"][0])

    def combine(a: Expr, b: Expr, lanes: int) -> Expr:
        return cast(a * b, "float32") * splat(factor, lanes)

    return combine


def pack(
    spec: MulSpec,
    target: Target,
    *,
    scales: Scales | None = None,
    constant: npt.NDArray[Any] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """The kernel's parameters; see `build`."""
    if scales is None:
        return pack_binary(spec, constant)
    factor = np.reshape(multiplier(scales.a, scales.b, scales.output), (1,))
    return pack_binary(spec, constant, multiplier=factor)


def build(
    spec: MulSpec,
    target: Target,
    *,
    scales: Scales | None = None,
    constant: npt.NDArray[Any] | None = None,
) -> Kernel:
    """The kernel of a multiplication.

    Args:
        spec: Geometry.
        target: CPU level.
        scales: Steps of operands and result, for planes of codes and only there.
        constant: The constant operand, (N, C, H, W) as stored: uint8 codes, or floats.
    """
    return Kernel(emit(representative(spec), target), pack(spec, target, scales=scales, constant=constant))
