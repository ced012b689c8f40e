"""Addition and subtraction of planes.

Codes are added in int32 in units of 2^-k output steps and rounded once, as `runtime.reference.add` says;
floats in float32, rounded once. Floats may give codes: those of the QuantizeLinear that alone reads the sum,
which then never goes through memory.
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
from vacc_deploy.lowering.kernels.plane_rows import LANES, Plain
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.add import add_factors


@dataclass(frozen=True, slots=True)
class AddSpec(BinarySpec):
    """``a + b``, or ``a − b``."""

    subtract: bool = False

    @property
    def quantizes(self) -> bool:
        """Whether the sum of floats is quantised."""
        return self.output.dtype == "uint8" and "uint8" not in (self.a.dtype, self.b.dtype)


@cache
def emit(spec: AddSpec, target: Target) -> Any:
    """``add(inputs, constant operand, factors (2,) int32, step (1,) float32, codes, output)``.

    Floats come without `factors`, and without `step` where they stay floats.
    """
    if spec.quantizes:
        return emit_binary("add", spec, {"step": Plain((1,), "float32")}, lambda p: _coded_sum(spec, p))
    if not spec.reads_codes:
        return emit_binary("add", spec, {}, lambda _: _float_sum(spec))
    params = {"factors": Plain((2,), "int32"), "step": Plain((1,), "float32")}
    return emit_binary("add", spec, params, _integer_sum)


def _integer_sum(params: dict[str, Buffer]) -> Combine:
    factor_a = let(splat(params["factors"][0], LANES))
    factor_b = let(splat(params["factors"][1], LANES))
    step = let(params["step"][0])

    def combine(a: Expr, b: Expr, lanes: int) -> Expr:
        if lanes == LANES:
            total = a * factor_a + b * factor_b
        else:
            total = a * splat(params["factors"][0], lanes) + b * splat(params["factors"][1], lanes)
        return cast(total, "float32") * splat(step, lanes)

    return combine


def _float_sum(spec: AddSpec) -> Combine:
    return lambda a, b, _: a - b if spec.subtract else a + b


def _coded_sum(spec: AddSpec, params: dict[str, Buffer]) -> Combine:
    """As `recode` quantises the sum, which has been rounded to the operands' own type before."""
    total, step = _float_sum(spec), let(params["step"][0])

    def combine(a: Expr, b: Expr, lanes: int) -> Expr:
        stored = cast(total(a, b, lanes), spec.a.dtype)
        return cast(stored, "float32") / splat(step, lanes)

    return combine


def pack(
    spec: AddSpec,
    target: Target,
    *,
    scales: Scales | None = None,
    step: float | None = None,
    constant: npt.NDArray[Any] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """The kernel's parameters; see `build`."""
    if step is not None:
        return pack_binary(spec, constant, step=np.array([step], np.float32))
    if scales is None:
        return pack_binary(spec, constant)
    factors = add_factors(scales.a, scales.b, scales.output, subtract=spec.subtract)
    pair = np.array([factors.a, factors.b], np.int32)
    return pack_binary(spec, constant, factors=pair, step=np.array([factors.m], np.float32))


def build(
    spec: AddSpec,
    target: Target,
    *,
    scales: Scales | None = None,
    step: float | None = None,
    constant: npt.NDArray[Any] | None = None,
) -> Kernel:
    """The kernel of an addition or subtraction.

    Args:
        spec: Geometry.
        target: CPU level.
        scales: Steps of operands and result, for planes of codes and only there.
        step: The result's, for codes of floats and only there.
        constant: The constant operand, (N, C, H, W) as stored: uint8 codes, or floats.

    Raises:
        ModelError: The operands' steps are too coarse for the output's.
    """
    params = pack(spec, target, scales=scales, step=step, constant=constant)
    return Kernel(emit(representative(spec), target), params)
