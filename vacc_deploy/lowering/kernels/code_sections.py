"""Sections of int8 convolutions: their bias, their epilogue, and what surrounds them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.direct import DirectConvolution, block_diagonal
from vacc_deploy.lowering.kernels.epilogue import EpilogueWriter, fill_unused_channels
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import (
    PlaneBuffer,
    parallel_rows,
    write_end_halo,
    write_side_halo,
)
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, load
from vacc_deploy.lowering.kernels.qconv2d_spec import fold_zero_point, pad_channels
from vacc_deploy.lowering.kernels.section import View

Array: TypeAlias = npt.NDArray[Any]


def pack_section(
    direct: DirectConvolution, weights: Array, bias: Array, zero_point: int, groups: int
) -> tuple[Array, Array]:
    """Packed weights and the bias for sums of raw codes.

    Args:
        direct: The section.
        weights: int8 (C_out, C_in/groups, kH, kW), the section's own taps.
        bias: int32 (C_out,).
        zero_point: Of the input; its part in the sums is a constant per channel, and moves to the bias.
        groups: The operator's groups.
    """
    merged = block_diagonal(weights, groups, direct.section.groups)
    return direct.pack(merged), pad_channels(fold_zero_point(weights, bias, zero_point), 0, direct.channels)


def bias_argument(name: str, direct: DirectConvolution) -> Buffer:
    """Declares a section's int32 bias."""
    return argument(name, (direct.channels,), "int32")


def start_at(bias: Buffer, lanes: int) -> Callable[[Expr], Expr]:
    """Sums that start at the bias."""
    return lambda vector: load(bias, (vector * lanes,), lanes)


class CodeFinish:
    """Stores finished sums in `target`, for `DirectConvolution.emit`."""

    def __init__(self, writer: EpilogueWriter, target: PlaneBuffer, view: View) -> None:
        self.writer = copy.copy(writer)
        self.target = view(target)
        if writer.residual is not None:
            self.writer.residual = view(writer.residual)

    def __call__(self, n: Expr, vector: Expr, pixels: list[tuple[Expr, Expr, Expr]]) -> None:
        """Applies the epilogue to one vector of output channels at several pixels (row, column, sum)."""
        for row, column, acc in pixels:
            self.writer.store(self.target, acc, vector, n, row, column)


def finish_code_plane(target: PlaneBuffer, writer: EpilogueWriter) -> None:
    """Fills what sums leave of a plane: channels past the last one, and the halo; opens parallel loops."""
    plane = target.plane
    if plane.channels % plane.block or plane.halo.left or plane.halo.right:
        with parallel_rows(plane.batch, plane.height) as (n, y):
            fill_unused_channels(target, writer.epilogue, writer.simd, n, y)
            for block in range(plane.blocks):
                write_side_halo(target, n, block, y)
    write_end_halo(target)


def no_bias(weights: Array) -> Array:
    """Zeros for the output channels of (C_out, …) weights."""
    return np.zeros(len(weights), np.int32)
