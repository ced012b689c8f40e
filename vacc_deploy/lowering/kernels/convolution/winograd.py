"""The one-dimensional transforms of Winograd's F(4, 3), on TIR vectors.

Four outputs of a 3-tap filter from six inputs with six multiplications: ``y = Aᵀ [(G g) ⊙ (Bᵀ d)]``, for the
points 0, 1, −1, 2, −2 and ∞ (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015).
A two-dimensional transform applies the same function to columns, then to rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from vacc_deploy.lowering.kernels.isa.vector import Expr, constant, lanes_of, let

TAPS = 3
"""Filter taps along an axis."""
OUTPUTS = 4
"""Outputs of a tile along an axis."""
POINTS = 6
"""Inputs of a tile, and values in the transformed domain, along an axis."""


def _times(factor: float, value: Expr) -> Expr:
    return constant(factor, "float32", lanes_of(value)) * value


def filter_points(g: Sequence[Expr]) -> list[Expr]:
    """``G g``: 3 taps to 6 points."""
    ends = let(_times(-1 / 6, g[0] + g[2]))
    middle = let(_times(1 / 6, g[1]))
    outer = let(_times(1 / 24, g[0]) + _times(1 / 6, g[2]))
    inner = let(_times(1 / 12, g[1]))
    values = (_times(1 / 4, g[0]), ends - middle, ends + middle, outer + inner, outer - inner, g[2])
    return [let(value) for value in values]


def input_points(d: Sequence[Expr]) -> list[Expr]:
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


def outputs_of(m: Sequence[Expr]) -> list[Expr]:
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
