"""Sections of int8 kernels: packing, code by vector or tile instructions, and what surrounds them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, TypeAlias

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.direct import DirectConvolution, block_diagonal
from vacc_deploy.lowering.kernels.convolution.integer.amx.blocking import (
    Blocking,
    channel_tiles_of,
    choose_blocking,
    pack_amx,
    weights_argument,
)
from vacc_deploy.lowering.kernels.convolution.integer.amx.kernel import AmxConvolution, Buffers, TileFactory
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import (
    EpilogueWriter,
    fill_unused_channels,
)
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import fold_zero_point, pad_channels
from vacc_deploy.lowering.kernels.convolution.section import Section, stepped
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import (
    PlaneBuffer,
    parallel_rows,
    write_end_halo,
    write_side_halo,
)
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, load
from vacc_deploy.lowering.plane import Halo, Plane

Array: TypeAlias = npt.NDArray[Any]


def viewed(writer: EpilogueWriter, section: Section) -> EpilogueWriter:
    """A writer whose residual is seen like the section's outputs."""
    result = copy.copy(writer)
    if writer.residual is not None:
        result.residual = stepped(writer.residual, section)
    return result


class CodeSection(ABC):
    """A section of an int8 kernel, by one algorithm.

    Attributes:
        channels: Output channels computed, padding included.
    """

    channels: int

    @abstractmethod
    def pack(self, weights: Array) -> Array:
        """Packs the section's weights, int8 (C_out, C_in/groups, rows, columns)."""

    @abstractmethod
    def weights_argument(self, name: str) -> Buffer:
        """Declares the packed weights."""

    @abstractmethod
    def emit(
        self, source: PlaneBuffer, weights: Buffer, bias: Buffer, writer: EpilogueWriter, target: PlaneBuffer
    ) -> None:
        """Appends the parallel loop; the writer and the target are those of the whole operator."""

    def pack_bias(self, weights: Array, bias: Array, zero_point: int) -> Array:
        """The int32 bias for sums of raw codes: the zero point's part is a constant per channel."""
        return pad_channels(fold_zero_point(weights, bias, zero_point), 0, self.channels)

    def bias_argument(self, name: str) -> Buffer:
        """Declares the bias."""
        return argument(name, (self.channels,), "int32")


class DirectSection(CodeSection):
    """By the vector instruction set's dot products."""

    def __init__(self, direct: DirectConvolution[PlaneBuffer], groups: int) -> None:
        self.direct, self.groups = direct, groups
        self.channels = direct.channels

    def pack(self, weights: Array) -> Array:  # noqa: D102
        return self.direct.pack(block_diagonal(weights, self.groups, self.direct.section.groups))

    def weights_argument(self, name: str) -> Buffer:  # noqa: D102
        return self.direct.weights_argument(name)

    def emit(  # noqa: D102
        self, source: PlaneBuffer, weights: Buffer, bias: Buffer, writer: EpilogueWriter, target: PlaneBuffer
    ) -> None:
        lanes = writer.simd.lanes
        seen, out = viewed(writer, self.direct.section), stepped(target, self.direct.section)

        def finish(n: Expr, vector: Expr, pixels: list[tuple[Expr, Expr, Expr]]) -> None:
            for row, column, acc in pixels:
                seen.store(out, acc, vector, n, row, column)

        self.direct.emit(source, weights, lambda vector: load(bias, (vector * lanes,), lanes), finish)


class AmxSection(CodeSection):
    """By AMX tiles."""

    def __init__(
        self, spec: QConv2dSpec, blocking: Blocking, section: Section, groups: int, tiles: TileFactory
    ) -> None:
        self.spec, self.blocking, self.section = spec, blocking, section
        self.groups, self.tiles = groups, tiles
        self.channels = channel_tiles_of(spec) * 16

    @classmethod
    def of(
        cls, section: Section, source: Plane, target: Plane, groups: int, tiles: TileFactory
    ) -> AmxSection | None:
        """The section of an operator with `groups` groups on tiles; None where these cannot compute it."""
        if section.groups > 1 or section.window.taps == 0:
            return None
        outputs = replace(target, height=section.rows, width=section.columns, halo=Halo())
        spec = QConv2dSpec(source, outputs, section.window)
        blocking = choose_blocking(spec)
        return None if blocking is None else cls(spec, blocking, section, groups, tiles)

    def pack(self, weights: Array) -> Array:  # noqa: D102
        return pack_amx(self.spec, self.blocking, block_diagonal(weights, self.groups, 1))

    def weights_argument(self, name: str) -> Buffer:  # noqa: D102
        return weights_argument(name, self.spec, self.blocking)

    def emit(  # noqa: D102
        self, source: PlaneBuffer, weights: Buffer, bias: Buffer, writer: EpilogueWriter, target: PlaneBuffer
    ) -> None:
        seen, out = viewed(writer, self.section), stepped(target, self.section)
        buffers = Buffers(source, weights, bias, seen, out)
        AmxConvolution(self.spec, self.blocking, buffers).emit(self.tiles)


def finish_code_plane(target: PlaneBuffer, writer: EpilogueWriter) -> None:
    """Fills what sums leave of a plane: channels past the last one, and the halo; opens parallel loops."""
    plane = target.plane
    if plane.channels % plane.block or plane.halo.left or plane.halo.right:
        with parallel_rows(plane.batch, plane.height) as (n, y):
            fill_unused_channels(target, writer.epilogue, writer.simd, n, y)
            for block in range(plane.blocks):
                write_side_halo(target, n, block, y)
    write_end_halo(target)
