"""The arithmetic of an exact integer Winograd convolution, F(4×4, 3×3).

After Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), a 4×4 output tile is

    Y = Aᵀ [Σ_c (G g Gᵀ) ⊙ (Bᵀ d B)] A          d: 6×6 input tile, g: 3×3 weights

Usually this is approximate, because G has fractions. Here everything stays integer:

* ``Bᵀ d B`` of uint8 codes lies within ±100·255, so int16 holds it.
* G is multiplied by 24, its last row by 12 only, so that ``|G g Gᵀ| ≤ 144·128`` fits int16 too; the last row
  and column of the products are doubled in the inverse instead.
* The result is then ``576 · acc`` modulo 2^32: sums may wrap around on the way, the arithmetic is a ring's.
* 576 = 9 · 64, and 9 has an inverse modulo 2^32: one multiplication leaves ``64 · acc``, exact as long as
  ``|acc| < 2^25``, which is checked against the layer's real weights. The 64 goes into the multiplier,
  where it only changes the exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.isa.vector import Expr, constant, element_of, lanes_of, let, wrapping

Array: TypeAlias = npt.NDArray[Any]

SUM_LIMIT = 2**25
"""Sums must stay below this: 64 times them are int32."""
SIDE = 6
"""Side of a transformed tile."""
STEP = 4
"""Side of an output tile."""
_INVERSE_OF_9 = 954437177  # 9 · this = 1 modulo 2^32
_WEIGHT_TRANSFORM = np.array(  # 24·G, the last row halved
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]], np.int32
)


def transform_weights(weights: Array) -> Array:
    """``G g Gᵀ`` of int8 weights (C_out, C_in, 3, 3), scaled to integers: int16 (6, 6, C_in, C_out)."""
    scaled, g = weights.astype(np.int32), _WEIGHT_TRANSFORM
    moved: Array = np.einsum("iy,ocyx,jx->ijco", g, scaled, g, optimize=True).astype(np.int16)
    return moved


def scale_sums(bias: Array, multiplier: Array) -> tuple[Array, Array]:
    """Bias and multiplier for sums that arrive 64 times too large."""
    scaled = (bias.astype(np.int64) * 64 & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return scaled, (multiplier / np.float32(64)).astype(np.float32)


def transform_input(d: Sequence[Expr]) -> list[Expr]:
    """``Bᵀ d`` of 6 int16 vectors."""
    even, odd = let(d[4] - d[2]), let(d[3] - d[1])
    a, b = let(d[4] - _shifted(d[2], 2)), let(d[3] - _shifted(d[1], 2))
    return [
        let(_shifted(d[0] - d[2], 2) + even),
        let(a + b),
        let(a - b),
        let(even + _shifted(odd, 1)),
        let(even - _shifted(odd, 1)),
        let((d[5] - d[3]) - _shifted(odd, 2)),
    ]


def transform_output(m: Sequence[Expr]) -> list[Expr]:
    """``Aᵀ m`` of 6 int32 vectors modulo 2^32, the last of which counts twice."""
    sum12, difference12 = _add(m[1], m[2]), let(wrapping("sub", m[1], m[2]))
    sum34, difference34 = _add(m[3], m[4]), let(wrapping("sub", m[3], m[4]))
    return [
        _add(_add(m[0], sum12), sum34),
        _add(difference12, _shifted(difference34, 1)),
        _add(sum12, _shifted(sum34, 2)),
        _add(_add(difference12, _shifted(difference34, 3)), _shifted(m[5], 1)),
    ]


def divide(value: Expr, bias: Expr) -> Expr:
    """``64 · (acc + b)`` from ``576 · acc`` and ``64 · b``."""
    inverse = constant(_INVERSE_OF_9, "int32", lanes_of(value))
    return wrapping("add", wrapping("mul", value, inverse), bias)


def _add(a: Expr, b: Expr) -> Expr:
    return let(wrapping("add", a, b))


def _shifted(value: Expr, bits: int) -> Expr:
    return value << constant(bits, element_of(value), lanes_of(value))
