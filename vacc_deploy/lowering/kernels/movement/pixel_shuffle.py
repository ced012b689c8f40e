"""Depth to space and back: moving blocks of channels between depth and picture.

ONNX ``DepthToSpace`` with factor r takes output pixel (y·r + i, x·r + j) of channel c from input pixel (y, x)
of channel ``(i·r + j)·C + c`` (DCR) or ``c·r² + i·r + j`` (CRD, PyTorch's PixelShuffle). ``SpaceToDepth`` is
the inverse of DCR.

DCR copies whole blocks where C is a multiple of 64. CRD interleaves channels, which costs shuffles, or for
factors other than 2 single elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import (
    Expr,
    cast,
    concat,
    let,
    load,
    reinterpret,
    splat,
    store,
    type_of,
)
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement.channel_runs import Origin, copy_runs, runs_of
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, declare, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

Row = tuple[Expr, Expr, Expr]
_PATTERN = {"uint8": ("uint8", "uint32"), "float16": ("uint16", "uint64")}
"""An element as an integer, and four neighbouring elements as one integer."""


@dataclass(frozen=True, slots=True)
class PixelShuffleSpec:
    """Depth to space: `input` (N, C·r², H, W) → `output` (N, C, H·r, W·r), same dtype and scale."""

    input: Plane
    output: Plane
    factor: int
    mode: Literal["DCR", "CRD"] = "CRD"

    def __post_init__(self) -> None:
        """Checks the shapes.

        Raises:
            ModelError: Input and output do not belong together.
        """
        _check(self.input, self.output, self.factor, "pixel_shuffle")


@dataclass(frozen=True, slots=True)
class SpaceToDepthSpec:
    """Space to depth: `input` (N, C, H·r, W·r) → `output` (N, r²·C, H, W), same dtype and scale."""

    input: Plane
    output: Plane
    factor: int

    def __post_init__(self) -> None:
        """Checks the shapes.

        Raises:
            ModelError: Input and output do not belong together.
        """
        _check(self.output, self.input, self.factor, "space_to_depth")


def _check(deep: Plane, wide: Plane, factor: int, where: str) -> None:
    expected = (wide.batch, wide.channels * factor**2, wide.height, wide.width, wide.dtype)
    given = (deep.batch, deep.channels, deep.height * factor, deep.width * factor, deep.dtype)
    if given != expected or (wide.dtype == "uint8" and wide.fill != deep.fill):
        raise ModelError(f"a factor of {factor} does not turn {deep} into {wide}", where=where)


@cache
def emit(spec: PixelShuffleSpec, target: Target) -> Any:
    """``pixel_shuffle(input, codes, output)``, without `codes` for floats."""
    r = spec.factor
    with kernel_function("pixel_shuffle") as function:
        source, output = declare(input=spec.input, output=spec.output)
        with written_rows(output) as row:
            n, block, y = row
            i, origin_row = let(T.floormod(y, r)), let(T.floordiv(y, r))
            if _moves_whole_blocks(spec):
                with T.serial(0, spec.input.width) as x:
                    for j in range(r):
                        origin = (i * r + j) * spec.output.blocks + block
                        _copy_pixel(source, (n, origin, origin_row), x, output, row, x * r + j)
            elif _interleaves_by_four(spec):
                _gather_fourths(spec, source, (n, block * 4, origin_row), output, row, i)
            else:
                _move_runs(spec, source, origin_row, output, row, i)
    return function.get()


def _moves_whole_blocks(spec: PixelShuffleSpec) -> bool:
    whole = spec.output.channels % spec.output.block == 0 and spec.input.block == spec.output.block
    return whole and spec.mode == "DCR"


def _interleaves_by_four(spec: PixelShuffleSpec) -> bool:
    whole = spec.output.channels % 64 == 0
    return whole and spec.mode == "CRD" and spec.factor == 2 and spec.output.dtype in _PATTERN


def _copy_pixel(
    source: FlatPlane, source_row: Row, source_x: Expr, output: FlatPlane, row: Row, x: Expr
) -> None:
    pixel = load(source.buffer, (source.at(*source_row, source_x),), output.plane.block)
    store(output.buffer, (output.at(*row, x),), pixel)


def _gather_fourths(
    spec: PixelShuffleSpec, source: FlatPlane, origin: Row, output: FlatPlane, row: Row, i: Expr
) -> None:
    """CRD by 2: four input blocks, taken as integers of four elements each, hold one output block."""
    element, four = _PATTERN[spec.output.dtype]
    bits = np.dtype(element).itemsize * 8
    n, block, y = origin
    with T.serial(0, spec.input.width) as x:
        quads = [
            let(
                reinterpret(
                    load(source.buffer, (source.at(n, block + quarter, y, x),), 64), type_of(four, 16)
                )
            )
            for quarter in range(4)
        ]
        for j in range(2):
            shift = splat(cast((i * 2 + j) * bits, four), 16)
            lanes = concat([cast(quad >> shift, element) for quad in quads])
            value = reinterpret(lanes, type_of(spec.output.dtype, 64))
            store(output.buffer, (output.at(*row, x * 2 + j),), value)


def _move_runs(
    spec: PixelShuffleSpec, source: FlatPlane, origin_row: Expr, output: FlatPlane, row: Row, i: Expr
) -> None:
    """Any channel count: one branch per sub-row and output block, each with its own runs."""
    r, plane = spec.factor, spec.output
    n, block, _ = row
    for sub_row in range(r):
        for b in range(plane.blocks):
            with T.If(T.And(i == sub_row, block == b)), T.Then(), T.serial(0, spec.input.width) as x:
                for j in range(r):
                    runs = runs_of(_origins(spec, sub_row, j, b), [spec.input.block])
                    places = [(source.buffer, source.at(n, run.block, origin_row, x)) for run in runs]
                    copy_runs(runs, places, output, output.at(n, b, row[2], x * r + j))


def _origins(spec: PixelShuffleSpec, i: int, j: int, block: int) -> list[Origin]:
    plane, r = spec.output, spec.factor
    channels = range(block * plane.block, min((block + 1) * plane.block, plane.channels))
    if spec.mode == "DCR":
        return [Origin(0, (i * r + j) * plane.channels + channel) for channel in channels]
    return [Origin(0, channel * r * r + i * r + j) for channel in channels]


@cache
def emit_space_to_depth(spec: SpaceToDepthSpec, target: Target) -> Any:
    """``space_to_depth(input, codes, output)``, without `codes` for floats."""
    r, deep, wide = spec.factor, spec.output, spec.input
    with kernel_function("space_to_depth") as function:
        source, output = declare(input=wide, output=deep)
        with written_rows(output) as row:
            n, block, y = row
            if wide.channels % wide.block == 0 and wide.block == deep.block:
                part, origin_block = let(T.floordiv(block, wide.blocks)), let(T.floormod(block, wide.blocks))
                i, j = T.floordiv(part, r), T.floormod(part, r)
                with T.serial(0, deep.width) as x:
                    _copy_pixel(source, (n, origin_block, y * r + i), x * r + j, output, row, x)
            else:
                for b in range(deep.blocks):
                    with T.If(block == b), T.Then(), T.serial(0, deep.width) as x:
                        _gather_depth(spec, source, output, (n, b, y), x)
    return function.get()


def _gather_depth(spec: SpaceToDepthSpec, source: FlatPlane, output: FlatPlane, row: Row, x: Expr) -> None:
    r, deep, wide = spec.factor, spec.output, spec.input
    n, b, y = row
    channels = range(b * deep.block, min((b + 1) * deep.block, deep.channels))
    # Every sub-pixel of the input counts as an operand of its own.
    origins = [Origin(*divmod(channel, wide.channels)) for channel in channels]
    runs = runs_of(origins, [wide.block] * (r * r))
    places = []
    for run in runs:
        i, j = divmod(run.operand, r)
        places.append((source.buffer, source.at(n, run.block, y * r + i, x * r + j)))
    copy_runs(runs, places, output, output.at(n, b, y, x))


def build(spec: PixelShuffleSpec | SpaceToDepthSpec, target: Target) -> Kernel:
    """The kernel of a depth-to-space or space-to-depth."""
    params = pack_codes(spec.input, spec.output)
    if isinstance(spec, SpaceToDepthSpec):
        return Kernel(emit_space_to_depth(representative(spec), target), params)
    return Kernel(emit(representative(spec), target), params)
