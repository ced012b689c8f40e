"""Rounding at the edges of its types, where a narrower type or a wrong bound would show."""

from __future__ import annotations

import numpy as np
import pytest

from vacc_deploy.errors import ModelError
from vacc_deploy.runtime.reference.fixed_point import (
    as_int32,
    dequantize,
    per_channel,
    quantize,
    requantize,
    round_trip,
    shift_right,
    to_half,
)

# value, shift → half_even, half_up, half_away
SHIFTS = {
    (2**40 + 2**39, 40): (2, 2, 2),
    (2**41 + 2**39, 40): (2, 3, 3),
    (-(2**41) - 2**39, 40): (-2, -2, -3),
    (2**62 - 1, 62): (1, 1, 1),
    (-(2**61), 62): (0, 0, -1),
    (2**50 + 1, 0): (2**50 + 1,) * 3,
    (2**31 - 1, 1): (2**30, 2**30, 2**30),
    (-(2**31), 31): (-1, -1, -1),
}


@pytest.mark.parametrize(("value", "shift"), SHIFTS)
def test_shift_right_of_wide_numbers(value: int, shift: int) -> None:
    for rounding, expected in zip(("half_even", "half_up", "half_away"), SHIFTS[value, shift], strict=True):
        result = shift_right(np.array([value]), shift, rounding)
        assert result.dtype == np.int64
        assert result.tolist() == [expected]


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_as_int32(dtype: type) -> None:
    edges = np.array([-(2**31), 2**31 - 1, 0], dtype)
    result = as_int32(edges, "conv")
    assert result.dtype == np.int32
    assert result.tolist() == [-(2**31), 2**31 - 1, 0]
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(ModelError, match="overflows") as caught:
            as_int32(np.array([0, value], dtype), "conv")
        assert caught.value.where == "conv"
        assert str(value) in (caught.value.why or "")
    assert as_int32(np.empty(0, dtype), "conv").size == 0


def test_per_channel() -> None:
    values = np.array([1.0, 2.0, 3.0], np.float32)
    assert per_channel(values, 4).shape == (1, 3, 1, 1)
    assert per_channel(values, 3, axis=0).shape == (3, 1, 1)
    assert per_channel(values, 2, axis=-1).shape == (1, 3)
    assert per_channel(np.array([7.0]), 4).shape == ()
    assert per_channel(7.0, 4) == 7.0


def test_quantize_computes_in_float32() -> None:
    # 1000.3 is 1000.5 in float16, and 0.1 has other digits there: both would move the code.
    x, scale = np.array([1000.3, -1000.3], np.float32), np.float32(1000.3 / 100)
    assert quantize(x, scale, 0, np.int8).tolist() == [100, -100]
    steps = np.array([2048.5, 2049.5, 4097.0], np.float32)
    assert quantize(steps, 1.0, 0, np.int32).tolist() == [2048, 2050, 4097]
    third = np.float32(1 / 3)
    assert quantize(np.array([third * 99.5001], np.float32), third, 0, np.int8).tolist() == [100]
    assert quantize(np.array([1000.0], np.float32), 0.1, 0, np.int32).tolist() == [10_000]
    large = 2**24 + 1  # no float32
    assert quantize(np.zeros(1, np.float32), 1.0, large, np.int32).tolist() == [large]


@pytest.mark.parametrize(
    ("dtype", "zero_point"), [("int8", 0), ("int8", -5), ("uint8", 0), ("uint8", 131), ("uint8", 255)]
)
def test_a_round_trip_is_what_the_codes_stand_for(dtype: str, zero_point: int) -> None:
    scale = np.float32(0.013)
    x = (np.arange(-6000, 6000, dtype=np.float32) * np.float32(0.1)) * scale  # beyond both ends, with ties
    kept = x.copy()
    result = round_trip(x, scale, zero_point, dtype)
    np.testing.assert_array_equal(
        result, dequantize(quantize(x, scale, zero_point, dtype), scale, zero_point)
    )
    assert result.dtype == np.float32
    np.testing.assert_array_equal(x, kept)


def test_dequantize_computes_in_float32() -> None:
    codes = np.array([100_003, -100_003], np.int32)
    scale = np.float32(0.1)
    result = dequantize(codes, scale, 1)
    assert result.dtype == np.float32
    expected = [np.float32(100_002) * scale, np.float32(-100_004) * scale]
    assert result.tolist() == [float(value) for value in expected]
    offset = np.int32(70_000)
    assert dequantize(np.array([70_001], np.int32), np.float32(2.0), offset).tolist() == [2.0]


def test_zero_is_the_zero_point_unless_another_is_given() -> None:
    assert dequantize(np.array([0, 5], np.int8), 2.0).tolist() == [0.0, 10.0]
    assert requantize(np.array([0, 5], np.int32), 2.0).tolist() == [0, 10]


def test_requantize_saturates_to_int8_unless_other_limits_are_given() -> None:
    acc = np.array([-70_000, -129, -128, 127, 128, 70_000], np.int32)
    assert requantize(acc, 1.0).tolist() == [-128, -128, -128, 127, 127, 127]
    assert requantize(acc, 1.0, 1, -(1 << 20), 1 << 20).tolist() == (acc + 1).tolist()


def test_an_accumulator_leaves_as_the_nearest_half() -> None:
    acc = np.array([3, -2049, 2051, 70_000], np.int32)
    assert to_half(acc, 0.5).tolist() == [1.5, -1024.0, 1026.0, 35_008.0]
    assert to_half(np.array([3], np.int32), 0.1).tolist() == [float(np.float16(0.3))]  # not 3 · f16(0.1)
    assert to_half(acc, 2.0).tolist() == [6.0, -4096.0, 4104.0, np.inf]
