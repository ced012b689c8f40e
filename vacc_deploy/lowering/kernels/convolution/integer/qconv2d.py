"""int8 convolution: uint8 plane × int8 weights → uint8 or float16 plane, exact on every target.

    acc = Σ (q_x − z_x)·q_w + b        int32
    y   = the epilogue of acc          see `epilogue`

One algorithm per file; this one chooses and packs. All of them compute the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.integer import qconv2d_depthwise, qconv2d_grouped
from vacc_deploy.lowering.kernels.convolution.integer.amx.blocking import Blocking, choose_blocking, pack_amx
from vacc_deploy.lowering.kernels.convolution.integer.amx.kernel import emit_amx
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import pack_epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.qconv2d_direct import (
    Tile,
    choose_tile,
    emit_direct,
    pack_direct,
    vectors_of,
)
from vacc_deploy.lowering.kernels.convolution.integer.qconv2d_narrow import (
    Segments,
    choose_segments,
    emit_narrow,
    pack_narrow,
    repeat_channels,
)
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec, representative_convolution
from vacc_deploy.lowering.kernels.convolution.integer.sums import (
    check_sums,
    fold_zero_point,
    pad_channels,
)
from vacc_deploy.lowering.kernels.convolution.integer.winograd.ordinary import (
    emit_winograd,
    pack_winograd,
    plan_winograd,
    scale_sums,
)
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiling import Chunk
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Isa, Target

Array: TypeAlias = npt.NDArray[Any]
Algorithm = Literal["amx", "narrow", "winograd", "direct"]
ALGORITHMS: tuple[Algorithm, ...] = ("amx", "narrow", "winograd", "direct")
"""All algorithms of a convolution that is not grouped, the preferred one first."""
Plan: TypeAlias = Blocking | Segments | Chunk | Tile
"""How an algorithm cuts the work, and thereby which one it is."""


def plan(algorithm: Algorithm, spec: QConv2dSpec, target: Target, numbers: QConvNumbers) -> Plan | None:
    """How `algorithm` computes this geometry, exactly, with these numbers; None where it cannot."""
    simd = simd_of(target)
    if algorithm == "amx":
        return choose_blocking(spec) if target.isa is Isa.AMX else None
    if algorithm == "narrow":
        return choose_segments(simd, spec)
    if algorithm == "winograd":
        return plan_winograd(simd, spec, numbers)
    return choose_tile(simd, spec.target.width, vectors_of(simd, spec.target.channels))


def choose_plan(spec: QConv2dSpec, target: Target, numbers: QConvNumbers) -> Plan:
    """That of the fastest algorithm that can; the direct one always does."""
    plans = (plan(algorithm, spec, target, numbers) for algorithm in ALGORITHMS)
    return next(found for found in plans if found is not None)


def emit(spec: QConv2dSpec, target: Target, chosen: Plan) -> Any:
    """The ``PrimFunc``: source, [residual], the parameters of `pack`, target. Equal arguments share one."""
    if isinstance(chosen, Blocking):
        return emit_amx(spec, target, chosen)
    if isinstance(chosen, Segments):
        return emit_narrow(spec, target, chosen)
    if isinstance(chosen, Chunk):
        return emit_winograd(spec, target, chosen)
    return emit_direct(spec, target, chosen)


def pack(spec: QConv2dSpec, target: Target, chosen: Plan, numbers: QConvNumbers) -> Mapping[str, Array]:
    """Parameters in argument order."""
    simd, weights = simd_of(target), numbers.weights
    channels = vectors_of(simd, spec.target.channels) * simd.lanes
    bias = pad_channels(fold_zero_point(weights, numbers.bias, spec.source.fill), 0, channels)
    multiplier = numbers.multiplier
    if isinstance(chosen, Blocking):
        packed = pack_amx(spec, chosen, weights)
    elif isinstance(chosen, Segments):
        packed = pack_narrow(spec, simd, chosen, weights)
        channels, bias = simd.lanes, repeat_channels(bias[: spec.target.channels], simd.lanes)
        multiplier = repeat_channels(multiplier, simd.lanes)
    elif isinstance(chosen, Chunk):
        packed = pack_winograd(spec, simd, chosen, weights)
        bias, multiplier = scale_sums(spec, chosen, bias, multiplier)
    else:
        packed = pack_direct(spec, simd, chosen, weights)
    after = pack_epilogue(spec, channels, replace(numbers, multiplier=multiplier))
    return {"weights": packed, "bias": bias, **after}


def build(
    spec: QConv2dSpec,
    target: Target,
    numbers: QConvNumbers,
    *,
    algorithm: Algorithm | None = None,
) -> Kernel:
    """Code and constants of one convolution.

    Args:
        spec: Geometry and epilogue.
        target: The CPU to compile for.
        numbers: Weights, bias and what the epilogue needs.
        algorithm: For tests and measurements of what is not grouped; the fastest one by default.

    Returns:
        The kernel; its inputs are the source plane and, if the epilogue adds one, the residual's plane.

    Raises:
        ModelError: The sums could overflow int32, the weights' shape is not the spec's, or `algorithm` cannot
            compute this.
    """
    spec.check_weights(numbers.weights)
    check_sums(numbers.weights, numbers.bias, spec.source.fill)
    shared = representative_convolution(spec)
    if spec.groups > 1:
        method = qconv2d_depthwise if spec.depthwise else qconv2d_grouped
        return Kernel(method.emit(shared, target), method.pack(spec, target, numbers), spec.macs)
    chosen = plan(algorithm, spec, target, numbers) if algorithm else choose_plan(spec, target, numbers)
    if chosen is None:
        raise ModelError("this algorithm has no kernel for this convolution", where=algorithm)
    return Kernel(emit(shared, target, chosen), pack(spec, target, chosen, numbers), spec.macs)
