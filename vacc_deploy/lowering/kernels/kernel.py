"""What every kernel family hands to the lowering: a function of fixed shapes and its packed constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Kernel:
    """One compiled operator: ``func(*inputs, *params.values(), *outputs)``, all shapes static.

    Attributes:
        func: The TIR ``PrimFunc``. Equal geometries share one object, so that code is emitted once.
        params: Packed constants in argument order (weights in the instruction set's order, biases, tables).
        macs: Multiply-accumulates of one call, 0 for data movement.
    """

    func: Any
    params: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    macs: int = 0
