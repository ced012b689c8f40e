"""The one-dimensional transforms of Winograd's F(4, 3) and F(4, 2), on TIR vectors of float32.

Four outputs of a 3-tap filter from six inputs with six multiplications: ``y = Aᵀ [(G g) ⊙ (Bᵀ d)]``, for the
points 0, 1, −1, 2, −2 and ∞ (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015); of a
2-tap one from five inputs, without the point −2. A two-dimensional transform applies the same function to
columns, then to rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vacc_deploy.lowering.kernels.isa.vector import Expr, constant, lanes_of, let

OUTPUTS = 4
"""Outputs of a tile along an axis."""

Transform: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


@dataclass(frozen=True, slots=True)
class Winograd:
    """F(4, taps).

    Attributes:
        taps: Filter taps along an axis.
        points: Inputs of a tile, and values in the transformed domain, along an axis.
        filter_points: ``G g``.
        input_points: ``Bᵀ d``.
        outputs_of: ``Aᵀ m``.
    """

    taps: int
    points: int
    filter_points: Transform
    input_points: Transform
    outputs_of: Transform

    def seen(self, taps: Sequence[bool]) -> range:
        """The points at which a filter with only these taps can differ from 0.

        Of all taps, 0 sees the first alone, and ∞ the last.
        """
        return range(0 if taps[0] else 1, self.points - (0 if taps[-1] else 1))


def _times(factor: float, value: Expr) -> Expr:
    return constant(factor, "float32", lanes_of(value)) * value


def _filter_of_3(g: Sequence[Expr]) -> list[Expr]:
    """``G g``: 3 taps to 6 points."""
    ends = let(_times(-1 / 6, g[0] + g[2]))
    middle = let(_times(1 / 6, g[1]))
    outer = let(_times(1 / 24, g[0]) + _times(1 / 6, g[2]))
    inner = let(_times(1 / 12, g[1]))
    values = (_times(1 / 4, g[0]), ends - middle, ends + middle, outer + inner, outer - inner, g[2])
    return [let(value) for value in values]


def _input_of_3(d: Sequence[Expr]) -> list[Expr]:
    """``Bᵀ d``: 6 inputs to 6 points."""
    even = let(d[4] - _times(4, d[2]))
    odd = let(d[3] - _times(4, d[1]))
    near = let(d[4] - d[2])
    far = let(_times(2, d[3] - d[1]))
    values = (
        _times(4, d[0]) + (d[4] - _times(5, d[2])),
        even + odd,
        even - odd,
        near + far,
        near - far,
        _times(4, d[1]) + (d[5] - _times(5, d[3])),
    )
    return [let(value) for value in values]


def _outputs_of_3(m: Sequence[Expr]) -> list[Expr]:
    """``Aᵀ m``: 6 points to 4 outputs."""
    ones, one_gap = let(m[1] + m[2]), let(m[1] - m[2])
    twos, two_gap = let(m[3] + m[4]), let(m[3] - m[4])
    values = (
        m[0] + (ones + twos),
        one_gap + _times(2, two_gap),
        ones + _times(4, twos),
        m[5] + (one_gap + _times(8, two_gap)),
    )
    return [let(value) for value in values]


def _filter_of_2(g: Sequence[Expr]) -> list[Expr]:
    """``G g``: 2 taps to 5 points."""
    ends = let(_times(1 / 6, g[0]))
    values = (
        _times(1 / 2, g[0]),
        _times(-1 / 2, g[0] + g[1]),
        _times(1 / 6, g[1]) - ends,
        _times(1 / 3, g[1]) + ends,
        g[1],
    )
    return [let(value) for value in values]


def _input_of_2(d: Sequence[Expr]) -> list[Expr]:
    """``Bᵀ d``: 5 inputs to 5 points."""
    outer, inner = let(d[3] - d[1]), let(d[3] - d[2])
    values = (
        _times(2, d[0] - d[2]) + outer,
        inner - _times(2, d[1]),
        inner + _times(2, d[1] - d[2]),
        outer,
        (d[4] - d[2]) - _times(2, outer),
    )
    return [let(value) for value in values]


def _outputs_of_2(m: Sequence[Expr]) -> list[Expr]:
    """``Aᵀ m``: 5 points to 4 outputs."""
    ones, one_gap = let(m[1] + m[2]), let(m[1] - m[2])
    values = (
        m[0] + (ones + m[3]),
        one_gap + _times(2, m[3]),
        ones + _times(4, m[3]),
        m[4] + (one_gap + _times(8, m[3])),
    )
    return [let(value) for value in values]


THREE_TAPS = Winograd(3, 6, _filter_of_3, _input_of_3, _outputs_of_3)
TWO_TAPS = Winograd(2, 5, _filter_of_2, _input_of_2, _outputs_of_2)
