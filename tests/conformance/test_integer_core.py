"""The NumPy reference against Python integers: exhaustively where that is possible, else in volume."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.conformance import pure_python as pure
from vacc_deploy.runtime.reference import (
    add,
    conv2d,
    conv_transpose2d,
    fixed_point,
    matmul,
    mul,
    pad,
    pixel_shuffle,
    pool,
    resize,
    table,
)

VOLUME = [pytest.param(20_000, id="quick"), pytest.param(1_000_000, id="million", marks=pytest.mark.slow)]
ROUNDINGS = {"half_even": pure.half_even, "half_up": pure.half_up, "half_away": pure.half_away}


def a_scale(random):
    return np.float32(np.exp2(random.uniform(-9, 1)))


def some_codes(random, count, dtype):
    info = np.iinfo(dtype)
    return random.integers(info.min, info.max + 1, count).astype(dtype)


def all_pairs():
    codes = np.arange(-128, 128)
    return (grid.reshape(-1).astype(np.int8) for grid in np.meshgrid(codes, codes, indexing="ij"))


def compare(ours, theirs):
    ours = np.asarray(ours).reshape(-1)
    theirs = np.asarray(theirs).reshape(-1)
    assert ours.shape == theirs.shape
    assert np.count_nonzero(ours != theirs) == 0


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_shift_of_every_int16_accumulator(rounding):
    accumulators = np.arange(-(2**15), 2**15, dtype=np.int32)
    values = accumulators.tolist()
    for shift in range(25):
        expected = [ROUNDINGS[rounding](value, shift) for value in values]
        compare(fixed_point.shift_right(accumulators, shift, rounding), expected)
        scale = np.float32(2.0**-shift)
        scaled = fixed_point.requantize(accumulators, scale, 0, -(2**20), 2**20, rounding)
        compare(scaled, expected)


@pytest.mark.parametrize("subtract", [False, True], ids=["add", "sub"])
@pytest.mark.parametrize("scales", [(0.02, 0.03, 0.04), (0.5, 0.0013, 0.25), (1.0, 1.0, 1.0)])
def test_addition_of_every_pair(scales, subtract):
    a, b = all_pairs()
    s = [np.float32(scale) for scale in scales]
    factors = add.add_factors(*map(float, s), subtract=subtract)
    fa, fb, k = pure.add_factors(*s)
    expected = [
        pure.add(x, y, (fa, -fb if subtract else fb, k), 0, 0, 0, -128, 127)
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    compare(add.add(a, b, factors), expected)


@pytest.mark.parametrize("scales", [(0.02, 0.03, 0.04), (0.125, 0.25, 0.5), (0.3, 0.7, 0.011)])
def test_multiplication_of_every_pair(scales):
    a, b = all_pairs()
    s = [np.float32(scale) for scale in scales]
    m = pure.multiplier(*s)
    expected = [
        pure.multiply(x, y, m, 0, 0, 0, -128, 127) for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    compare(mul.mul(a, b, fixed_point.multiplier(*s)), expected)


@pytest.mark.parametrize("volume", VOLUME)
def test_requantize(volume):
    random = np.random.default_rng(0)
    for _ in range(100):
        sizes = np.exp2(random.uniform(0, 31, volume // 100))
        acc = (sizes * random.choice([-1, 1], sizes.size)).astype(np.int64).clip(-(2**31), 2**31 - 1)
        acc = acc.astype(np.int32)
        s = [a_scale(random) for _ in range(3)]
        zero = int(random.integers(0, 256))
        m = pure.multiplier(*s)
        expected = [pure.requantize(value, m, zero, 0, 255) for value in acc.tolist()]
        compare(fixed_point.requantize(acc, fixed_point.multiplier(*s), zero, 0, 255), expected)


@pytest.mark.parametrize("volume", VOLUME)
def test_quantize_and_dequantize(volume):
    random = np.random.default_rng(1)
    for _ in range(50):
        scale, zero = a_scale(random), int(random.integers(0, 256))
        x = (random.normal(size=volume // 50) * 100 * scale).astype(np.float32)
        x[::3] = (np.rint(x[::3] / scale) + np.float32(0.5)) * scale  # ties, or nearly
        expected = [pure.quantize(pure.real(value), scale, zero, 0, 255) for value in x.tolist()]
        codes = fixed_point.quantize(x, scale, zero, np.uint8)
        compare(codes, expected)
        values = [pure.dequantize(q, scale, zero) for q in codes.tolist()]
        compare(fixed_point.dequantize(codes, scale, zero), [math.ldexp(n, e) for n, e in values])


@pytest.mark.parametrize("volume", VOLUME)
@pytest.mark.parametrize("operator", ["add", "sub", "mul"])
def test_arithmetic(operator, volume):
    random = np.random.default_rng(2)
    for _ in range(50):
        a, b = (some_codes(random, volume // 50, np.uint8) for _ in range(2))
        sa, sb, sy = (a_scale(random) for _ in range(3))
        za, zb, zy = (int(z) for z in random.integers(0, 256, 3))
        zeros = {"a_zero_point": za, "b_zero_point": zb, "output_zero_point": zy, "lo": 0, "hi": 255}
        pairs = list(zip(a.tolist(), b.tolist(), strict=True))
        if operator == "mul":
            m = pure.multiplier(sa, sb, sy)
            expected = [pure.multiply(x, y, m, za, zb, zy, 0, 255) for x, y in pairs]
            ours = mul.mul(a, b, fixed_point.multiplier(sa, sb, sy), **zeros)
        else:
            factors = add.add_factors(float(sa), float(sb), float(sy), subtract=operator == "sub")
            fa, fb, k = pure.add_factors(sa, sb, sy)
            signed = (fa, -fb if operator == "sub" else fb, k)
            assert (factors.a, factors.b, factors.shift) == signed
            expected = [pure.add(x, y, signed, za, zb, zy, 0, 255) for x, y in pairs]
            ours = add.add(a, b, factors, **zeros)
        compare(ours, expected)


FUNCTIONS = {
    "relu": (table.relu, lambda x: max(x, 0.0)),
    "leaky_relu": (table.leaky_relu(0.2), lambda x: x * float(np.float32(0.2)) if x < 0 else x),
    "clip": (table.clip(-0.5, 0.75), lambda x: min(max(x, -0.5), 0.75)),
    "sigmoid": (table.sigmoid, lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0),
    "tanh": (np.tanh, math.tanh),
    "hard_sigmoid": (table.hard_sigmoid(), lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0)),
    "requantize": (table.identity, lambda x: x),
}


@pytest.mark.parametrize("volume", VOLUME)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_tables(name, volume):
    ours, theirs = FUNCTIONS[name]
    random = np.random.default_rng(3)
    for _ in range(-(-volume // 256)):
        s_x, s_y = a_scale(random), a_scale(random)
        z_x, z_y = (int(z) for z in random.integers(0, 256, 2))
        made = table.build_table(
            ours,
            scale=float(s_x), zero_point=z_x, dtype=np.uint8,
            output_scale=float(s_y), output_zero_point=z_y, output_dtype=np.uint8,
        )  # fmt: skip
        compare(made, pure.table(theirs, s_x, z_x, s_y, z_y, 0, 255))


@pytest.mark.parametrize("volume", VOLUME)
def test_conv2d(volume):
    random = np.random.default_rng(4)
    done = 0
    while done < volume:
        channels, outputs, kernel = (int(n) for n in random.integers(1, 4, 3))
        stride, padding, zero = (
            int(random.integers(1, 3)),
            int(random.integers(0, 3)),
            int(random.integers(256)),
        )
        x = some_codes(random, (1, channels, 24, 25), np.uint8)
        w = some_codes(random, (outputs, channels, kernel, kernel), np.int8)
        bias = random.integers(-9999, 9999, outputs).astype(np.int32)
        ours = conv2d.accumulate(x, w, bias, zero_point=zero, strides=(stride, stride), pads=(padding,) * 4)
        compare(ours, pure.convolve(x[0].tolist(), w.tolist(), bias.tolist(), zero, stride, padding))
        done += ours.size


@pytest.mark.parametrize("volume", VOLUME)
def test_conv_transpose2d(volume):
    random = np.random.default_rng(5)
    done = 0
    while done < volume:
        channels, outputs, kernel, stride = (int(n) for n in random.integers(1, 4, 4))
        zero = int(random.integers(256))
        x = some_codes(random, (1, channels, 14, 15), np.uint8)
        w = some_codes(random, (channels, outputs, kernel, kernel), np.int8)
        ours = conv_transpose2d.accumulate(x, w, zero_point=zero, strides=(stride, stride))
        compare(ours, pure.convolve_transposed(x[0].tolist(), w.tolist(), zero, stride))
        done += ours.size


@pytest.mark.parametrize("volume", VOLUME)
def test_matmul(volume):
    random = np.random.default_rng(6)
    done = 0
    while done < volume:
        rows, terms, columns = int(random.integers(1, 60)), int(random.integers(1, 20)), 50
        zero = int(random.integers(256))
        a, b = some_codes(random, (rows, terms), np.uint8), some_codes(random, (terms, columns), np.int8)
        transposed = b.T.tolist()
        expected = [
            sum((x - zero) * w for x, w in zip(row, column, strict=True))
            for row in a.tolist()
            for column in transposed
        ]
        compare(matmul.accumulate(a, b, None, zero_point=zero), expected)
        done += rows * columns


@pytest.mark.parametrize("terms", [1, 15, 16, 17, 257, 258, 259, 575, 576, 1040, 1041, 1152, 4608])
@pytest.mark.parametrize("weight", [-128, 127])
def test_saturated_sums_are_exact(terms, weight):
    a, b = np.full((2, terms), 255, np.uint8), np.full((terms, 3), weight, np.int8)
    compare(matmul.accumulate(a, b, None, zero_point=0), [255 * weight * terms] * 6)


@pytest.mark.parametrize("volume", VOLUME)
def test_average_pool(volume):
    random = np.random.default_rng(7)
    done = 0
    while done < volume:
        kernel, stride = int(random.integers(1, 5)), int(random.integers(1, 4))
        s_x, s_y = a_scale(random), a_scale(random)
        z_x, z_y = (int(z) for z in random.integers(0, 256, 2))
        x = some_codes(random, (1, 2, 40, 41), np.uint8)
        ours = pool.average_pool2d(
            x, (kernel, kernel),
            scale=float(s_x), output_scale=float(s_y), zero_point=z_x, output_zero_point=z_y,
            strides=(stride, stride), lo=0, hi=255,
        )  # fmt: skip
        m = pure.average_multiplier(s_x, s_y, kernel * kernel)
        expected = [
            pure.requantize(
                sum(plane[y + i][z + j] - z_x for i in range(kernel) for j in range(kernel)), m, z_y, 0, 255
            )
            for plane in x[0].tolist()
            for y in range(0, 40 - kernel + 1, stride)
            for z in range(0, 41 - kernel + 1, stride)
        ]
        compare(ours, expected)
        done += ours.size


@pytest.mark.parametrize("volume", VOLUME)
def test_bilinear(volume):
    random = np.random.default_rng(8)
    done = 0
    while done < volume:
        factor = Fraction(*[(2, 1), (3, 1), (3, 2), (1, 2), (5, 4)][int(random.integers(5))])
        s_x, s_y = a_scale(random), a_scale(random)
        z_x, z_y = (int(z) for z in random.integers(0, 256, 2))
        x = some_codes(random, (1, 1, 20, 24), np.uint8)
        sizes = [int(20 * factor), int(24 * factor)]
        rows, columns = (
            resize.linear_taps(size, out, float(factor), "half_pixel")
            for size, out in zip((20, 24), sizes, strict=True)
        )
        ours = resize.resize_bilinear(
            x, rows, columns,
            scale=float(s_x), output_scale=float(s_y), zero_point=z_x, output_zero_point=z_y, lo=0, hi=255,
        )  # fmt: skip
        plane, m = x[0, 0].tolist(), pure.bilinear_multiplier(s_x, s_y)
        expected = []
        for top, bottom, down in pure.bilinear_taps(20, sizes[0], factor):
            for left, right, across in pure.bilinear_taps(24, sizes[1], factor):
                corners = ((top, left), (top, right), (bottom, left), (bottom, right))
                weights = (
                    (2048 - down) * (2048 - across), (2048 - down) * across,
                    down * (2048 - across), down * across,
                )  # fmt: skip
                acc = sum((plane[i][j] - z_x) * w for (i, j), w in zip(corners, weights, strict=True))
                expected.append(pure.requantize(acc, m, z_y, 0, 255))
        compare(ours, expected)
        done += ours.size


@pytest.mark.parametrize("volume", VOLUME)
def test_movement(volume):
    """Largest of windows, padding, pixel shuffle, nearest resize: index arithmetic on lists."""
    random = np.random.default_rng(9)
    done = 0
    while done < volume:
        x = some_codes(random, (1, 8, 21, 22), np.int8)
        planes = x[0].tolist()
        largest = [
            max(plane[y + i][z + j] for i in range(3) for j in range(2))
            for plane in planes
            for y in range(0, 19, 2)
            for z in range(21)
        ]
        compare(pool.max_pool2d(x, (3, 2), strides=(2, 1)), largest)
        padded = [
            plane[y][z] if 0 <= y < 21 and 0 <= z < 22 else 7
            for plane in planes
            for y in range(-1, 24)
            for z in range(-2, 23)
        ]
        compare(pad.pad(x, [0, 0, 1, 2, 0, 0, 3, 1], fill=7), padded)
        mirrored = [plane[abs(y)][abs(z)] for plane in planes for y in range(-2, 21) for z in range(-3, 22)]
        compare(pad.pad(x, [0, 0, 2, 3, 0, 0, 0, 0], mode="reflect"), mirrored)
        shuffled = [
            planes[c * 4 + (y % 2) * 2 + z % 2][y // 2][z // 2]
            for c in range(2)
            for y in range(42)
            for z in range(44)
        ]
        compare(pixel_shuffle.pixel_shuffle(x, 2, "CRD"), shuffled)
        rows = resize.nearest_indices(21, 42, 2.0, "asymmetric", "floor")
        columns = resize.nearest_indices(22, 33, 1.5, "asymmetric", "floor")
        near = [plane[y // 2][z * 2 // 3] for plane in planes for y in range(42) for z in range(33)]
        compare(resize.resize_nearest(x, rows, columns), near)
        done += x.size
