"""PRelu with one slope per channel: ``y = x < 0 ? slope[c]·x : x``.

On codes the same numbers as a table per channel would give, ``quantize(f(dequantize(q)))`` with every step
rounded to float32, but computed, since no instruction looks codes up in 64 tables at once.
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
from vacc_deploy.lowering.kernels.elementwise.operand import OperandReader, constant_plane, operand_shape
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, constant, let, splat, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import Plain, declare, only_live, vectors, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class PReluSpec:
    """`input` and `output` of one shape, both codes or both floats."""

    input: Plane
    output: Plane

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            ModelError: The planes do not fit.
        """
        mixed = (self.input.dtype == "uint8") != (self.output.dtype == "uint8")
        if mixed or operand_shape(self.input) != operand_shape(self.output):
            raise ModelError(f"{self.input} and {self.output} do not fit", where="prelu")

    @property
    def slopes(self) -> Plane:
        """The plane that the slopes are packed as."""
        return Plane(1, self.input.channels, 1, 1, "float32")


@cache
def emit(spec: PReluSpec, target: Target) -> Any:
    """``prelu(input, slopes, scales (2,), codes, output)``, without the numbers of codes for floats."""
    plane = spec.output
    quantized = plane.dtype == "uint8"
    with kernel_function("prelu") as function:
        source, slopes, scales, output = declare(
            input=spec.input,
            slopes=spec.slopes,
            scales=Plain((2,), "float32") if quantized else None,
            output=plane,
        )
        readers = OperandReader(source, plane), OperandReader(slopes, plane)
        with written_rows(output) as row:
            for reader in readers:
                reader.enter_row(*row)
            written = output.at(*row)

            def body(offset: Expr, channel: int, lanes: int) -> None:
                x, slope = (reader.read(offset, channel, lanes) for reader in readers)
                if quantized:
                    x = cast(x, "float32") * splat(scales[0], lanes)
                x = let(x)
                y = T.Select(x < constant(0.0, "float32", lanes), x * slope, x)
                if quantized:
                    y = y / splat(scales[1], lanes)
                store(
                    output.buffer, (written + offset,), only_live(finish(y, output), output, row[1], channel)
                )

            vectors(plane.width * plane.block, plane.block, body)
    return function.get()


def pack(
    spec: PReluSpec,
    target: Target,
    slopes: npt.NDArray[np.float32],
    input_scale: float | None = None,
    output_scale: float | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """The parameters; see `build`."""
    params: dict[str, npt.NDArray[Any]] = {
        "slopes": constant_plane(slopes.astype(np.float32).reshape(1, -1, 1, 1), spec.slopes)
    }
    if input_scale is not None:
        params["scales"] = np.array([input_scale, output_scale], np.float32)
    return {**params, **pack_codes(spec.input, spec.output)}


def build(
    spec: PReluSpec,
    target: Target,
    slopes: npt.NDArray[np.float32],
    input_scale: float | None = None,
    output_scale: float | None = None,
) -> Kernel:
    """The kernel of a PRelu with (C,) slopes; planes of codes need their scales."""
    return Kernel(emit(representative(spec), target), pack(spec, target, slopes, input_scale, output_scale))
