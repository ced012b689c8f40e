"""The frame of every operator of two operands: rows in parallel, operands broadcast, one rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import to_codes
from vacc_deploy.lowering.kernels.elementwise.operand import OperandReader, check_broadcast, constant_plane
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, clamp, store
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
        b: Second operand.
        output: Result; codes where both operands are, floats where both are.
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
            if (operand.dtype == "uint8") != (self.output.dtype == "uint8"):
                raise ModelError(
                    f"{operand.dtype} and {self.output.dtype} planes cannot be combined",
                    where=type(self).__name__,
                    hint="convert one of them with `recode` first",
                )

    @property
    def is_quantized(self) -> bool:
        """Whether codes are computed with."""
        return self.output.dtype == "uint8"


def emit_binary(
    name: str, spec: BinarySpec, params: dict[str, Plain], combine: Callable[[dict[str, Buffer]], Combine]
) -> Any:
    """``name(a, b, constant operand, *params, output)``, the constant one not being among the first two.

    Args:
        name: Name of the function.
        spec: Geometry.
        params: Further parameters.
        combine: Given the parameters' buffers, inside a row, returns the arithmetic.
    """
    order = {"a": ("b", "a"), "b": ("a", "b"), None: ("a", "b")}[spec.constant]
    operands = {"a": spec.a, "b": spec.b}
    with kernel_function(name) as function:
        declared = dict(
            zip(
                (*order, *params, "output"),
                declare(**{key: operands[key] for key in order}, **params, output=spec.output),
                strict=True,
            )
        )
        output: FlatPlane = declared["output"]
        readers = [OperandReader(declared[key], spec.output) for key in ("a", "b")]
        with written_rows(output) as row:
            for reader in readers:
                reader.enter_row(*row)
            arithmetic = combine({key: declared[key] for key in params})
            start = output.at(*row)

            def body(offset: Expr, channel: int, lanes: int) -> None:
                a, b = (reader.read(offset, channel, lanes) for reader in readers)
                result = finish(arithmetic(a, b, lanes), spec.output, spec.low, spec.high)
                store(output.buffer, (start + offset,), only_live(result, spec.output, row[1], channel))

            vectors(
                spec.output.width * spec.output.block,
                spec.output.block,
                body,
                lanes=min(LANES, *(reader.lanes for reader in readers)),
            )
    return function.get()


def finish(real: Expr, output: Plane, low: float = -math.inf, high: float = math.inf) -> Expr:
    """Float32 lanes as `output` stores them, clamped to [low, high] (codes for a plane of codes)."""
    if output.dtype == "uint8":
        return to_codes(real, output.fill, int(max(low, 0)), int(min(high, 255)))
    if (low, high) != (-math.inf, math.inf):
        real = clamp(real, low, high)
    return cast(real, output.dtype)


def constant_param(spec: BinarySpec, values: npt.NDArray[Any] | None) -> dict[str, npt.NDArray[Any]]:
    """The parameter that holds the constant operand, (N, C, H, W) `values` as they are stored."""
    if spec.constant is None or values is None:
        return {}
    return {spec.constant: constant_plane(values, spec.a if spec.constant == "a" else spec.b)}
