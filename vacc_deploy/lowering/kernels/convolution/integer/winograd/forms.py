"""The arithmetic of exact integer Winograd convolutions with 3×3 filters: in steps of 1 or 2, or transposed.

After Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), a 4×4 output tile is

    Y = Aᵀ [Σ_c (G g Gᵀ) ⊙ (Bᵀ d B)] A          d: input tile, g: weights

Usually this is approximate, because G has fractions. Here everything stays integer: G is multiplied by what
its fractions need, and sums may wrap around on the way (the arithmetic is a ring's). Nine has an inverse
modulo 2^32; what is left of the factor after division by it is a power of two, which goes into the multiplier
and only changes the exponent there.

`Dense`, F(4×4, 3×3), steps of 1: 36 products where 144 are needed.

* ``Bᵀ d B`` of uint8 codes lies within ±100·255, so int16 holds it.
* G is multiplied by 24, its last row by 12 only, so that ``|G g Gᵀ| ≤ 144·128`` fits int16 too; the last row
  and column of the products are doubled in the inverse instead.
* Sums arrive as ``576 · acc``, and leave as ``64 · acc``, which is int32 for sums below 2^25. Where weights
  allow larger ones, the input channels are cut into shares that stay below, each is brought back by itself,
  and they are added up as plain int32.

`Strided`, steps of 2, is the sum of four F(4×4, 2×2) over the phases of the input (`four_phases`): 81
products where 144 are needed, since one tap alone takes 4 points of 5.

* ``Bᵀ d B`` lies within ±36·255 and ``G g Gᵀ``, with G times 6, within ±36·128.
* Sums arrive as ``36 · acc``, and leave as ``4 · acc``.

`Transposed`, in steps of 2, is the mirror image: four results (`four_results`), which share the transformed
input of an F(4×4, 2×2), with the same limits: again 81 products where 144 are needed.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.four_phases import PHASES, STRIDE, phase_seen_at, tap
from vacc_deploy.lowering.kernels.convolution.four_results import SPREAD, result_seen_at
from vacc_deploy.lowering.kernels.isa.vector import Expr, constant, element_of, lanes_of, let, wrapping

Array: TypeAlias = npt.NDArray[Any]

STEP = 4
"""Side of an output tile."""
_INVERSE_OF_9 = 954437177  # 9 · this = 1 modulo 2^32
_SMALLEST_MULTIPLIER = 2.0**-100  # a 64th of a smaller one could lose bits as a subnormal


class Form(ABC):
    """One of the algorithms.

    Attributes:
        stride: Step of the convolution, both ways.
        side: Side of a transformed tile.
        factor: What sums are multiplied by when they leave.
        gain: How many times fewer products than by the definition.
        phases: (row, column) of the first pixel of every picture that the input consists of, row by row.
        spread: Distance of the outputs of a result, both ways; the output consists of its square of results.
    """

    stride: int
    side: int
    factor: int
    gain: float
    phases: tuple[tuple[int, int], ...] = ((0, 0),)
    spread: int = 1
    _weight_transform: Array  # G, scaled to integers

    @property
    def results(self) -> int:
        """Pictures that the output consists of, row by row."""
        return self.spread**2

    @property
    def sum_limit(self) -> int:
        """Sums must stay below this: `factor` times them are int32."""
        return 2**31 // self.factor

    def transform_taps(self, taps: Array) -> Array:
        """``G g Gᵀ`` of int8 (taps, taps, …): int16 (side · side, …); float32 is exact below 2^24."""
        g, shape = self._weight_transform.astype(np.float32), taps.shape
        columns = (g @ taps.reshape(shape[0], -1).astype(np.float32)).reshape(self.side, shape[1], -1)
        moved: Array = (g @ columns).astype(np.int16)
        return moved.reshape(self.side**2, *shape[2:])

    def scales(self, multiplier: Array) -> bool:
        """Whether `factor` can be taken out of the multipliers without loss."""
        return bool(np.all((multiplier == 0) | (np.abs(multiplier) >= _SMALLEST_MULTIPLIER)))

    def scale_sums(self, bias: Array, multiplier: Array) -> tuple[Array, Array]:
        """Bias and multiplier for sums that leave `factor` times too large, as those of a single share."""
        scaled = (bias.astype(np.int64) * self.factor & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        return scaled, (multiplier / np.float32(self.factor)).astype(np.float32)

    def first_pixel(self, phase: Expr) -> tuple[Expr, Expr]:
        """Row and column at which the `phase`-th phase starts."""
        return T.floordiv(phase, self.stride), T.floormod(phase, self.stride)

    def place(self, result: Expr, y: Expr, x: Expr) -> tuple[Expr, Expr]:
        """Output row and column of pixel (y, x) of the `result`-th result."""
        row, column = T.floordiv(result, self.spread), T.floormod(result, self.spread)
        return y * self.spread + row, x * self.spread + column

    def covers(self, height: int, width: int) -> tuple[int, int]:
        """The output that results of `height` × `width` pixels make."""
        return height * self.spread, width * self.spread

    @abstractmethod
    def contributes(self, phase: Expr, result: Expr, position: Expr) -> Expr:
        """Whether products of a phase and a result can differ from 0 at a position of a transformed tile."""

    @abstractmethod
    def transform_input(self, d: Sequence[Expr]) -> list[Expr]:
        """``Bᵀ d`` of `side` int16 vectors."""

    @abstractmethod
    def transform_output(self, m: Sequence[Expr]) -> list[Expr]:
        """``Aᵀ m`` of `side` int32 vectors modulo 2^32."""

    def total(self, shares: Sequence[Expr], bias: Expr) -> Expr:
        """The sum of `shares`, each ``9 · factor · acc``, and of `bias`.

        One share leaves as ``factor · acc``, with a bias as large. Of several, each is divided by `factor`
        before they are added up, so that only each one's own sum must stay below `sum_limit`.
        """
        inverse = constant(_INVERSE_OF_9, "int32", lanes_of(bias))
        exact = [wrapping("mul", share, inverse) for share in shares]
        if len(exact) > 1:
            bits = constant(self.factor.bit_length() - 1, "int32", lanes_of(bias))
            exact = [share >> bits for share in exact]
        return functools.reduce(_add, exact, bias)


class Dense(Form):
    """Steps of 1: points 0, 1, −1, 2, −2, ∞."""

    stride, side, factor, gain = 1, 6, 64, 144 / 36
    _weight_transform = np.array(  # 24·G, the last row halved
        [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]], np.int32
    )

    def filters(self, weights: Array) -> list[Array]:
        """What slides over the phases, of weights (C_out, C_in, 3, 3)."""
        return [weights]

    def contributes(self, phase: Expr, result: Expr, position: Expr) -> Expr:  # noqa: D102
        return True

    def transform_input(self, d: Sequence[Expr]) -> list[Expr]:  # noqa: D102
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

    def transform_output(self, m: Sequence[Expr]) -> list[Expr]:  # noqa: D102
        sum12, difference12 = _add(m[1], m[2]), _subtract(m[1], m[2])
        sum34, difference34 = _add(m[3], m[4]), _subtract(m[3], m[4])
        return [
            _add(_add(m[0], sum12), sum34),
            _add(difference12, _shifted(difference34, 1)),
            _add(sum12, _shifted(sum34, 2)),
            _add(_add(difference12, _shifted(difference34, 3)), _shifted(m[5], 1)),
        ]


class _TwoTaps(Form):
    """Two taps each way: points 0, 1, −1, 2, ∞."""

    side, factor, gain = 5, 4, 144 / 81
    _weight_transform = np.array([[3, 0], [-3, -3], [-1, 1], [1, 2], [0, 6]], np.int32)  # 6·G

    def transform_input(self, d: Sequence[Expr]) -> list[Expr]:
        outer, inner = let(d[3] - d[1]), let(d[3] - d[2])
        return [
            let(_shifted(d[0] - d[2], 1) + outer),
            let(inner - _shifted(d[1], 1)),
            let(inner + _shifted(d[1] - d[2], 1)),
            outer,
            let((d[4] - d[2]) - _shifted(outer, 1)),
        ]

    def transform_output(self, m: Sequence[Expr]) -> list[Expr]:
        total, difference = _add(m[1], m[2]), _subtract(m[1], m[2])
        return [
            _add(_add(m[0], total), m[3]),
            _add(difference, _shifted(m[3], 1)),
            _add(total, _shifted(m[3], 2)),
            _add(_add(difference, _shifted(m[3], 3)), m[4]),
        ]


class Strided(_TwoTaps):
    """Steps of 2: a result from four phases."""

    stride = STRIDE
    phases = PHASES

    def filters(self, weights: Array) -> list[Array]:
        """What slides over the phases, (C_out, C_in, 2, 2), of weights (C_out, C_in, 3, 3)."""
        return [two_tap_filter(weights, functools.partial(tap, phase)) for phase in self.phases]

    def contributes(self, phase: Expr, result: Expr, position: Expr) -> Expr:  # noqa: D102
        return phase_seen_at(self.side, phase, position)


@dataclass(frozen=True, slots=True)
class Transposed(_TwoTaps):
    """Transposed, in steps of 2: four results from a phase.

    Attributes:
        single: As of `FourResults`.
    """

    single: tuple[int, int]
    stride = 1
    spread = SPREAD

    def contributes(self, phase: Expr, result: Expr, position: Expr) -> Expr:  # noqa: D102
        return result_seen_at(self.single, self.side, result, position)


def two_tap_filter(weights: Array, tap_at: Callable[[tuple[int, int]], tuple[int, int] | None]) -> Array:
    """A filter (C_out, C_in, 2, 2): at each place the tap of the 3×3 `weights` that `tap_at` names."""
    taps = np.zeros((*weights.shape[:2], 2, 2), weights.dtype)
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        found = tap_at(place)
        if found is not None:
            taps[:, :, place[0], place[1]] = weights[:, :, found[0], found[1]]
    return taps


FORMS: dict[int, Dense | Strided] = {form.stride: form for form in (Dense(), Strided())}
"""Of ordinary convolutions, by stride."""


def _add(a: Expr, b: Expr) -> Expr:
    return let(wrapping("add", a, b))


def _subtract(a: Expr, b: Expr) -> Expr:
    return let(wrapping("sub", a, b))


def _shifted(value: Expr, bits: int) -> Expr:
    return value << constant(bits, element_of(value), lanes_of(value))
