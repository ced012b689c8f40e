"""Pixels copied from elsewhere in the picture: nearest resize, padding, cropping, flips, strides.

All of these are separable: output pixel (y, x) is input pixel (rows[y], columns[x]), or a constant where
either index is −1. Stretches of neighbouring columns are copied as one run of memory, other columns pixel by
pixel through an index table. Scale and zero point stay the input's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, let, load, splat, store
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
from vacc_deploy.runtime.reference.resize import Coordinates, NearestMode, nearest_indices

OUTSIDE = -1
"""The index of a row or column that holds the constant."""
_SHORTEST_RUN = 4  # pixels; shorter stretches go through the index table

Row = tuple[Expr, Expr, Expr]


@dataclass(frozen=True, slots=True)
class GatherSpec:
    """``output[y, x] = input[rows[y], columns[x]]``.

    Attributes:
        input: What is read.
        output: What is written: same batch, channels, dtype and zero point.
        rows: Input row of every output row, or `OUTSIDE`.
        columns: Input column of every output column, or `OUTSIDE`.
        value: What `OUTSIDE` pixels hold: a stored code, or a real.
    """

    input: Plane
    output: Plane
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    value: float = 0.0

    def __post_init__(self) -> None:
        """Checks shapes and indices.

        Raises:
            ModelError: They do not fit.
        """
        x, y = self.input, self.output
        like = (x.batch, x.channels, x.dtype, x.fill) == (y.batch, y.channels, y.dtype, y.fill)
        sized = (len(self.rows), len(self.columns)) == (y.height, y.width)
        inside = max(self.rows) < x.height and max(self.columns) < x.width
        if not (like and sized and inside and min(*self.rows, *self.columns) >= OUTSIDE):
            raise ModelError(f"{y} cannot be gathered from {x}", where="gather")


def nearest(
    source: Plane,
    output: Plane,
    scales: tuple[float, float],
    coordinates: Coordinates = "asymmetric",
    mode: NearestMode = "floor",
) -> GatherSpec:
    """ONNX ``Resize`` by nearest neighbour; `scales` are those of height and width."""
    axes = ((source.height, output.height, scales[0]), (source.width, output.width, scales[1]))
    rows, columns = (
        tuple(int(i) for i in nearest_indices(size, made, scale, coordinates, mode))
        for size, made, scale in axes
    )
    return GatherSpec(source, output, rows, columns)


def pad(
    source: Plane,
    output: Plane,
    top: int,
    left: int,
    mode: Literal["constant", "reflect", "edge", "wrap"] = "constant",
    value: float | None = None,
) -> GatherSpec:
    """ONNX ``Pad`` of height and width; negative amounts crop. `output` tells what lies below and right.

    Args:
        source: What is padded.
        output: The result.
        top: Rows above the picture.
        left: Columns left of it.
        mode: What padding holds; ``reflect`` does not repeat the border.
        value: The constant, as stored; 0.0's code by default.
    """
    rows = _padded(source.height, output.height, top, mode)
    columns = _padded(source.width, output.width, left, mode)
    return GatherSpec(source, output, rows, columns, source.fill if value is None else value)


def crop(source: Plane, output: Plane, rows: Sequence[int], columns: Sequence[int]) -> GatherSpec:
    """The listed rows and columns: ONNX ``Slice`` of height and width with any step."""
    return GatherSpec(source, output, tuple(rows), tuple(columns))


def _padded(size: int, made: int, before: int, mode: str) -> tuple[int, ...]:
    indices = np.arange(made) - before
    if mode == "edge":
        indices = np.clip(indices, 0, size - 1)
    elif mode == "wrap":
        indices = indices % size
    elif mode == "reflect":
        period = max(2 * size - 2, 1)
        indices = np.abs((indices + size - 1) % period - (size - 1))
    else:
        indices = np.where((indices < 0) | (indices >= size), OUTSIDE, indices)
    return tuple(int(index) for index in indices)


@cache
def emit(spec: GatherSpec, target: Target) -> Any:
    """``gather(input, rows (H,) int32, columns (W,) int32, outside (1,), codes, output)``."""
    plane = spec.output
    with kernel_function("gather") as function:
        source, rows, columns, constant, output = declare(
            input=spec.input,
            rows=Plain((plane.height,), "int32"),
            columns=Plain((plane.width,), "int32"),
            outside=Plain((1,), plane.dtype),
            output=plane,
        )
        outside = let(constant[0])
        with written_rows(output) as (n, block, y):
            origin = let(rows[y])
            if OUTSIDE in spec.rows:
                with T.If(origin < 0):
                    with T.Then():
                        _write_constant(outside, output, (n, block, y), 0, plane.width)
                    with T.Else():
                        _copy_row(spec, source, (n, block, origin), columns, outside, output, (n, block, y))
            else:
                _copy_row(spec, source, (n, block, origin), columns, outside, output, (n, block, y))
    return function.get()


def _stretches(columns: Sequence[int]) -> list[tuple[str, int, int]]:
    """(kind, first output column, length): ``run``s of neighbours, ``constant``s, and ``single`` columns."""

    def joins(kind: str, x: int) -> bool:
        return (columns[x] == OUTSIDE) if kind == "constant" else columns[x] == columns[x - 1] + 1

    pieces: list[tuple[str, int, int]] = []
    x = 0
    while x < len(columns):
        kind, first = ("constant" if columns[x] == OUTSIDE else "run"), x
        x += 1
        while x < len(columns) and joins(kind, x):
            x += 1
        if kind == "run" and x - first < _SHORTEST_RUN:
            kind = "single"
        if kind == "single" and pieces and pieces[-1][0] == "single":
            pieces[-1] = ("single", pieces[-1][1], x - pieces[-1][1])
        else:
            pieces.append((kind, first, x - first))
    return pieces


def _copy_row(
    spec: GatherSpec,
    source: FlatPlane,
    origin: Row,
    columns: Buffer,
    outside: Expr,
    output: FlatPlane,
    row: Row,
) -> None:
    block = spec.output.block
    for kind, first, length in _stretches(spec.columns):
        if kind == "constant":
            _write_constant(outside, output, row, first, length)
        elif kind == "run":
            _copy_run(source, source.at(*origin, spec.columns[first]), output, output.at(*row, first), length)
        else:
            with T.serial(0, length) as i:
                pixel = load(source.buffer, (source.at(*origin, columns[first + i]),), block)
                store(output.buffer, (output.at(*row, first + i),), pixel)


def _copy_run(source: FlatPlane, read: Expr, output: FlatPlane, written: Expr, pixels: int) -> None:
    def copy(offset: Expr, channel: int, lanes: int) -> None:
        store(output.buffer, (written + offset,), load(source.buffer, (read + offset,), lanes))

    vectors(pixels * output.plane.block, output.plane.block, copy)


def _write_constant(value: Expr, output: FlatPlane, row: Row, first: int, pixels: int) -> None:
    plane = output.plane
    written = output.at(*row, first)

    def fill(offset: Expr, channel: int, lanes: int) -> None:
        values = only_live(splat(value, lanes), output, row[1], channel)
        store(output.buffer, (written + offset,), values)

    vectors(pixels * plane.block, plane.block, fill)


def pack(spec: GatherSpec, target: Target) -> dict[str, npt.NDArray[Any]]:
    """The index tables, what `OUTSIDE` pixels hold, and `codes`."""
    return {
        "rows": np.array(spec.rows, np.int32),
        "columns": np.array(spec.columns, np.int32),
        "outside": np.array([spec.value], spec.output.dtype),
        **pack_codes(spec.input, spec.output),
    }


def build(spec: GatherSpec, target: Target) -> Kernel:
    """The kernel of a spatial gather; make `spec` by `nearest`, `pad` or `crop`."""
    code = replace(representative(spec), value=0.0)
    return Kernel(emit(code, target), pack(spec, target))
