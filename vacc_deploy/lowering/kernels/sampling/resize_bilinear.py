"""Bilinear resize with separable weights.

Codes use the 11-bit weights of `runtime.reference.resize`, exact in int32 and rounded once:

    acc = Σ (q − z) · w_y · w_x      y = clamp(round(f32(acc) · m) + z_y)      m = f32(s_x / s_y) · 2^-22

floats the same interpolation in float32 with unrounded weights. Each output row blends its two input rows
into a scratch row first, then blends pairs of its pixels.
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
from vacc_deploy.lowering.kernels.codes import finish, load_centred, pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function, scratch
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, cast, let, load, splat, store
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
from vacc_deploy.runtime.reference.resize import (
    WEIGHT_BITS,
    Coordinates,
    linear_taps,
    source_coordinates,
)


@dataclass(frozen=True, slots=True)
class BilinearSpec:
    """`input` resized to the size of `output`; both codes or both floats.

    Attributes:
        input: What is read.
        output: What is written.
        scales: Factors of height and width, as ONNX ``Resize`` states them.
        coordinates: How output pixels map to input coordinates.
        low: Smallest result, as in `binary.BinarySpec`.
        high: Largest result.
    """

    input: Plane
    output: Plane
    scales: tuple[float, float]
    coordinates: Coordinates = "half_pixel"
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Checks types and shapes.

        Raises:
            ModelError: The planes do not fit.
        """
        x, y = self.input, self.output
        if (x.batch, x.channels, x.dtype == "uint8") != (y.batch, y.channels, y.dtype == "uint8"):
            raise ModelError(f"{x} cannot be resized to {y}", where="resize")

    @property
    def element(self) -> str:
        """Element type of weights and sums."""
        return "int32" if self.input.dtype == "uint8" else "float32"


@cache
def emit(spec: BilinearSpec, target: Target) -> Any:
    """``resize(input, row_taps, row_weights, column_taps, column_weights, multiplier (1,), codes, output)``.

    Taps (H, 2) or (W, 2) are int32 indices; weights int32 for codes, float32 for floats; the float32
    multiplier and `codes` are there for codes only.
    """
    x, y = spec.input, spec.output
    with kernel_function("resize") as function:
        source, rows, row_weights, columns, column_weights, multiplier, output = declare(
            input=x,
            row_taps=Plain((y.height, 2), "int32"),
            row_weights=Plain((y.height, 2), spec.element),
            column_taps=Plain((y.width, 2), "int32"),
            column_weights=Plain((y.width, 2), spec.element),
            multiplier=Plain((1,), "float32") if spec.element == "int32" else None,
            output=y,
        )
        with written_rows(output) as row:
            blended = scratch((x.width * x.block,), spec.element)
            _blend_rows(spec, source, row, rows, row_weights, blended)
            with T.serial(0, y.width) as column:
                total = _blend(spec, blended, column, columns, column_weights)
                if multiplier is not None:
                    total = cast(total, "float32") * splat(multiplier[0], y.block)
                value = finish(total, output, spec.low, spec.high)
                store(output.buffer, (output.at(*row, column),), only_live(value, output, row[1]))
    return function.get()


def _blend_rows(
    spec: BilinearSpec,
    source: FlatPlane,
    row: tuple[Expr, Expr, Expr],
    rows: Buffer,
    weights: Buffer,
    blended: Buffer,
) -> None:
    """The scratch row: both input rows of an output row, weighted."""
    n, block, y = row
    first, second = (let(source.at(n, block, rows[y * 2 + tap])) for tap in range(2))
    upper, lower = (let(weights[y * 2 + tap]) for tap in range(2))

    def body(offset: Expr, channel: int, lanes: int) -> None:
        a, b = (_read(spec, source, at + offset, lanes) for at in (first, second))
        store(blended, (offset,), a * splat(upper, lanes) + b * splat(lower, lanes))

    vectors(spec.input.width * spec.input.block, spec.input.block, body)


def _read(spec: BilinearSpec, source: FlatPlane, at: Expr, lanes: int) -> Expr:
    if spec.element == "int32":
        return load_centred(source, at, lanes)
    return cast(load(source.buffer, (at,), lanes), "float32")


def _blend(spec: BilinearSpec, blended: Buffer, column: Expr, columns: Buffer, weights: Buffer) -> Expr:
    """One output pixel: two pixels of the scratch row, weighted."""
    lanes = spec.input.block
    a, b = (load(blended, (columns[column * 2 + tap] * lanes,), lanes) for tap in range(2))
    return a * splat(weights[column * 2], lanes) + b * splat(weights[column * 2 + 1], lanes)


def pack(
    spec: BilinearSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Taps, weights, and the numbers of codes."""
    params: dict[str, npt.NDArray[Any]] = {}
    axes = {
        "row": (spec.input.height, spec.output.height, spec.scales[0]),
        "column": (spec.input.width, spec.output.width, spec.scales[1]),
    }
    for name, (size, made, scale) in axes.items():
        taps = linear_taps(size, made, scale, spec.coordinates)
        params[f"{name}_taps"] = np.stack([taps.first, taps.second], axis=1).astype(np.int32)
        if spec.element == "int32":
            second = taps.weight
            weights = np.stack([(1 << WEIGHT_BITS) - second, second], axis=1)
        else:
            place = np.clip(source_coordinates(size, made, scale, spec.coordinates), 0, size - 1)
            weights = np.stack([1 - (place - taps.first), place - taps.first], axis=1)
        params[f"{name}_weights"] = weights.astype(spec.element)
    if input_scale is not None and output_scale is not None:
        step = np.float32(input_scale) / np.float32(output_scale)
        params["multiplier"] = np.reshape(step * np.float32(2.0 ** (-2 * WEIGHT_BITS)), (1,))
    return {**params, **pack_codes(spec.input, spec.output, low=spec.low, high=spec.high)}


def build(
    spec: BilinearSpec, target: Target, input_scale: float | None = None, output_scale: float | None = None
) -> Kernel:
    """The kernel of a bilinear resize; planes of codes need both scales."""
    return Kernel(emit(representative(spec), target), pack(spec, target, input_scale, output_scale))
