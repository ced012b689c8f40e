"""Maximum and average over windows.

Padding takes no part: windows are cut off at the picture's edge; the halo is not read. Averages of codes:

    acc = Σ (q − z)      y = clamp(round(f32(acc) · m[y, x]) + z_y)      m = s_x / (s_y · n)

with n the number of elements that the window's average counts, which differs at the border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish, pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, constant, let, load, splat, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, Plain, declare, only_live, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.pool import average_counts

Row = tuple[Expr, Expr, Expr]
Taps = tuple[Expr, Expr]
"""First and one past the last tap of a window."""
_UNROLLED = 5  # taps of a row that are spelled out; longer ones are a loop


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pooling of `input` into `output`, whose size says how many windows there are.

    Attributes:
        input: What is read.
        output: What is written; for a maximum of codes, at the input's scale and zero point.
        kind: ``max`` or ``average``.
        kernel: Window height and width.
        strides: Step between windows.
        pads: Above, left, below, right.
        dilations: Distance between a window's taps.
        low: Smallest result, as in `binary.BinarySpec`.
        high: Largest result.
    """

    input: Plane
    output: Plane
    kind: Literal["max", "average"]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Checks types and window.

        Raises:
            ModelError: The planes do not fit, or a window lies outside the picture.
        """
        x, y = self.input, self.output
        if (x.batch, x.channels, x.dtype == "uint8") != (y.batch, y.channels, y.dtype == "uint8"):
            raise ModelError(f"{x} cannot be pooled into {y}", where=f"{self.kind} pool")
        rows = range(y.height), self.strides[0], self.pads[0], x.height, self.kernel[0], self.dilations[0]
        columns = range(y.width), self.strides[1], self.pads[1], x.width, self.kernel[1], self.dilations[1]
        if not all(_taps(*axis[1:], i) for axis in (rows, columns) for i in axis[0]):
            raise ModelError("a pooling window lies outside the picture", where=f"{self.kind} pool")


def _taps(stride: int, pad: int, size: int, kernel: int, dilation: int, index: int) -> list[int]:
    return [k for k in range(kernel) if 0 <= index * stride - pad + k * dilation < size]


@cache
def emit(spec: PoolSpec, target: Target) -> Any:
    """``pool(input, weights (H, W) float32, codes, output)``, without `weights` for a maximum.

    The weights of codes are multipliers m, those of floats divisors n.
    """
    plane = spec.output
    averages = spec.kind == "average"
    with kernel_function(f"{spec.kind}_pool") as function:
        source, weights, output = declare(
            input=spec.input,
            weights=Plain((plane.height, plane.width), "float32") if averages else None,
            output=plane,
        )
        with written_rows(output) as row:
            rows = _valid_taps(spec, 0, row[2])

            def pixel(x: Expr, columns: Taps) -> None:
                result = _window(spec, source, row, x, rows, columns)
                if averages:
                    weight = splat(weights[row[2] * plane.width + x], plane.block)
                    result = result * weight if plane.dtype == "uint8" else result / weight
                store(output.buffer, (output.at(*row, x),), _finish(spec, result, output, row[1]))

            _each_column(spec, pixel)
    return function.get()


def _valid_taps(spec: PoolSpec, axis: int, index: Expr) -> Taps:
    """First and one past the last tap of window `index` of an axis that lie inside the picture."""
    dilation, size = spec.dilations[axis], (spec.input.height, spec.input.width)[axis]
    before = spec.pads[axis] - index * spec.strides[axis]
    first = T.max(T.floordiv(before + dilation - 1, dilation), 0)
    last = T.min(T.floordiv(before + size - 1, dilation) + 1, spec.kernel[axis])
    return let(first), let(last)


def _each_column(spec: PoolSpec, pixel: Callable[[Expr, Taps], None]) -> None:
    """Emits every output column with its taps: all of them away from the edges."""
    width, taps = spec.output.width, spec.kernel[1]
    geometry = (spec.strides[1], spec.pads[1], spec.input.width, taps, spec.dilations[1])
    inner = [x for x in range(width) if len(_taps(*geometry, x)) == taps]
    first, last = (inner[0], inner[-1] + 1) if inner else (width, width)
    for begin, end in ((0, first), (last, width)):
        if begin < end:
            with T.serial(begin, end) as x:
                pixel(x, _valid_taps(spec, 1, x))
    if inner:
        with T.serial(first, last) as x:
            pixel(x, (0, taps))


def _window(spec: PoolSpec, source: FlatPlane, row: Row, x: Expr, rows: Taps, columns: Taps) -> Expr:
    """The maximum (as stored, or float32) or the sum (float32) over a window."""
    n, block, y = row
    lanes, quantized = spec.input.block, spec.input.dtype == "uint8"
    element, start = _accumulator(spec)
    acc = register(element, lanes)
    write(acc, constant(start, element, lanes), lanes)

    def take(k: Expr, tap: Expr) -> None:
        read_y = y * spec.strides[0] - spec.pads[0] + k * spec.dilations[0]
        read_x = x * spec.strides[1] - spec.pads[1] + tap * spec.dilations[1]
        value = cast(load(source.buffer, (source.at(n, block, read_y, read_x),), lanes), element)
        old = read(acc, lanes)
        write(acc, T.max(old, value) if spec.kind == "max" else old + value, lanes)

    with T.serial(rows[0], rows[1]) as k:
        if isinstance(columns[1], int) and columns[1] <= _UNROLLED:
            for tap in range(columns[0], columns[1]):
                take(k, tap)
        else:
            with T.serial(columns[0], columns[1]) as tap:
                take(k, tap)
    result = read(acc, lanes)
    if not quantized or spec.kind == "max":
        return result
    assert source.codes is not None
    taken = (rows[1] - rows[0]) * (columns[1] - columns[0]) * source.codes.zero_point
    return cast(cast(result, "int32") - splat(taken, lanes), "float32")


def _accumulator(spec: PoolSpec) -> tuple[str, float]:
    """Element type and first value of what a window is reduced into."""
    if spec.kind == "max":
        return ("uint8", 0) if spec.input.dtype == "uint8" else ("float32", -math.inf)
    if spec.input.dtype != "uint8":
        return "float32", 0.0
    return ("uint16" if 255 * spec.kernel[0] * spec.kernel[1] < 2**16 else "int32"), 0


def _finish(spec: PoolSpec, result: Expr, output: FlatPlane, block: Expr) -> Expr:
    if spec.kind == "max" and output.codes is not None:
        limits = (output.codes.low, output.codes.high)
        low, high = (splat(cast(limit, "uint8"), output.plane.block) for limit in limits)
        return only_live(T.min(T.max(result, low), high), output, block)
    return only_live(finish(result, output, spec.low, spec.high), output, block)


def pack(
    spec: PoolSpec,
    target: Target,
    *,
    count_include_pad: bool = False,
    ceil_mode: bool = False,
    input_scale: float | None = None,
    output_scale: float | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """The parameters `weights`, of an average, and `codes`; see `build`."""
    codes = pack_codes(spec.input, spec.output, low=spec.low, high=spec.high)
    if spec.kind == "max":
        return codes
    counts = average_counts(
        (spec.input.height, spec.input.width),
        spec.kernel,
        spec.strides,
        spec.pads,
        count_include_pad=count_include_pad,
        ceil_mode=ceil_mode,
    ).astype(np.float32)
    if input_scale is None or output_scale is None:
        return {"weights": counts, **codes}
    return {"weights": np.float32(input_scale) / (np.float32(output_scale) * counts), **codes}


def build(
    spec: PoolSpec,
    target: Target,
    *,
    count_include_pad: bool = False,
    ceil_mode: bool = False,
    input_scale: float | None = None,
    output_scale: float | None = None,
) -> Kernel:
    """The kernel of a pooling.

    Args:
        spec: Geometry.
        target: CPU level.
        count_include_pad: Whether an average counts padding.
        ceil_mode: Whether a last window may lie partly outside the padded picture (matters for averages).
        input_scale: Step of codes that are averaged.
        output_scale: Step of their averages.
    """
    params = pack(
        spec,
        target,
        count_include_pad=count_include_pad,
        ceil_mode=ceil_mode,
        input_scale=input_scale,
        output_scale=output_scale,
    )
    return Kernel(emit(representative(spec), target), params)
