"""The numbers of float convolutions. Specs have none, so that equal layers share code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class HconvNumbers:
    """The numbers of one layer, as ONNX has them; `pack` of a method lays them out for its code.

    Attributes:
        weights: Float in ONNX's order: (C_out, C_in/groups, kH, kW), or of a transposed convolution
            (C_in, C_out/groups, kH, kW).
        bias: (C_out,) float; None is 0.
        slope: (C_out,) float or a number, where the epilogue has a slope.
    """

    weights: Array
    bias: Array | None = None
    slope: Array | float | None = None
