"""The frame of every operator of two operands: rows in parallel, operands broadcast, one rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish, pack_codes
from vacc_deploy.lowering.kernels.elementwise.operand import OperandReader, check_broadcast, constant_plane
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, store
from vacc_deploy.lowering.kernels.plane_rows import (
    LANES,
    FlatPlane,
    Plain,
    declare,
    only_live,
    vectors,
    written_rows,
)
from vacc_deploy.lowering.plane import Plane

Combine: TypeAlias = Callable[[Expr, Expr, int], Expr]
"""(a, b, lanes) → float32 lanes: the result, in steps of the output's scale where that holds codes."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Quantisation steps of both operands and of the result."""

    a: float
    b: float
    output: float


@dataclass(frozen=True, slots=True)
class BinarySpec:
    """Geometry of ``output = a ∘ b``; a and b broadcast as `operand` describes.

    Attributes:
        a: First operand.
        b: Second operand; codes where the first is.
        output: Result; codes where the operands are, floats where they are, unless `quantizes`.
        constant: The operand that is a constant and comes after the inputs, if one is.
        low: Smallest result: a code for codes, a real for floats. A fused ReLU or Clip sets it.
        high: Largest result.
    """

    a: Plane
    b: Plane
    output: Plane
    constant: Literal["a", "b"] | None = None
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Checks shapes and types.

        Raises:
            ModelError: An operand does not broadcast, or codes and floats are mixed.
        """
        for operand in (self.a, self.b):
            check_broadcast(operand, self.output, type(self).__name__)
            if (operand.dtype == "uint8") != (self.output.dtype == "uint8") and not self.quantizes:
                raise ModelError(
                    f"{operand.dtype} and {self.output.dtype} planes cannot be combined",
                    where=type(self).__name__,
                    hint="convert one of them with `recode` first",
                )

    @property
    def reads_codes(self) -> bool:
        """Whether codes are computed with."""
        return self.a.dtype == "uint8"

    @property
    def quantizes(self) -> bool:
        """Whether codes are made of floats, which is up to the operator."""
        return False

    @property
    def operands(self) -> dict[str, Plane]:
        """``a`` and ``b`` in argument order: a constant comes last."""
        return {"b": self.b, "a": self.a} if self.constant == "a" else {"a": self.a, "b": self.b}


def emit_binary(
    name: str, spec: BinarySpec, params: dict[str, Plain], combine: Callable[[dict[str, Buffer]], Combine]
) -> Any:
    """``name(a, b, constant operand, *params, codes, output)``, the constant one not among the first two.

    Args:
        name: Name of the function.
        spec: Geometry.
        params: Further parameters.
        combine: Given the parameters' buffers, inside a row, returns the arithmetic.
    """
    arguments: dict[str, Plane | Plain] = {**spec.operands, **params, "output": spec.output}
    with kernel_function(name) as function:
        declared = dict(zip(arguments, declare(**arguments), strict=True))
        output: FlatPlane = declared["output"]
        readers = [OperandReader(declared[key], spec.output) for key in ("a", "b")]
        with written_rows(output) as row:
            for reader in readers:
                reader.enter_row(*row)
            arithmetic = combine({key: declared[key] for key in params})
            start = output.at(*row)

            def body(offset: Expr, channel: int, lanes: int) -> None:
                a, b = (reader.read(offset, channel, lanes) for reader in readers)
                result = finish(arithmetic(a, b, lanes), output, spec.low, spec.high)
                store(output.buffer, (start + offset,), only_live(result, output, row[1], channel))

            vectors(
                spec.output.width * spec.output.block,
                spec.output.block,
                body,
                lanes=min(LANES, *(reader.lanes for reader in readers)),
            )
    return function.get()


def pack_binary(
    spec: BinarySpec, values: npt.NDArray[Any] | None, **params: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """The parameters of `emit_binary`, in order.

    Args:
        spec: Geometry.
        values: The constant operand, (N, C, H, W) as stored, if there is one.
        params: What the operator adds.
    """
    packed = dict(params)
    if spec.constant is not None and values is not None:
        packed = {spec.constant: constant_plane(values, spec.operands[spec.constant]), **params}
    codes = pack_codes(*spec.operands.values(), spec.output, low=spec.low, high=spec.high)
    return {**packed, **codes}
