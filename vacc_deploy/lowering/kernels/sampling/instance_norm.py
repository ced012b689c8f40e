"""Instance normalisation of float planes: every channel of every picture by its own mean and variance.

    y = (x − mean) · γ / sqrt(variance + ε) + β        variance over H·W, not H·W − 1

and ``slope · y`` where that is negative and a leaky ReLU or PReLU is fused.

Three phases. In parallel, every row gives the mean and the squared deviations of its pixels in float32; per
block, the rows are joined in float64 in their order (equal counts: the mean of means, and the deviations of
the row means on top); in parallel, every row is normalised. No sum depends on the number of threads, and
none subtracts two large numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import finish
from vacc_deploy.lowering.kernels.elementwise.operand import constant_plane, operand_shape
from vacc_deploy.lowering.kernels.isa.function import kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    concat,
    constant,
    let,
    load,
    store,
    take,
)
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import (
    LANES,
    FlatPlane,
    declare,
    only_live,
    vectors,
    written_rows,
)
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class InstanceNormSpec:
    """`input` → `output`, float planes of one shape.

    Attributes:
        input: What is read.
        output: What is written.
        epsilon: Added to the variance.
        low: Smallest result; 0 for a fused ReLU.
        high: Largest result.
        slope: Whether negative results are multiplied by a slope, one per channel.
    """

    input: Plane
    output: Plane
    epsilon: float = 1e-5
    low: float = -math.inf
    high: float = math.inf
    slope: bool = False

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            ModelError: The planes do not fit.
        """
        x, y = self.input, self.output
        if "uint8" in (x.dtype, y.dtype) or operand_shape(x) != operand_shape(y):
            raise ModelError(f"{x} cannot be normalised into {y}", where="instance_norm")

    @property
    def affine(self) -> Plane:
        """The plane that γ, β and slopes are packed as."""
        return Plane(1, self.input.channels, 1, 1, "float32")


@cache
def emit(spec: InstanceNormSpec, target: Target) -> Any:
    """``instance_norm(input, gamma, beta, [slope], output)``."""
    plane = spec.input
    pictures = plane.batch * plane.blocks
    with kernel_function("instance_norm") as function:
        source, gamma, beta, slope, output = declare(
            input=plane,
            gamma=spec.affine,
            beta=spec.affine,
            slope=spec.affine if spec.slope else None,
            output=spec.output,
        )
        rows = T.alloc_buffer((pictures * plane.height * 2 * plane.block,), "float32", layout=None, align=64)
        whole = T.alloc_buffer((pictures * 2 * plane.block,), "float32", layout=None, align=64)
        with T.parallel(0, pictures * plane.height) as i:
            _row_statistics(source, i, rows)
        with T.parallel(0, pictures) as picture:
            _join_rows(spec, picture, rows, gamma, whole)
        with written_rows(output) as row:
            _normalise(spec, source, row, whole, beta, slope, output)
    return function.get()


def _row_statistics(source: FlatPlane, i: Expr, rows: Buffer) -> None:
    """Mean and sum of squared deviations of one row, per channel."""
    plane, lanes = source.plane, source.plane.block
    picture, y = T.floordiv(i, plane.height), T.floormod(i, plane.height)
    start = let(source.at(T.floordiv(picture, plane.blocks), T.floormod(picture, plane.blocks), y))
    total = register("float32", lanes)
    write(total, constant(0.0, "float32", lanes), lanes)
    with T.serial(0, plane.width) as x:
        write(total, read(total, lanes) + _pixel(source, start, x), lanes)
    mean = let(read(total, lanes) * constant(1 / plane.width, "float32", lanes))
    write(total, constant(0.0, "float32", lanes), lanes)
    with T.serial(0, plane.width) as x:
        deviation = let(_pixel(source, start, x) - mean)
        write(total, read(total, lanes) + deviation * deviation, lanes)
    store(rows, (i * 2 * lanes,), mean)
    store(rows, (i * 2 * lanes + lanes,), read(total, lanes))


def _pixel(source: FlatPlane, start: Expr, x: Expr) -> Expr:
    lanes = source.plane.block
    return cast(load(source.buffer, (start + x * lanes,), lanes), "float32")


def _join_rows(spec: InstanceNormSpec, picture: Expr, rows: Buffer, gamma: FlatPlane, whole: Buffer) -> None:
    """Mean, and γ over the standard deviation, of one block of one picture."""
    plane, lanes = spec.input, spec.input.block
    height, width = plane.height, plane.width
    first = picture * height * 2 * lanes
    total = register("float64", lanes)

    def statistic(y: Expr, which: int) -> Expr:
        return cast(load(rows, (first + (y * 2 + which) * lanes,), lanes), "float64")

    write(total, constant(0.0, "float64", lanes), lanes)
    with T.serial(0, height) as y:
        write(total, read(total, lanes) + statistic(y, 0), lanes)
    mean = let(read(total, lanes) * constant(1 / height, "float64", lanes))
    write(total, constant(0.0, "float64", lanes), lanes)
    with T.serial(0, height) as y:
        deviation = let(statistic(y, 0) - mean)
        between = deviation * deviation * constant(width, "float64", lanes)
        write(total, read(total, lanes) + (statistic(y, 1) + between), lanes)
    variance = read(total, lanes) * constant(1 / (height * width), "float64", lanes)
    spread = T.sqrt(variance + constant(spec.epsilon, "float64", lanes))
    gammas = load(gamma.buffer, (gamma.at(0, T.floormod(picture, plane.blocks), 0),), lanes)
    store(whole, (picture * 2 * lanes,), cast(mean, "float32"))
    store(whole, (picture * 2 * lanes + lanes,), cast(cast(gammas, "float64") / spread, "float32"))


def _normalise(
    spec: InstanceNormSpec,
    source: FlatPlane,
    row: tuple[Expr, Expr, Expr],
    whole: Buffer,
    beta: FlatPlane,
    slope: FlatPlane | None,
    output: FlatPlane,
) -> None:
    n, block, _ = row
    plane = spec.output
    at = (n * plane.blocks + block) * 2 * plane.block

    def repeated(values: Expr) -> Expr:
        return let(concat([let(values)] * (LANES // plane.block)))

    mean = repeated(load(whole, (at,), plane.block))
    gain = repeated(load(whole, (at + plane.block,), plane.block))
    shift = repeated(load(beta.buffer, (beta.at(0, block, 0),), plane.block))
    leak = repeated(load(slope.buffer, (slope.at(0, block, 0),), plane.block)) if slope else None
    start, written = source.at(*row), output.at(*row)

    def body(offset: Expr, channel: int, lanes: int) -> None:
        def first(values: Expr) -> Expr:
            return values if lanes == LANES else take(values, range(lanes))

        x = cast(load(source.buffer, (start + offset,), lanes), "float32")
        y = let((x - first(mean)) * first(gain) + first(shift))
        if leak is not None:
            y = T.Select(y < constant(0.0, "float32", lanes), y * first(leak), y)
        y = finish(y, output, spec.low, spec.high)
        store(output.buffer, (written + offset,), only_live(y, output, block, channel))

    vectors(plane.width * plane.block, plane.block, body)


def pack(
    spec: InstanceNormSpec, target: Target, gamma: Array, beta: Array, slope: Array | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters; see `build`."""
    params = {"gamma": gamma, "beta": beta}
    if spec.slope:
        if slope is None:
            raise ValueError("the spec has a slope, but pack got none")
        params["slope"] = np.broadcast_to(slope, (spec.input.channels,))
    return {
        name: constant_plane(np.asarray(values, np.float32).reshape(1, -1, 1, 1), spec.affine)
        for name, values in params.items()
    }


def build(
    spec: InstanceNormSpec, target: Target, gamma: Array, beta: Array, slope: Array | None = None
) -> Kernel:
    """The kernel of an instance normalisation.

    Args:
        spec: Geometry.
        target: CPU level.
        gamma: (C,) factors; ones for none.
        beta: (C,) summands; zeros for none.
        slope: () or (C,); needed where the spec has a slope.
    """
    return Kernel(emit(spec, target), pack(spec, target, gamma, beta, slope))
