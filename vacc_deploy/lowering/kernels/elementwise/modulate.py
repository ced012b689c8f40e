"""Scaling every channel by a factor that is only known at run time.

Style modulation and demodulation (GPEN), gains of attention: ``output = input · factors[n, c]`` with float
factors, for floats and codes:

    codes → floats     f32(q − z) · (factor · s_x)
    codes → codes      round(f32(q − z) · (factor · (s_x / s_y)))

each product in float32 and in this order, so that codes take one multiplication and one rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish, pack_codes, representative
from vacc_deploy.lowering.kernels.elementwise.operand import OperandReader, operand_shape
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, concat, let, load, splat, store, take
from vacc_deploy.lowering.kernels.kernel import Kernel
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
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class ModulateSpec:
    """``output = input · factors``.

    Attributes:
        input: Codes or floats.
        factors: Plain floats of shape (N, C), or a float plane (N, C, 1, 1).
        output: Of the input's shape; floats, or codes if the input holds codes.
    """

    input: Plane
    factors: Plain | Plane
    output: Plane

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            ModelError: The operands do not fit.
        """
        shape = (self.output.batch, self.output.channels)
        factors = self.factors
        given = factors.shape if isinstance(factors, Plain) else operand_shape(factors)
        fits = given in (shape, (*shape, 1, 1)) and factors.dtype != "uint8"
        mixed = self.output.dtype == "uint8" and self.input.dtype != "uint8"
        if not fits or mixed or operand_shape(self.input) != operand_shape(self.output):
            raise ModelError(f"{given} factors, {self.input}, {self.output} do not fit", where="modulate")


@cache
def emit(spec: ModulateSpec, target: Target) -> Any:
    """``modulate(input, factors, step (1,) float32, codes, output)``, without the numbers for floats."""
    plane = spec.output
    with kernel_function("modulate") as function:
        source, factors, step, output = declare(
            input=spec.input,
            factors=spec.factors,
            step=Plain((1,), "float32") if spec.input.dtype == "uint8" else None,
            output=plane,
        )
        reader = OperandReader(source, plane)
        with written_rows(output) as row:
            reader.enter_row(*row)
            written = output.at(*row)
            gains = _read_factors(factors, plane, row)
            if step is not None:
                gains = gains * splat(step[0], plane.block)
            repeated = let(concat([let(gains)] * (LANES // plane.block)))

            def body(offset: Expr, channel: int, lanes: int) -> None:
                gain = repeated if lanes == LANES else take(repeated, range(lanes))
                y = finish(cast(reader.read(offset, channel, lanes), "float32") * gain, output)
                store(output.buffer, (written + offset,), only_live(y, output, row[1], channel))

            vectors(plane.width * plane.block, plane.block, body)
    return function.get()


def _read_factors(factors: FlatPlane | Buffer, plane: Plane, row: tuple[Expr, Expr, Expr]) -> Expr:
    """The float32 factors of one block."""
    n, block, _ = row
    if isinstance(factors, FlatPlane):
        return cast(load(factors.buffer, (factors.at(n, block, 0),), plane.block), "float32")
    first = n * plane.channels + block * plane.block
    if plane.channels % plane.block == 0:
        return cast(load(factors, (first,), plane.block), "float32")
    last = n * plane.channels + plane.channels - 1
    lanes = [load(factors, (T.min(first + lane, last),)) for lane in range(plane.block)]
    return cast(concat(lanes), "float32")


def pack(
    spec: ModulateSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters `step` and `codes`, for an input of codes."""
    if input_scale is None:
        return {}
    step = np.float32(input_scale)
    ratio = step if output_scale is None else step / np.float32(output_scale)
    return {"step": np.reshape(ratio, (1,)), **pack_codes(spec.input, spec.output)}


def build(
    spec: ModulateSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> Kernel:
    """The kernel of a modulation; scales are those of operands that hold codes."""
    return Kernel(emit(representative(spec), target), pack(spec, target, input_scale, output_scale))
