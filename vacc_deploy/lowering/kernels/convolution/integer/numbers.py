"""The numbers of int8 convolutions. Specs have none, so that equal layers share code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.runtime.reference.add import AddFactors

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class QConvNumbers:
    """The numbers of one layer, as ONNX has them; `pack` of an algorithm lays them out for its code.

    Attributes:
        weights: int8 in ONNX's order: (C_out, C_in/groups, kH, kW), or of a transposed convolution
            (C_in, C_out/groups, kH, kW).
        bias: int32 (C_out,), in units of ``s_x · s_w[c]``.
        multiplier: float32 (C_out,): ``f32(f32(s_x·s_w[c]) / s_y)``, or ``f32(s_x·s_w[c])`` to float16.
        table: uint8 (256,), from code to code, where the epilogue has one.
        residual: Factors of the epilogue's addition, the convolution being its first operand.
    """

    weights: Array
    bias: Array
    multiplier: Array
    table: Array | None = None
    residual: AddFactors | None = None
