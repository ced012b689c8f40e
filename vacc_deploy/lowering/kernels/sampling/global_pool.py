"""Maximum and average over the whole picture.

Two phases: strips of rows are reduced in parallel into a workspace, then the strips of each block in order.
The strips do not depend on the number of threads, so neither does a float sum. Sums of codes are exact in
int32; floats are summed in float32 along a row and in float64 across rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish, load_centred, pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, constant, let, load, splat, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, Plain, declare, only_live, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

_STRIPS = 16


@dataclass(frozen=True, slots=True)
class GlobalPoolSpec:
    """`input` (N, C, H, W) → `output` (N, C, 1, 1); a maximum of codes keeps scale and zero point.

    Attributes:
        input: What is read.
        output: What is written.
        kind: ``max`` or ``average``.
        low: Smallest result, as in `binary.BinarySpec`.
        high: Largest result.
    """

    input: Plane
    output: Plane
    kind: Literal["max", "average"] = "average"
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            ModelError: The planes do not fit, or the picture is too large for an int32 sum.
        """
        x, y = self.input, self.output
        expected = (x.batch, x.channels, 1, 1, x.dtype == "uint8")
        if (y.batch, y.channels, y.height, y.width, y.dtype == "uint8") != expected:
            raise ModelError(f"{x} cannot be pooled into {y}", where=f"global {self.kind} pool")
        if x.dtype == "uint8" and x.height * x.width * 255 >= 2**31:
            raise ModelError("the picture is too large for an int32 sum", where=f"global {self.kind} pool")

    @property
    def strips(self) -> int:
        """Strips of rows that a picture is cut into."""
        return min(self.input.height, _STRIPS)

    @property
    def accumulator(self) -> str:
        """Element type of a strip's result."""
        if self.input.dtype == "uint8":
            return "int32"
        return "float32" if self.kind == "max" else "float64"


@cache
def emit(spec: GlobalPoolSpec, target: Target) -> Any:
    """``global_pool(input, weight (1,) float32, codes, output)``, without `weight` for a maximum.

    The weight of codes is the multiplier s_x / (s_y · H·W), that of floats the divisor H·W.
    """
    x, y = spec.input, spec.output
    with kernel_function(f"global_{spec.kind}_pool") as function:
        source, weight, output = declare(
            input=x, weight=Plain((1,), "float32") if spec.kind == "average" else None, output=y
        )
        size = x.batch * x.blocks * spec.strips
        partial = T.alloc_buffer((size * x.block,), spec.accumulator, layout=None, align=64)
        with T.parallel(0, size) as i:
            line, strip = T.floordiv(i, spec.strips), T.floormod(i, spec.strips)
            n, block = T.floordiv(line, x.blocks), T.floormod(line, x.blocks)
            store(partial, (i * x.block,), _reduce_strip(spec, source, n, block, strip))
        with written_rows(output) as row:
            first = (row[0] * x.blocks + row[1]) * spec.strips
            total = register(spec.accumulator, x.block)
            write(total, load(partial, (first * x.block,), x.block), x.block)
            with T.serial(1, spec.strips) as strip:
                value = load(partial, ((first + strip) * x.block,), x.block)
                write(total, _join(spec, read(total, x.block), value), x.block)
            result = _finish(spec, read(total, x.block), weight, output)
            store(output.buffer, (output.at(*row),), only_live(result, output, row[1]))
    return function.get()


def _join(spec: GlobalPoolSpec, a: Expr, b: Expr) -> Expr:
    return T.max(a, b) if spec.kind == "max" else a + b


def _reduce_strip(spec: GlobalPoolSpec, source: FlatPlane, n: Expr, block: Expr, strip: Expr) -> Expr:
    """Sum or maximum of every channel over one strip of rows; codes are taken as q − z."""
    plane, lanes = spec.input, spec.input.block
    per_row = "int32" if plane.dtype == "uint8" else "float32"
    start = -math.inf if spec.kind == "max" and per_row == "float32" else -255 if spec.kind == "max" else 0
    total, row_total = register(spec.accumulator, lanes), register(per_row, lanes)
    write(total, constant(start, spec.accumulator, lanes), lanes)
    first = let(T.floordiv(strip * plane.height, spec.strips))
    last = let(T.floordiv((strip + 1) * plane.height, spec.strips))
    with T.serial(first, last) as y:
        write(row_total, constant(start, per_row, lanes), lanes)
        with T.serial(0, plane.width) as x:
            at = source.at(n, block, y, x)
            value = load_centred(source, at, lanes) if per_row == "int32" else _real(source, at, lanes)
            write(row_total, _join(spec, read(row_total, lanes), value), lanes)
        value = cast(read(row_total, lanes), spec.accumulator)
        write(total, _join(spec, read(total, lanes), value), lanes)
    return read(total, lanes)


def _real(source: FlatPlane, at: Expr, lanes: int) -> Expr:
    return cast(load(source.buffer, (at,), lanes), "float32")


def _finish(spec: GlobalPoolSpec, total: Expr, weight: Buffer | None, output: FlatPlane) -> Expr:
    real = cast(total, "float32")
    if weight is not None:
        divisor = splat(weight[0], spec.input.block)
        real = real * divisor if spec.input.dtype == "uint8" else real / divisor
    return finish(real, output, spec.low, spec.high)


def pack(
    spec: GlobalPoolSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters `weight`, of an average, and `codes`."""
    codes = pack_codes(spec.input, spec.output, low=spec.low, high=spec.high)
    if spec.kind == "max":
        return codes
    weight = np.float32(spec.input.height * spec.input.width)
    if input_scale is not None and output_scale is not None:
        weight = np.float32(input_scale) / (np.float32(output_scale) * weight)
    return {"weight": np.reshape(weight, (1,)), **codes}


def build(
    spec: GlobalPoolSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> Kernel:
    """The kernel of a global pooling; averages of codes need both scales."""
    return Kernel(emit(representative(spec), target), pack(spec, target, input_scale, output_scale))
