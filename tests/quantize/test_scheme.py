"""Scales, zero points and weight codes against plain Python arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vacc_deploy.quantize.calibrators.registry import Range
from vacc_deploy.quantize.scheme import QuantParams, quant_params, quantize_weight, weight_scales

SMALLEST = 2.0**-60

SYMMETRIC = {
    "positive side": (Range(-1.0, 2.54), 2.54 / 127),
    "negative side": (Range(-6.35, 1.0), 6.35 / 127),
    "empty": (Range(0.0, 0.0), 1.0),
    "tiny": (Range(-1e-30, 0.0), SMALLEST),
    "just usable": (Range(-127 * SMALLEST * 1.5, 0.0), SMALLEST * 1.5),
    "at the limit": (Range(-127 * SMALLEST, 0.0), SMALLEST),
}

UNSIGNED = {
    "from 0": (Range(0.0, 5.1), 5.1 / 255),
    "just usable": (Range(0.0, 255 * SMALLEST * 1.5), SMALLEST * 1.5),
    "too small": (Range(0.0, 127 * SMALLEST), SMALLEST),
}

# range → (scale, zero point)
ASYMMETRIC = {
    "0 to 1": (Range(0.0, 1.0), 1 / 255, 0),
    "-1 to 0": (Range(-1.0, 0.0), 1 / 255, 255),
    "-1 to 1": (Range(-1.0, 1.0), 2 / 255, 127),  # float32(2 / 255) lies above 2 / 255
    "-1 to 3": (Range(-1.0, 3.0), 4 / 255, 64),
    "above 0": (Range(0.5, 2.0), 2 / 255, 0),
    "below 0": (Range(-2.0, -0.5), 2 / 255, 255),
    "empty": (Range(0.0, 0.0), 1.0, 0),
    "tiny": (Range(-1e-30, 1e-30), SMALLEST, 0),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric(name: str) -> None:
    kept, scale = SYMMETRIC[name]
    params = quant_params(kept, "symmetric")
    assert params == QuantParams(np.float32(scale), 0, "int8")
    assert params.scale.dtype == np.float32


@pytest.mark.parametrize("name", UNSIGNED)
def test_symmetric_from_0_needs_no_sign(name: str) -> None:
    kept, scale = UNSIGNED[name]
    assert quant_params(kept, "symmetric") == QuantParams(np.float32(scale), 0, "uint8")


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_asymmetric(name: str) -> None:
    kept, scale, zero_point = ASYMMETRIC[name]
    assert quant_params(kept, "asymmetric") == QuantParams(np.float32(scale), zero_point, "uint8")


def test_range_of_codes() -> None:
    assert QuantParams(np.float32(0.5), 0, "int8").range == Range(-64.0, 63.5)
    assert QuantParams(np.float32(0.5), 28, "uint8").range == Range(-14.0, 113.5)


WEIGHT = np.array(
    [[[3.0, -12.7], [1.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]], [[2.54, 2.0], [-1.0, 0.0]]], np.float32
)


def test_weight_scales_per_channel() -> None:
    scales = weight_scales(WEIGHT, 0)
    assert scales.dtype == np.float32
    np.testing.assert_allclose(scales, [0.1, 1.0, 0.02], rtol=1e-7)


def test_weight_scales_along_another_axis() -> None:
    np.testing.assert_allclose(weight_scales(WEIGHT, 1), [12.7 / 127, 1 / 127], rtol=1e-7)


def test_weight_scales_per_tensor() -> None:
    scales = weight_scales(WEIGHT, 0, per_channel=False)
    np.testing.assert_allclose(scales, [0.1, 0.1, 0.1], rtol=1e-7)
    scales[0] = 7  # each channel has a place of its own
    assert scales[1] == np.float32(WEIGHT.__abs__().max()) / np.float32(127)


def test_weight_scales_of_powers_of_two() -> None:
    assert weight_scales(WEIGHT, 0, method="power2").tolist() == [16 / 128, 1.0, 4 / 128]
    exact = np.array([[8.0], [-0.25]], np.float32)
    assert weight_scales(exact, 0, method="power2").tolist() == [8 / 128, 0.25 / 128]


def test_weight_scales_are_never_too_small() -> None:
    tiny = np.full((1, 4), 1e-35, np.float32)
    assert weight_scales(tiny, 0).tolist() == [SMALLEST]
    assert weight_scales(np.zeros((2, 0), np.float32), 0).tolist() == [1.0, 1.0]


def _squared_error(row: list[float], scale: float) -> float:
    total = 0.0
    for value in row:
        code = max(-127, min(127, round(value / scale)))  # Python rounds half to even
        total += (code * scale - value) ** 2
    return total


def test_least_squares_weight_scales() -> None:
    """The best of 31 fractions of the largest weight, per channel, the larger where two are equal."""
    weight = np.random.default_rng(5).uniform(-1, 1, (5, 4000)).astype(np.float32)
    weight[:, 0] = [1.0, 1.01, -1.03, 1.05, 0.0]  # outliers that are worth clipping, more or less
    weight[4] = 0
    scales = weight_scales(weight, 0, method="mse")
    chosen = set()
    for row, scale in zip(weight.astype(float).tolist(), scales.tolist(), strict=True):
        largest = max(map(abs, row)) / 127 or 1.0
        candidates = [largest * fraction for fraction in np.linspace(1.0, 0.7, 31).tolist()]
        errors = [_squared_error(row, candidate) for candidate in candidates]
        best = errors.index(min(errors))
        assert scale == np.float32(candidates[best])
        chosen.add(best)
    assert len(chosen) > 2, "the example must need different fractions"


CLIPPED = {
    "an outlier that costs all others": [1.0] + [0.698] * 400,
    "not worth clipping at 127": [1.0, 0.5, 0.5],  # but at 128 it would be
    "not worth clipping at -127": [-1.0, -0.5, -0.5],
}


@pytest.mark.parametrize("values", CLIPPED.values(), ids=CLIPPED)
def test_least_squares_clips_where_the_codes_end(values: list[float]) -> None:
    row = np.array([values], np.float32)
    fractions = np.linspace(1.0, 0.7, 31).tolist()
    errors = [_squared_error(row[0].tolist(), fraction / 127) for fraction in fractions]
    best = fractions[errors.index(min(errors))]
    assert weight_scales(row, 0, method="mse").tolist() == [np.float32(best / 127)]


@pytest.mark.parametrize("axis", [0, 1])
def test_quantize_weight(axis: int) -> None:
    weight = np.array([[0.5, 1.5, 2.5, -2.5], [400.0, -400.0, 1.25, -0.75]], np.float32)
    scales = np.array([1.0, 2.5] if axis == 0 else [1.0, 0.5, 2.0, 0.25], np.float32)
    codes = quantize_weight(weight, scales, axis)
    assert codes.dtype == np.int8
    for place in np.ndindex(weight.shape):
        exact = Fraction(float(weight[place])) / Fraction(float(scales[place[axis]]))
        assert codes[place] == max(-127, min(127, round(exact)))  # half to even, symmetric


def test_quantize_weight_divides_in_float32() -> None:
    weight, scale = np.float32(0.35), np.float32(0.1)  # 3.5 in float32, a little less in float64
    assert np.float32(weight / scale) == 3.5
    assert quantize_weight(np.array([[weight]]), np.array([scale], np.float64), 0)[0, 0] == 4
    # 0.55 and 0.1 have other digits in float16, each of which would move a code.
    assert quantize_weight(np.array([[0.55], [0.85]], np.float32), np.full(2, scale), 0).tolist() == [
        [6],
        [8],
    ]
