"""A transposed 3×3 convolution in steps of 2 as four pictures that one window of 2×2 makes.

Even and odd rows and columns of the output are four pictures (*results*), each output of which two
neighbouring inputs make, or one alone, along each axis. Seen in a window of 2×2, in which a single tap is
either the first or the second, all four read the same inputs: Winograd transforms these once for all of them.
`four_phases` is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.spec import TransposedSpec
from vacc_deploy.lowering.kernels.convolution.transposition import TransposePart
from vacc_deploy.lowering.kernels.isa.vector import Expr
from vacc_deploy.lowering.kernels.window import Window

SPREAD = 2
"""Distance of the outputs of a result, both ways; the output consists of its square of results."""


@dataclass(frozen=True, slots=True)
class FourResults:
    """The results, and the window that makes them.

    Attributes:
        parts: The results as sections, row by row.
        window: The common window, 2×2.
        size: (rows, columns) of the largest result.
        single: (row, column) of the result that one input alone makes, which is the second of two if it is 1.
    """

    parts: tuple[TransposePart, ...]
    window: Window
    size: tuple[int, int]
    single: tuple[int, int]

    @classmethod
    def of(cls, spec: TransposedSpec) -> FourResults | None:
        """The results of `spec`; None for another window, groups, or a halo that ends before it does."""
        wanted = Window((3, 3), (2, 2), padding=spec.window.padding)
        if spec.window != wanted or spec.groups != 1:
            return None
        parts = spec.parts()
        sections = [part.section for part in parts]
        top, left = (max(section.window.padding[axis] for section in sections) for axis in range(2))
        size = max(section.rows for section in sections), max(section.columns for section in sections)
        window = Window((2, 2), padding=(top, left))
        if not spec.source.halo.covers(window.reach(spec.source.size, size)):
            return None
        vertical, horizontal = spec.window.padding
        return cls(tuple(parts), window, size, ((vertical + 1) % 2, (horizontal + 1) % 2))

    def tap(self, part: TransposePart, place: tuple[int, int]) -> tuple[int, int] | None:
        """Row and column of the 3×3 filter that `part` has at a place of the window, if it has one there."""
        found = []
        for axis in range(2):
            index = place[axis] - self.window.padding[axis] + part.section.window.padding[axis]
            if index not in range(len(part.taps[axis])):
                return None
            found.append(part.taps[axis][index])
        return found[0], found[1]


def result_seen_at(single: tuple[int, int], points: int, result: Expr, position: Expr) -> Expr:
    """Whether products of a result can differ from 0 at a position of a transformed tile.

    A single tap gives 0 at the point 0, the first, where it is the second of the two, else at ∞, the last.

    Args:
        single: As in `FourResults`.
        points: Of a transformed tile along an axis.
        result: Its number, row by row.
        position: In the tile, row by row.
    """
    places = (T.floordiv(result, SPREAD), T.floordiv(position, points)), (result % SPREAD, position % points)
    zeros = [0 if second else points - 1 for second in single]
    return T.And(
        *(
            T.Or(parity != alone, point != zero)
            for (parity, point), alone, zero in zip(places, single, zeros, strict=True)
        )
    )
