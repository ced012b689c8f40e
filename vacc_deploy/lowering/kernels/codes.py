"""Codes in and out of wide vectors, by the one rule of `runtime.reference`.

    y = clamp(round_half_even(real) + z)

Kernels hand over ``real`` as one float32 product or quotient, so there is exactly one rounding. The clamp
comes first, in float: its limits are integers and rounding is monotone, so the result is the same; the
conversion stays in range; and no addition follows a multiplication, which LLVM would contract to an FMA.

Zero points and limits are parameters: a network in which every tensor has a zero point of its own compiles no
more code than a symmetric one.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.vector import (
    Expr,
    cast,
    clamp,
    intrinsic,
    lanes_of,
    load,
    splat,
    type_of,
)
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane
from vacc_deploy.lowering.plane import Plane

_Spec = TypeVar("_Spec")


def representative(spec: _Spec) -> _Spec:
    """The spec that stands for all that the same code computes: its planes without their zero points.

    Limits `low` and `high` of an `output` of codes go, too; those of floats are part of the code.

    Args:
        spec: A kernel's frozen dataclass of planes, tuples of planes, and attributes.
    """
    changes: dict[str, Any] = {}
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}  # type: ignore[arg-type]
    for name, value in values.items():
        if isinstance(value, Plane):
            changes[name] = replace(value, fill=0)
        elif isinstance(value, tuple) and all(isinstance(item, Plane) for item in value):
            changes[name] = tuple(replace(item, fill=0) for item in value)
    output = values.get("output")
    if isinstance(output, Plane) and output.dtype == "uint8" and "low" in values:
        changes |= {"low": -math.inf, "high": math.inf}
    result: _Spec = replace(spec, **changes)  # type: ignore[type-var]
    return result


def pack_codes(*planes: Plane, low: float = -math.inf, high: float = math.inf) -> dict[str, npt.NDArray[Any]]:
    """The parameter `codes`, the last one before the output; see `plane_rows.declare`.

    Args:
        planes: The kernel's planes in argument order; floats do not count.
        low: Smallest code of the result.
        high: Largest code of the result.
    """
    zero_points = [plane.fill for plane in planes if plane.dtype == "uint8"]
    if not zero_points:
        return {}
    return {"codes": np.array([*zero_points, max(low, 0), min(high, 255)], np.int32)}


def load_centred(source: FlatPlane, at: Expr, lanes: int) -> Expr:
    """``q − z`` of the codes at `at`, as int32 lanes."""
    assert source.codes is not None
    return cast(load(source.buffer, (at,), lanes), "int32") - splat(source.codes.zero_point, lanes)


def round_to_int(real: Expr) -> Expr:
    """Float32 lanes rounded to int32, ties to even; every lane must be within the int32 range.

    ``llvm.lrint`` is ``cvtps2dq`` on every x86 level, from SSE2 on.
    """
    return intrinsic(type_of("int32", lanes_of(real)), "llvm.lrint", real)


def finish(real: Expr, output: FlatPlane, low: float = -math.inf, high: float = math.inf) -> Expr:
    """Float32 lanes as `output` stores them, rounded once.

    Args:
        real: Results; in units of the output's scale where that holds codes.
        output: The plane they go to. Codes are clamped to its own limits, of run time.
        low: Smallest float.
        high: Largest float.
    """
    if output.codes is not None:
        return to_codes(real, output)
    if (low, high) != (-math.inf, math.inf):
        real = clamp(real, low, high)
    return cast(real, output.plane.dtype)


def to_codes(real: Expr, output: FlatPlane) -> Expr:
    """Reals in units of the output's scale, as uint8 lanes within its limits."""
    numbers, lanes = output.codes, lanes_of(real)
    assert numbers is not None
    lowest, highest = (
        splat(cast(limit - numbers.zero_point, "float32"), lanes) for limit in (numbers.low, numbers.high)
    )
    steps = round_to_int(T.min(T.max(real, lowest), highest))
    return cast(steps + splat(numbers.zero_point, lanes), "uint8")
