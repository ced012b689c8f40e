"""Functions of one real, in float32 vectors, under the names that ONNX gives them.

Results are good to a few units in the last place of float32, far below the rounding to float16 that follows.
Exponentials are computed here and not by ``llvm.exp``, which becomes one library call per lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.codes import round_to_int
from vacc_deploy.lowering.kernels.isa.vector import (
    Expr,
    cast,
    clamp,
    constant,
    lanes_of,
    let,
    reinterpret,
    type_of,
)

Function: TypeAlias = Callable[[Expr, float, float], Expr]
"""(x, alpha, beta) → y."""

_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # Cephes expf: the high part has 10 bits, n·high is exact
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_ERF_SERIES = tuple(2 / math.sqrt(math.pi) * c for c in (1 / 216, -1 / 42, 1 / 10, -1 / 3, 1.0))
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)  # Abramowitz and Stegun 7.1.26


def _like(x: Expr, value: float) -> Expr:
    return constant(value, "float32", lanes_of(x))


def _polynomial(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """Horner's rule, highest power first."""
    result = _like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = let(result * x + _like(x, coefficient))
    return result


def exp(x: Expr) -> Expr:
    """``e^x``, by Cephes: x = n·ln 2 + r, a polynomial in r, and n moved into the exponent."""
    x = let(clamp(x, -87.3, 88.7))
    n = let(round_to_int(x * _like(x, 1 / math.log(2))))
    steps = let(cast(n, "float32"))
    r = let((x - steps * _like(x, _LN2_HIGH)) - steps * _like(x, _LN2_LOW))
    fraction = _polynomial(r, _EXP) * r * r + r + _like(x, 1.0)
    lanes = lanes_of(x)
    # In two factors, so that n = 128 does not leave the exponent's range.
    half = let(n >> constant(1, "int32", lanes))
    power = [
        reinterpret(
            (k + constant(127, "int32", lanes)) << constant(23, "int32", lanes), type_of("float32", lanes)
        )
        for k in (half, n - half)
    ]
    return let(fraction * power[0] * power[1])


def sigmoid(x: Expr) -> Expr:
    """``1 / (1 + e^-x)``; clamped where the quotient would become subnormal, which is slow."""
    return _like(x, 1.0) / (_like(x, 1.0) + exp(clamp(-x, -87.0, 87.0)))


def tanh(x: Expr) -> Expr:
    """``tanh x``: a series near 0, where the quotient would cancel."""
    x = let(x)
    square = let(x * x)
    series = x * _polynomial(square, (-17 / 315, 2 / 15, -1 / 3, 1.0))
    quotient = _like(x, 1.0) - _like(x, 2.0) / (_like(x, 1.0) + exp(clamp(x + x, -20.0, 20.0)))
    return T.Select(square < _like(x, 0.01), series, quotient)


def erf(x: Expr) -> Expr:
    """``erf x``, to 1.5e-7: a series near 0, a rational function of `x` times ``e^-x²`` beyond."""
    x = let(x)
    square, size = let(x * x), let(T.fabs(x))
    series = x * _polynomial(square, _ERF_SERIES)
    t = let(_like(x, 1.0) / (_like(x, 1.0) + _like(x, 0.3275911) * size))
    value = let(_like(x, 1.0) - _polynomial(t, _ERF) * t * exp(-square))
    far = T.Select(x < _like(x, 0.0), -value, value)
    return T.Select(size < _like(x, 0.3), series, far)


def _leaky(x: Expr, alpha: float) -> Expr:
    return T.Select(x < _like(x, 0.0), x * _like(x, alpha), x)


def _elu(x: Expr, alpha: float) -> Expr:
    return T.Select(x < _like(x, 0.0), (exp(x) - _like(x, 1.0)) * _like(x, alpha), x)


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    return clamp(x * _like(x, alpha) + _like(x, beta), 0.0, 1.0)


def _softplus(x: Expr) -> Expr:
    x = let(x)
    small = let(exp(-T.fabs(x)))
    series = small * _polynomial(small, (1 / 3, -1 / 2, 1.0))
    tail = T.Select(small < _like(x, 0.01), series, T.log(_like(x, 1.0) + small))
    return T.max(x, _like(x, 0.0)) + tail


def _mish(x: Expr) -> Expr:
    """``x · tanh(softplus x)`` without its logarithm: x·e(e + 2) / (e(e + 2) + 2) with e = e^x."""
    x = let(x)
    power = let(exp(T.min(x, _like(x, 20.0))))
    product = let(power * (power + _like(x, 2.0)))
    return x * (product / (product + _like(x, 2.0)))


FUNCTIONS: Mapping[str, Function] = {
    "Abs": lambda x, a, b: T.fabs(x),
    "Ceil": lambda x, a, b: T.ceil(x),
    "Clip": clamp,
    "Elu": lambda x, a, b: _elu(x, a),
    "Erf": lambda x, a, b: erf(x),
    "Exp": lambda x, a, b: exp(x),
    "Floor": lambda x, a, b: T.floor(x),
    "Gelu": lambda x, a, b: _like(x, 0.5) * x * (_like(x, 1.0) + erf(x * _like(x, math.sqrt(0.5)))),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, a, b: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "Identity": lambda x, a, b: x,
    "LeakyRelu": lambda x, a, b: _leaky(x, a),
    "Log": lambda x, a, b: T.log(x),
    "Mish": lambda x, a, b: _mish(x),
    "Neg": lambda x, a, b: -x,
    "Reciprocal": lambda x, a, b: _like(x, 1.0) / x,
    "Relu": lambda x, a, b: T.max(x, _like(x, 0.0)),
    "Sigmoid": lambda x, a, b: sigmoid(x),
    "Silu": lambda x, a, b: x * sigmoid(x),
    "Softplus": lambda x, a, b: _softplus(x),
    "Sqrt": lambda x, a, b: T.sqrt(x),
    "Tanh": lambda x, a, b: tanh(x),
}
"""``Clip`` takes its limits as alpha and beta; ``LeakyRelu``, ``Elu`` and ``HardSigmoid`` as ONNX says."""
