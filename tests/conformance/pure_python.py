"""The integer arithmetic of the contract in Python integers, written from its formulas alone.

No NumPy, no floating point in what decides a bit: a real number is a pair ``(n, e)`` that means ``n·2^e``,
and rounding to float32 or float64 is rounding `n` to 24 or 53 bits, ties to even. (No number that occurs
here is subnormal or overflows.) Shares no code with `vacc_deploy.runtime.reference`, which it checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

Real = tuple[int, int]
Picture = list[list[list[int]]]  # [channel][row][column]


def real(x: float) -> Real:
    """`x` exactly."""
    numerator, denominator = float(x).as_integer_ratio()
    return numerator, -(denominator.bit_length() - 1)


def half_even(numerator: int, shift: int) -> int:
    """``numerator / 2^shift`` to the nearest integer, ties to even."""
    if shift <= 0:
        return numerator << -shift
    below, rest = divmod(numerator, 1 << shift)
    half = 1 << (shift - 1)
    return below + (rest > half or (rest == half and below % 2 == 1))


def half_up(numerator: int, shift: int) -> int:
    """Ties toward plus infinity."""
    return numerator if shift == 0 else (numerator + (1 << (shift - 1))) >> shift


def half_away(numerator: int, shift: int) -> int:
    """Ties away from zero."""
    size = half_up(abs(numerator), shift)
    return size if numerator >= 0 else -size


def rounded(x: Real, bits: int = 24) -> Real:
    """`x` to `bits` significant bits: 24 for float32, 53 for float64."""
    n, e = x
    extra = n.bit_length() - bits if n >= 0 else (-n).bit_length() - bits
    return x if extra <= 0 else (half_even(n, extra), e + extra)


def product(a: Real, b: Real, bits: int = 24) -> Real:
    """``a·b``, rounded once."""
    return rounded((a[0] * b[0], a[1] + b[1]), bits)


def quotient(a: Real, b: Real, bits: int = 24) -> Real:
    """``a/b``, rounded once: enough bits of the quotient, and one that says whether more would follow."""
    shift = max(0, bits + 3 + abs(b[0]).bit_length() - abs(a[0]).bit_length())
    size, rest = divmod(abs(a[0]) << shift, abs(b[0]))
    sign = -1 if (a[0] < 0) != (b[0] < 0) else 1
    return rounded((sign * (2 * size + (rest > 0)), a[1] - b[1] - shift - 1), bits)


def nearest(x: Real) -> int:
    """The nearest integer, ties to even."""
    return half_even(x[0], -x[1])


def clamp(value: int, low: int, high: int) -> int:
    """`value` within [low, high]."""
    return low if value < low else high if value > high else value


def requantize(acc: int, m: Real, zero: int, low: int, high: int) -> int:
    """``clamp(round(f32(f32(acc)·m)) + z)``."""
    return clamp(nearest(product(rounded((acc, 0)), m)) + zero, low, high)


def multiplier(s_x: float, s_w: float, s_y: float) -> Real:
    """``f32(f32(s_x·s_w) / s_y)``."""
    return quotient(product(real(s_x), real(s_w)), real(s_y))


def quantize(x: Real, scale: float, zero: int, low: int, high: int) -> int:
    """``saturate(round(f32(x / s)) + z)``."""
    return clamp(nearest(quotient(x, real(scale))) + zero, low, high)


def dequantize(q: int, scale: float, zero: int) -> Real:
    """``f32((q − z)·s)``."""
    return product((q - zero, 0), real(scale))


def add_factors(s_a: float, s_b: float, s_y: float) -> tuple[int, int, int]:
    """A, B and k: the largest k with ``255·(A + B) < 2^31``, ``A = round(f64(s_a / s_y)·2^k)``."""
    ratios = [quotient(real(s), real(s_y), 53) for s in (s_a, s_b)]
    for k in range(62, -1, -1):
        a, b = (nearest((n, e + k)) for n, e in ratios)
        if 255 * (a + b) < 2**31:
            return a, b, k
    raise OverflowError("the operands are too coarse")


def add(
    qa: int, qb: int, factors: tuple[int, int, int], za: int, zb: int, zy: int, low: int, high: int
) -> int:
    """``clamp(round(f32((q_a − z_a)·A + (q_b − z_b)·B)·2^-k) + z_y)``."""
    a, b, k = factors
    return requantize((qa - za) * a + (qb - zb) * b, (1, -k), zy, low, high)


def multiply(qa: int, qb: int, m: Real, za: int, zb: int, zy: int, low: int, high: int) -> int:
    """``clamp(round(f32((q_a − z_a)(q_b − z_b))·m) + z_y)``."""
    return requantize((qa - za) * (qb - zb), m, zy, low, high)


def table(
    function: Callable[[float], float],
    s_x: float, z_x: int, s_y: float, z_y: int, low: int, high: int,
) -> list[int]:  # fmt: skip
    """All codes of a unary operator from `low` to `high`; the function itself in double precision."""
    codes = []
    for q in range(low, high + 1):
        n, e = dequantize(q, s_x, z_x)
        y = rounded(real(function(math.ldexp(n, e))))
        codes.append(quantize(y, s_y, z_y, low, high))
    return codes


def convolve(
    x: Picture, weight: Sequence[Picture], bias: Sequence[int], zero: int, stride: int, pad: int
) -> Picture:
    """Accumulators of a dense convolution, [output][row][column]; outside lies the zero point."""
    height, width, kernel = len(x[0]), len(x[0][0]), len(weight[0][0])
    rows, columns = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    return [
        [
            [
                bias[o]
                + sum(
                    (x[c][y * stride - pad + i][z * stride - pad + j] - zero) * weight[o][c][i][j]
                    for c in range(len(x))
                    for i in range(kernel)
                    for j in range(kernel)
                    if 0 <= y * stride - pad + i < height and 0 <= z * stride - pad + j < width
                )
                for z in range(columns)
            ]
            for y in range(rows)
        ]
        for o in range(len(weight))
    ]


def convolve_transposed(x: Picture, weight: Sequence[Picture], zero: int, stride: int) -> Picture:
    """Accumulators of a transposed convolution, weight [input][output][i][j]: every pixel stamps a kernel."""
    height, width, kernel = len(x[0]), len(x[0][0]), len(weight[0][0])
    rows, columns = ((size - 1) * stride + kernel for size in (height, width))
    result = [[[0] * columns for _ in range(rows)] for _ in weight[0]]
    for c, plane in enumerate(x):
        for y in range(height):
            for z in range(width):
                for o, taps in enumerate(weight[c]):
                    for i in range(kernel):
                        for j in range(kernel):
                            result[o][y * stride + i][z * stride + j] += (plane[y][z] - zero) * taps[i][j]
    return result


def bilinear_taps(size: int, out_size: int, scale: Fraction) -> list[tuple[int, int, int]]:
    """First index, second index and the second's weight in 2^-11, half-pixel coordinates."""
    taps = []
    for index in range(out_size):
        x = min(max((index + Fraction(1, 2)) / scale - Fraction(1, 2), Fraction(0)), Fraction(size - 1))
        first = math.floor(x)
        taps.append((first, min(first + 1, size - 1), round((x - first) * 2048)))
    return taps


def bilinear_multiplier(s_x: float, s_y: float) -> Real:
    """``f32(s_x / s_y)·2^-22``."""
    n, e = quotient(real(s_x), real(s_y))
    return n, e - 22


def average_multiplier(s_x: float, s_y: float, count: int) -> Real:
    """``f32(s_x / f32(s_y·n))``."""
    return quotient(real(s_x), product(real(s_y), (count, 0)))
