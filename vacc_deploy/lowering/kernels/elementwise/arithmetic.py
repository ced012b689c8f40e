"""Operators of two float planes beside `add` and `mul`: division, minimum, maximum.

Computed in float32 and rounded once; operands broadcast as `operand` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.elementwise.binary import BinarySpec, emit_binary, pack_binary
from vacc_deploy.lowering.kernels.isa.vector import Expr
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import Target

FUNCTIONS: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "Div": lambda a, b: a / b,
    "Max": T.max,
    "Min": T.min,
}
"""By the names that ONNX gives them."""


@dataclass(frozen=True, slots=True)
class ArithmeticSpec(BinarySpec):
    """``output = function(a, b)`` of float planes; `function` is a key of `FUNCTIONS`."""

    function: str = "Div"

    def __post_init__(self) -> None:
        """Checks shapes, types and function.

        Raises:
            ModelError: An operand does not broadcast, holds codes, or the function is not known.
        """
        BinarySpec.__post_init__(self)
        if self.function not in FUNCTIONS or self.is_quantized:
            raise ModelError(
                f"'{self.function}' of {self.output.dtype} planes has no kernel",
                where="arithmetic",
                hint=f"float planes and one of {', '.join(FUNCTIONS)}",
            )


@cache
def emit(spec: ArithmeticSpec, target: Target) -> Any:
    """``arithmetic(inputs, constant operand, output)``."""
    function = FUNCTIONS[spec.function]
    return emit_binary("arithmetic", spec, {}, lambda _: lambda a, b, _lanes: function(a, b))


def pack(
    spec: ArithmeticSpec, target: Target, constant: npt.NDArray[Any] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The constant operand, if there is one."""
    return pack_binary(spec, constant)


def build(spec: ArithmeticSpec, target: Target, constant: npt.NDArray[Any] | None = None) -> Kernel:
    """The kernel of a float operator; `constant` is the constant operand, (N, C, H, W)."""
    return Kernel(emit(spec, target), pack(spec, target, constant))
