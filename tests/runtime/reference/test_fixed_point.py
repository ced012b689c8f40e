"""Rounding, exhaustively, against pure-Python integers that share no code with it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from vacc_deploy.errors import ModelError
from vacc_deploy.runtime.reference import add, fixed_point, mul, resize, table
from vacc_deploy.runtime.reference.exact_product import exact_product

ACCUMULATORS = np.arange(-(2**15), 2**15)


def exact_round(value: Fraction, rounding: str) -> int:
    """The nearest integer by the rule's own words."""
    below = math.floor(value)
    rest = value - below
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    if rounding == "half_even":
        return below + below % 2
    if rounding == "half_up":
        return below + 1
    return below + 1 if value > 0 else below


@pytest.mark.parametrize("rounding", fixed_point.ROUNDINGS)
@pytest.mark.parametrize("shift", [0, 1, 2, 4, 7, 15, 24])
def test_shift_right_on_all_16_bit_accumulators(rounding, shift):
    got = fixed_point.shift_right(ACCUMULATORS, shift, rounding)
    sample = ACCUMULATORS[::7]
    expected = [exact_round(Fraction(int(a), 2**shift), rounding) for a in sample]
    np.testing.assert_array_equal(got[::7], expected)


@pytest.mark.parametrize("rounding", fixed_point.ROUNDINGS)
@pytest.mark.parametrize("shift", range(25))
def test_requantize_by_a_power_of_two_is_a_shift(rounding, shift):
    m = np.float32(2.0**-shift)
    got = fixed_point.requantize(ACCUMULATORS, m, 5, -128, 127, rounding)
    expected = np.clip(fixed_point.shift_right(ACCUMULATORS, shift, rounding) + 5, -128, 127)
    np.testing.assert_array_equal(got, expected)


def test_the_largest_float_below_a_half_rounds_down():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    for rounding in fixed_point.ROUNDINGS:
        assert fixed_point.round_to_integer(np.array([below]), rounding).item() == 0


@pytest.mark.parametrize("rounding", fixed_point.ROUNDINGS)
def test_ties_go_where_the_name_says(rounding):
    ties = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    expected = {
        "half_even": [-2, -2, 0, 0, 2, 2],
        "half_up": [-2, -1, 0, 1, 2, 3],
        "half_away": [-3, -2, -1, 1, 2, 3],
    }[rounding]
    np.testing.assert_array_equal(fixed_point.round_to_integer(ties, rounding), expected)


def test_requantize_saturates_before_it_can_overflow():
    acc = np.array([2**31 - 1, -(2**31), 0], np.int64).astype(np.int32)
    got = fixed_point.requantize(acc, np.float32(1e20), 3, 0, 255, dtype=np.uint8)
    np.testing.assert_array_equal(got, [255, 0, 3])


def test_the_multiplier_is_computed_in_float32_in_order():
    x, w, y = np.float32(0.1), np.float32(0.3), np.float32(0.7)
    assert fixed_point.multiplier(x, w, y) == np.float32(np.float32(x * w) / y)


@pytest.mark.parametrize("terms", [1, 15, 257, 258, 259, 516, 517, 4608])
def test_products_are_exact_at_saturation(terms):
    a, b = np.full((2, terms), 255), np.full((terms, 3), -255)
    np.testing.assert_array_equal(exact_product(a, b), -255 * 255 * terms)


def test_as_int32_refuses_what_does_not_fit():
    assert fixed_point.as_int32(np.array([2**31 - 1, -(2**31)]), "here").dtype == np.int32
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(ModelError, match="overflows"):
            fixed_point.as_int32(np.array([value]), "here")


SCALES = {
    "equal": (0.1, 0.1, 0.1),
    "uneven": (0.03, 0.2, 0.17),
    "tiny": (1e-6, 0.5, 0.4),
    "coarse": (3.0, 7.0, 0.01),
}


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("scales", SCALES.values(), ids=SCALES)
def test_add_on_all_pairs_is_the_rounded_sum(scales, subtract):
    a, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    factors = add.add_factors(*scales, subtract=subtract)
    assert 255 * (abs(factors.a) + abs(factors.b)) < 2**31 <= 255 * (abs(factors.a) + abs(factors.b) + 2) * 2
    got = add.add(a, b, factors, a_zero_point=7, b_zero_point=200, output_zero_point=100, lo=0, hi=255)
    sign = -1 if subtract else 1
    real = ((a - 7) * scales[0] + sign * (b - 200) * scales[1]) / scales[2]
    expected = np.clip(np.rint(real) + 100, 0, 255)
    assert np.abs(got - expected).max() <= 1
    near_tie = np.abs(real - np.floor(real) - 0.5) < 1e-3
    np.testing.assert_array_equal(got[~near_tie], expected[~near_tie])


def test_add_equals_pure_integers():
    factors = add.add_factors(0.03, 0.2, 0.17)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 2000))
    got = add.add(a, b, factors, a_zero_point=7, b_zero_point=200, output_zero_point=100, lo=0, hi=255)
    for x, y, result in zip(a.tolist(), b.tolist(), got.tolist(), strict=True):
        acc = (x - 7) * factors.a + (y - 200) * factors.b
        scaled = Fraction(float(np.float32(acc))) / 2**factors.shift
        assert result == min(255, max(0, exact_round(scaled, "half_even") + 100))


def test_add_refuses_an_output_that_is_far_too_fine():
    with pytest.raises(ModelError, match="too coarse"):
        add.add_factors(1.0, 1.0, 1e-9)


def test_mul_on_all_pairs_is_the_rounded_product():
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    m = fixed_point.multiplier(0.01, 0.02, 0.011)
    got = mul.mul(a, b, m, b_zero_point=-3)
    product = a * (b + 3)
    expected = [
        min(127, max(-128, exact_round(Fraction(float(np.float32(np.float32(p) * m))), "half_even")))
        for p in product.reshape(-1)[::13].tolist()
    ]
    np.testing.assert_array_equal(got.reshape(-1)[::13], expected)


FUNCTIONS = {
    "identity": (table.identity, lambda x: x),
    "relu": (table.relu, lambda x: max(x, 0.0)),
    "leaky": (table.leaky_relu(0.25), lambda x: x if x >= 0 else 0.25 * x),
    "clip": (table.clip(-0.5, 0.5), lambda x: min(0.5, max(-0.5, x))),
    "sigmoid": (table.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
    "tanh": (np.tanh, math.tanh),
    "hard_sigmoid": (table.hard_sigmoid(), lambda x: min(1.0, max(0.0, 0.2 * x + 0.5))),
}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("pair", FUNCTIONS.values(), ids=FUNCTIONS)
def test_tables_hold_the_function_at_every_code(pair, dtype):
    function, plain = pair
    entries = table.build_table(
        function,
        scale=0.05,
        zero_point=3,
        dtype=dtype,
        output_scale=0.02,
        output_zero_point=-4,
        output_dtype="int8",
    )
    low = np.iinfo(dtype).min
    for code in range(low, low + 256):
        real = plain(float(np.float32((code - 3) * np.float32(0.05))))
        expected = min(127, max(-128, round(real / 0.02) - 4))
        assert abs(int(entries[code - low]) - expected) <= 1
    q = np.arange(low, low + 256).astype(dtype).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(table.look_up(q, entries).reshape(-1), entries)
    np.testing.assert_array_equal(table.look_up(q, entries[None]), table.look_up(q, entries))


MODES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [(5, 10), (7, 3), (4, 4), (6, 1)], ids=str)
def test_bilinear_weights_keep_flat_areas_flat(mode, sizes):
    size, out_size = sizes
    taps = resize.linear_taps(size, out_size, out_size / size, mode)
    assert taps.weight.min() >= 0
    assert taps.weight.max() <= 2048
    x = np.full((1, 2, size, size), 77, np.uint8)
    got = resize.resize_bilinear(
        x, taps, taps, scale=0.5, output_scale=0.5, zero_point=9, output_zero_point=9, lo=0, hi=255
    )
    np.testing.assert_array_equal(got, 77)
