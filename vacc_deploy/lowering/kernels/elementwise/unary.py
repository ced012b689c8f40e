"""Functions of one value on planes of floats: computed in float32, rounded once.

On planes of codes every such function is a `table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.elementwise.float_functions import FUNCTIONS
from vacc_deploy.lowering.kernels.elementwise.operand import operand_shape
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, let, load, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import declare, only_live, vectors, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

_LANES = 16  # a function holds several vectors at once; wider ones would not fit the registers


@dataclass(frozen=True, slots=True)
class UnarySpec:
    """``output = function(input)`` on float planes of one shape.

    Attributes:
        input: What is read.
        output: What is written.
        function: A key of `float_functions.FUNCTIONS`: the ONNX operator's name.
        alpha: The operator's first attribute, where it has one.
        beta: The second.
    """

    input: Plane
    output: Plane
    function: str
    alpha: float = 0.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        """Checks function, types and shapes.

        Raises:
            ModelError: The function is not known, or the planes do not fit.
        """
        if self.function not in FUNCTIONS:
            raise ModelError(
                f"'{self.function}' has no float kernel", where="unary", hint=f"known: {', '.join(FUNCTIONS)}"
            )
        if operand_shape(self.input) != operand_shape(self.output):
            raise ModelError(f"{self.input} and {self.output} differ in shape", where=self.function)
        if "uint8" in (self.input.dtype, self.output.dtype):
            raise ModelError("codes are given to a float function", where=self.function, hint="use a table")


@cache
def emit(spec: UnarySpec, target: Target) -> Any:
    """``unary(input, output)``."""
    plane = spec.output
    with kernel_function("unary") as function:
        source, output = declare(input=spec.input, output=plane)
        with written_rows(output) as row:
            read, written = source.at(*row), output.at(*row)

            def body(offset: Expr, channel: int, lanes: int) -> None:
                x = let(cast(load(source.buffer, (read + offset,), lanes), "float32"))
                y = cast(FUNCTIONS[spec.function](x, spec.alpha, spec.beta), plane.dtype)
                store(output.buffer, (written + offset,), only_live(y, output, row[1], channel))

            vectors(plane.width * plane.block, plane.block, body, lanes=_LANES)
    return function.get()


def build(spec: UnarySpec, target: Target) -> Kernel:
    """The kernel of a float function; it has no parameters."""
    return Kernel(emit(spec, target))
