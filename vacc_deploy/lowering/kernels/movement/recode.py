"""One plane into another: new halo, new scale, or another storage type.

codes → codes      T[q], the table of a requantisation; a plain copy where no scales are given
codes → floats     (q − z) · s                        ONNX DequantizeLinear, then one rounding
floats → codes     clamp(round(x / s) + z)            ONNX QuantizeLinear, a true division
floats → floats    one rounding
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish, load_centred, pack_codes, representative
from vacc_deploy.lowering.kernels.elementwise import table
from vacc_deploy.lowering.kernels.elementwise.operand import operand_shape
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, load, splat, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import (
    FlatPlane,
    Plain,
    declare,
    only_live,
    vectors,
    written_rows,
)
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.table import requantize_table


@dataclass(frozen=True, slots=True)
class RecodeSpec:
    """`input` as `output`: planes of one shape whose storage type, scale and halo may differ."""

    input: Plane
    output: Plane

    def __post_init__(self) -> None:
        """Checks the shapes.

        Raises:
            ModelError: They differ.
        """
        if operand_shape(self.input) != operand_shape(self.output):
            raise ModelError(f"{self.input} and {self.output} differ in shape", where="recode")

    @property
    def has_scale(self) -> bool:
        """Whether reals are made from codes or codes from reals."""
        return (self.input.dtype == "uint8") != (self.output.dtype == "uint8")


@cache
def emit(spec: RecodeSpec, target: Target) -> Any:
    """``recode(input, scale (1,), codes, output)``; without `scale` between planes of one kind.

    Codes become codes by a copy here; `build` uses a table where scales differ.
    """
    plane = spec.output
    with kernel_function("recode") as function:
        source, scale, output = declare(
            input=spec.input, scale=Plain((1,), "float32") if spec.has_scale else None, output=plane
        )
        with written_rows(output) as row:
            read, written = source.at(*row), output.at(*row)

            def body(offset: Expr, channel: int, lanes: int) -> None:
                value = _convert(source, read + offset, scale, output, lanes)
                store(output.buffer, (written + offset,), only_live(value, output, row[1], channel))

            vectors(plane.width * plane.block, plane.block, body)
    return function.get()


def _convert(source: FlatPlane, at: Expr, scale: Buffer | None, output: FlatPlane, lanes: int) -> Expr:
    if source.plane.dtype == output.plane.dtype:
        return load(source.buffer, (at,), lanes)
    if source.plane.dtype == "uint8":
        assert scale is not None
        real = cast(load_centred(source, at, lanes), "float32") * splat(scale[0], lanes)
        return cast(real, output.plane.dtype)
    value = cast(load(source.buffer, (at,), lanes), "float32")
    if scale is not None:
        value = value / splat(scale[0], lanes)
    return finish(value, output)


def pack(
    spec: RecodeSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters `scale`, of a quantisation or dequantisation, and `codes`."""
    scale = input_scale if spec.input.dtype == "uint8" else output_scale
    params = {"scale": np.array([scale], np.float32)} if spec.has_scale else {}
    return {**params, **pack_codes(spec.input, spec.output)}


def build(
    spec: RecodeSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> Kernel:
    """The kernel that turns one plane into another.

    Args:
        spec: Geometry.
        target: CPU level.
        input_scale: Step of an `input` of codes.
        output_scale: Step of an `output` of codes.
    """
    old, new = spec.input, spec.output
    if old.dtype == new.dtype == "uint8" and (input_scale, old.fill) != (output_scale, new.fill):
        assert input_scale is not None
        assert output_scale is not None
        entries = requantize_table(
            scale=input_scale,
            zero_point=old.fill,
            dtype=np.uint8,
            output_scale=output_scale,
            output_zero_point=new.fill,
            output_dtype=np.uint8,
        )
        return table.build(table.TableSpec(old, new), target, entries)
    return Kernel(emit(representative(spec), target), pack(spec, target, input_scale, output_scale))
