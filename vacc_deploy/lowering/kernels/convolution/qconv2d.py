"""int8 convolution: uint8 plane × int8 weights → uint8 or float16 plane, exact on every target.

    acc = Σ (q_x − z_x)·q_w + b        int32
    y   = the epilogue of acc          see `epilogue`

One algorithm per file; this one chooses and packs. All of them compute the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.epilogue import (
    Epilogue,
    Residual,
    pack_epilogue,
    representative,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_amx import choose_blocking, emit_amx, pack_amx
from vacc_deploy.lowering.kernels.convolution.qconv2d_direct import (
    choose_tile,
    emit_direct,
    pack_direct,
    vectors_of,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_narrow import (
    choose_segments,
    emit_narrow,
    pack_narrow,
    repeat_channels,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_spec import (
    QConv2dSpec,
    check_sums,
    fold_zero_point,
    pad_channels,
)
from vacc_deploy.lowering.kernels.convolution.qconv2d_winograd import (
    choose_chunk,
    emit_winograd,
    pack_winograd,
    plan_winograd,
    scale_sums,
)
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Isa, Target
from vacc_deploy.runtime.reference.add import AddFactors

__all__ = ["Epilogue", "QConv2dSpec", "Residual", "applies", "build", "emit", "pack"]

Array: TypeAlias = npt.NDArray[Any]
Algorithm = Literal["amx", "narrow", "winograd", "direct"]
ALGORITHMS: tuple[Algorithm, ...] = ("amx", "narrow", "winograd", "direct")
"""All algorithms, the preferred one first."""


def applies(
    algorithm: Algorithm, spec: QConv2dSpec, target: Target, weights: Array, bias: Array, multiplier: Array
) -> bool:
    """Whether `algorithm` can compute this geometry, exactly, with these numbers."""
    if algorithm == "amx":
        return target.isa is Isa.AMX and choose_blocking(spec) is not None
    if algorithm == "narrow":
        return choose_segments(simd_of(target), spec) is not None
    if algorithm == "winograd":
        return plan_winograd(simd_of(target), spec, weights, bias, multiplier) is not None
    return True


def choose_algorithm(
    spec: QConv2dSpec, target: Target, weights: Array, bias: Array, multiplier: Array
) -> Algorithm:
    """The fastest algorithm that `applies`; the direct one always does."""
    for algorithm in ALGORITHMS:
        if applies(algorithm, spec, target, weights, bias, multiplier):
            return algorithm
    return "direct"


_Blocking = TypeVar("_Blocking")


def _existing(blocking: _Blocking | None) -> _Blocking:
    if blocking is None:
        raise ModelError("this algorithm has no kernel for this convolution")
    return blocking


def emit(spec: QConv2dSpec, target: Target, algorithm: Algorithm = "direct", *, shares: int = 1) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target. Equal arguments share one.

    `shares` are those that `plan_winograd` needs for the numbers.
    """
    if algorithm == "amx":
        return emit_amx(spec, target, _existing(choose_blocking(spec)))
    if algorithm == "narrow":
        return emit_narrow(spec, target, _existing(choose_segments(simd_of(target), spec)))
    if algorithm == "winograd":
        chunk = replace(_existing(choose_chunk(simd_of(target), spec)), shares=shares)
        return emit_winograd(spec, target, chunk)
    return emit_direct(spec, target)


def pack(
    spec: QConv2dSpec,
    target: Target,
    weights: Array,
    bias: Array,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
    algorithm: Algorithm = "direct",
    shares: int = 1,
) -> Mapping[str, Array]:
    """Parameters in argument order; arguments as in `build` and `emit`."""
    simd = simd_of(target)
    vectors = vectors_of(simd, spec.target.channels)
    channels = vectors * simd.lanes
    folded = pad_channels(fold_zero_point(weights, bias, spec.source.fill), 0, channels)
    if algorithm == "amx":
        packed = pack_amx(spec, _existing(choose_blocking(spec)), weights)
    elif algorithm == "narrow":
        packed = pack_narrow(spec, simd, _existing(choose_segments(simd, spec)), weights)
        channels, folded = simd.lanes, repeat_channels(folded[: spec.target.channels], simd.lanes)
        multiplier = repeat_channels(multiplier, simd.lanes)
        if table is not None and spec.epilogue.table == "per_channel":
            table = repeat_channels(table.reshape(-1, 256), simd.lanes)
    elif algorithm == "winograd":
        chunk = replace(_existing(choose_chunk(simd, spec)), shares=shares)
        packed = pack_winograd(spec, simd, chunk, weights)
        folded, multiplier = scale_sums(spec, chunk, folded, multiplier)
    else:
        packed = pack_direct(spec, simd, choose_tile(simd, spec.target.width, vectors), weights)
    numbers = pack_epilogue(spec.epilogue, spec.target, channels, multiplier, table, residual)
    return {"weights": packed, "bias": folded, **numbers}


def build(
    spec: QConv2dSpec,
    target: Target,
    weights: Array,
    bias: Array | None,
    multiplier: Array,
    *,
    table: Array | None = None,
    residual: AddFactors | None = None,
    algorithm: Algorithm | None = None,
) -> Kernel:
    """Code and constants of one convolution.

    Args:
        spec: Geometry and epilogue.
        target: The CPU to compile for.
        weights: int8 (C_out, C_in, kH, kW).
        bias: int32 (C_out,), in units of ``s_x · s_w[c]``; None is 0.
        multiplier: float32 (C_out,): ``f32(f32(s_x·s_w[c]) / s_y)``, or ``f32(s_x·s_w[c])`` to float16.
        table: uint8 (256,) or (C_out, 256), as the epilogue says.
        residual: Factors of the epilogue's addition, the convolution being its first operand.
        algorithm: For tests and measurements; the fastest one that `applies` by default.

    Returns:
        The kernel; its inputs are the source plane and, if the epilogue adds one, the residual's plane.

    Raises:
        ModelError: The sums could overflow int32.
    """
    bias = np.zeros(weights.shape[0], np.int32) if bias is None else bias
    check_sums(weights, bias, spec.source.fill)
    numbers = (weights, bias, multiplier)
    chosen = algorithm or choose_algorithm(spec, target, *numbers)
    shares = 1
    if chosen == "winograd":
        shares = _existing(plan_winograd(simd_of(target), spec, *numbers)).shares
    params = pack(spec, target, *numbers, table=table, residual=residual, algorithm=chosen, shares=shares)
    return Kernel(emit(representative(spec), target, chosen, shares=shares), params, spec.macs)
