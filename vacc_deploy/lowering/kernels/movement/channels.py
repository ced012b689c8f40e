"""Concatenation, slices and reorderings of channels: planes whose channels come from other planes.

Operands of codes whose scale is not the output's pass through a requantisation table on the way. Blocks that
come whole from one operand are copied row by row; others are put together pixel by pixel and the tables
applied afterwards, to the lanes that they concern, while the row is in the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import pack_codes, representative
from vacc_deploy.lowering.kernels.elementwise.lookup import ENTRIES, Lookup, load_table
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, literal, load, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement.channel_runs import ChannelRun, Origin, copy_runs, runs_of
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, Plain, declare, vectors, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

Row = tuple[Expr, Expr, Expr]


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` channels of operand `operand`, from `start` on."""

    operand: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class ChannelsSpec:
    """`output`'s channels are those of the pieces, one after the other.

    Attributes:
        inputs: Planes of the output's picture size and dtype.
        output: The result.
        pieces: Where its channels come from.
        requantized: Per input, whether its codes pass through a table; empty for none.
    """

    inputs: tuple[Plane, ...]
    output: Plane
    pieces: tuple[Piece, ...]
    requantized: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        """Checks that the pieces fill the output.

        Raises:
            ModelError: They do not, or the planes do not fit.
        """
        y = self.output
        whole = sum(piece.length for piece in self.pieces) == y.channels
        inside = all(
            piece.start >= 0 and piece.start + piece.length <= self.inputs[piece.operand].channels
            for piece in self.pieces
        )
        like = all(
            (x.batch, x.height, x.width, x.dtype) == (y.batch, y.height, y.width, y.dtype)
            for x in self.inputs
        )
        if not (whole and inside and like):
            raise ModelError(f"{self.pieces} of {self.inputs} are not {y}", where="channels")

    def has_table(self, operand: int) -> bool:
        """Whether an operand's codes pass through a table."""
        return bool(self.requantized) and self.requantized[operand]


def concat(inputs: Sequence[Plane], output: Plane, requantized: Sequence[bool] = ()) -> ChannelsSpec:
    """All channels of every input, one input after the other."""
    pieces = tuple(Piece(i, 0, plane.channels) for i, plane in enumerate(inputs))
    return ChannelsSpec(tuple(inputs), output, pieces, tuple(requantized))


def take_channels(source: Plane, output: Plane, channels: Sequence[int]) -> ChannelsSpec:
    """The listed channels in this order: a slice, one part of a split, a shuffle."""
    pieces: list[Piece] = []
    for channel in channels:
        last = pieces[-1] if pieces else None
        if last is not None and last.start + last.length == channel:
            pieces[-1] = Piece(0, last.start, last.length + 1)
        else:
            pieces.append(Piece(0, channel, 1))
    return ChannelsSpec((source,), output, tuple(pieces))


@cache
def emit(spec: ChannelsSpec, target: Target) -> Any:
    """``channels(inputs…, tables (inputs with a table, 256) uint8, codes, output)``."""
    tables = sum(spec.requantized)
    with kernel_function("channels") as function:
        *sources, table, output = declare(
            **{f"input_{i}": plane for i, plane in enumerate(spec.inputs)},
            table=Plain((tables, ENTRIES), "uint8") if tables else None,
            output=spec.output,
        )
        with written_rows(output) as row:
            runs = _block_runs(spec)
            for first, last in _ranges(spec, runs):
                inside = T.And(row[1] >= first, row[1] <= last)
                with T.If(inside), T.Then():
                    if _is_whole(spec, runs[first]):
                        _copy_rows(spec, target, runs[first][0], first, sources, table, output, row)
                    else:
                        _assemble(spec, target, runs[first], sources, table, output, (row[0], first, row[2]))
    return function.get()


def _block_runs(spec: ChannelsSpec) -> list[list[ChannelRun]]:
    """The runs of every output block."""
    origins = [
        Origin(piece.operand, channel)
        for piece in spec.pieces
        for channel in range(piece.start, piece.start + piece.length)
    ]
    block = spec.output.block
    blocks = [plane.block for plane in spec.inputs]
    return [runs_of(origins[start : start + block], blocks) for start in range(0, len(origins), block)]


def _is_whole(spec: ChannelsSpec, runs: list[ChannelRun]) -> bool:
    """Whether a block is exactly one block of one operand."""
    block = spec.output.block
    return len(runs) == 1 and runs[0].length == block == spec.inputs[runs[0].operand].block


def _ranges(spec: ChannelsSpec, runs: list[list[ChannelRun]]) -> list[tuple[int, int]]:
    """Ranges of output blocks that one branch serves: whole neighbouring blocks of one operand."""
    ranges: list[tuple[int, int]] = []
    for b, block_runs in enumerate(runs):
        if ranges and _is_whole(spec, block_runs):
            first, last = ranges[-1]
            begin = runs[first][0]
            follows = (begin.operand, begin.block + b - first) == (block_runs[0].operand, block_runs[0].block)
            if follows and _is_whole(spec, runs[first]):
                ranges[-1] = (first, last + 1)
                continue
        ranges.append((b, b))
    return ranges


def _copy_rows(
    spec: ChannelsSpec,
    target: Target,
    run: ChannelRun,
    first: int,
    sources: Sequence[FlatPlane],
    table: Buffer | None,
    output: FlatPlane,
    row: Row,
) -> None:
    """A whole block: its row is one run of memory."""
    n, block, y = row
    source, plane = sources[run.operand], output.plane
    lookup = (
        load_table(target, table, _table_start(spec, run.operand)) if spec.has_table(run.operand) else None
    )
    read, written = source.at(n, block - first + run.block, y), output.at(n, block, y)

    def body(offset: Expr, channel: int, lanes: int) -> None:
        values = load(source.buffer, (read + offset,), lanes)
        store(output.buffer, (written + offset,), values if lookup is None else lookup.vector(values))

    vectors(plane.width * plane.block, plane.block, body)


def _assemble(
    spec: ChannelsSpec,
    target: Target,
    runs: list[ChannelRun],
    sources: Sequence[FlatPlane],
    table: Buffer | None,
    output: FlatPlane,
    row: Row,
) -> None:
    """A mixed block: pixel by pixel, then the tables."""
    n, block, y = row
    plane = output.plane
    with T.serial(0, plane.width) as x:
        places = [(sources[run.operand].buffer, sources[run.operand].at(n, run.block, y, x)) for run in runs]
        copy_runs(runs, places, output, output.at(n, block, y, x))
    for operand in sorted({run.operand for run in runs if spec.has_table(run.operand)}):
        lookup = load_table(target, table, _table_start(spec, operand))
        _apply_table(lookup, _lanes_of(operand, runs, plane.block), output, output.at(n, block, y))


def _apply_table(lookup: Lookup, owned: Sequence[int], output: FlatPlane, written: Expr) -> None:
    """Replaces the codes of one operand's lanes in a row that has just been put together."""
    plane = output.plane

    def body(offset: Expr, channel: int, lanes: int) -> None:
        values = let(load(output.buffer, (written + offset,), lanes))
        mask = literal([owned[(channel + lane) % plane.block] for lane in range(lanes)], "uint8")
        entries = T.Select(mask > constant(0, "uint8", lanes), lookup.vector(values), values)
        store(output.buffer, (written + offset,), entries)

    vectors(plane.width * plane.block, plane.block, body)


def _lanes_of(operand: int, runs: Sequence[ChannelRun], block: int) -> list[int]:
    """1 for every lane of an output block that comes from `operand`."""
    owned = [0] * block
    for run in runs:
        if run.operand == operand:
            owned[run.output_lane : run.output_lane + run.length] = [1] * run.length
    return owned


def _table_start(spec: ChannelsSpec, operand: int) -> int:
    return sum(spec.requantized[:operand]) * ENTRIES


def pack(
    spec: ChannelsSpec, target: Target, tables: Mapping[int, npt.NDArray[np.uint8]] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters `table` and `codes`; see `build`."""
    codes = pack_codes(*spec.inputs, spec.output)
    if not any(spec.requantized):
        return codes
    assert tables is not None
    operands = [operand for operand in range(len(spec.inputs)) if spec.has_table(operand)]
    return {"table": np.stack([tables[operand] for operand in operands]), **codes}


def build(
    spec: ChannelsSpec, target: Target, tables: Mapping[int, npt.NDArray[np.uint8]] | None = None
) -> Kernel:
    """The kernel of a concatenation, slice or reordering.

    Args:
        spec: Geometry, from `concat` or `take_channels`.
        target: CPU level.
        tables: For every operand that is requantised, its (256,) table of stored codes.
    """
    return Kernel(emit(representative(spec), target), pack(spec, target, tables))
