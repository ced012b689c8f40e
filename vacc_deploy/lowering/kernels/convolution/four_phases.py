"""A 3×3 convolution in steps of 2 as the sum of four over the phases of its input.

Even and odd rows and columns of the input are four pictures (*phases*), over which taps 0 and 2 of the
filter, or tap 1 alone, slide in steps of 1. Seen in a window of 2×2, in which a single tap is the first,
Winograd transforms all four alike, and their products add up before they are transformed back.
`four_results` is the mirror image.
"""

from __future__ import annotations

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.vector import Expr

STRIDE = 2
"""Distance of the pixels of a phase, both ways; the input consists of its square of phases."""

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""(row, column) of the first pixel of every phase, row by row."""


def tap(phase: tuple[int, int], place: tuple[int, int]) -> tuple[int, int] | None:
    """Row and column of the 3×3 filter at a place of the window over a phase, None where there is none."""
    row, column = (STRIDE * place[axis] + phase[axis] for axis in range(2))
    return (row, column) if max(row, column) < 3 else None


def phase_seen_at(points: int, phase: Expr, position: Expr) -> Expr:
    """Whether products of a phase can differ from 0 at a position of a transformed tile.

    A single tap is the first of the two here, and gives 0 at ∞, the last point.

    Args:
        points: Of a transformed tile along an axis.
        phase: Its number, row by row.
        position: In the tile, row by row.
    """
    row, column = T.floordiv(position, points), T.floormod(position, points)
    return T.And(row + T.floordiv(phase, STRIDE) < points, column + T.floormod(phase, STRIDE) < points)
