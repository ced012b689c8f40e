"""Winograd int8 convolution: exact within its limit, refused beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import RUNNABLE
from qconv2d_cases import Case, build_and_run, expected, random_numbers, sums

from vacc_deploy.lowering.kernels.convolution import qconv2d
from vacc_deploy.lowering.kernels.convolution.qconv2d import Epilogue
from vacc_deploy.lowering.target import TARGETS

WINOGRAD = {
    "64_to_64": Case(64, 64, 16, 20, zero_point=128),
    "64_to_64_odd": Case(64, 64, 9, 13, zero_point=200),
    "33_to_48": Case(33, 48, 10, 11, zero_point=1),
    "100_to_33": Case(100, 33, 8, 13, zero_point=128),
    "128_to_17": Case(128, 17, 8, 9, zero_point=128),
    "many_chunks": Case(32, 32, 21, 43, zero_point=128),
    "heavy": Case(128, 256, 30, 34, zero_point=128),
    "batch_2": Case(64, 64, 8, 8, batch=2, zero_point=128),
    "no_padding": Case(64, 64, 10, 12, pads=(0, 0, 0, 0), zero_point=7),
    "float16": Case(32, 65, 8, 9, dtype="float16", zero_point=128),
    "table": Case(64, 40, 8, 9, zero_point=128, epilogue=Epilogue(128, low=128)),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("case", WINOGRAD.values(), ids=WINOGRAD.keys())
def test_winograd_equals_reference(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    numbers.weights[:] = numbers.weights // 2
    got = build_and_run(case, numbers, TARGETS[target], algorithm="winograd")
    np.testing.assert_array_equal(got, expected(case, numbers))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("target", RUNNABLE)
def test_winograd_is_exact_up_to_its_limit(target: str, sign: int) -> None:
    case = Case(64, 32, 8, 8, zero_point=0)
    numbers = random_numbers(case)
    numbers.source[:] = 255
    numbers.weights[:] = sign * 127
    numbers.bias[:] = sign * (2**25 - 1 - 255 * 127 * 576)
    numbers.multiplier[:] = np.float32(2.0**-20) * np.linspace(0.5, 3.9, 32, dtype=np.float32)
    assert np.abs(sums(case, numbers)).max() == 2**25 - 1
    got = build_and_run(case, numbers, TARGETS[target], algorithm="winograd")
    np.testing.assert_array_equal(got, expected(case, numbers))


def test_larger_sums_than_winograd_can_hold_take_another_way() -> None:
    case = Case(64, 32, 8, 8)
    numbers, spec = random_numbers(case), case.spec()
    numbers.weights[:] = 127
    for bias, fits in ((2**25 - 1 - 255 * 127 * 576, True), (2**25 - 255 * 127 * 576, False)):
        numbers.bias[:] = bias
        operands = (numbers.weights, numbers.bias, numbers.multiplier)
        assert qconv2d.applies("winograd", spec, TARGETS["generic"], *operands) is fits
