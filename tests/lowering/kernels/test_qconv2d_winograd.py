"""Winograd int8 convolution: exact within its limit, refused beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import RUNNABLE
from qconv2d_cases import Case, build_and_run, expected, random_numbers, sums

from vacc_deploy.lowering.kernels.convolution import qconv2d
from vacc_deploy.lowering.kernels.convolution.qconv2d import Epilogue
from vacc_deploy.lowering.kernels.convolution.winograd_integer import FORMS
from vacc_deploy.lowering.kernels.isa.simd import simd_of
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
    "stride_2": Case(64, 64, 34, 32, stride=(2, 2), zero_point=128),
    "stride_2_odd": Case(64, 40, 17, 19, stride=(2, 2), zero_point=200),
    "stride_2_no_padding": Case(33, 48, 17, 23, stride=(2, 2), pads=(0, 0, 0, 0), zero_point=7),
    "stride_2_one_side": Case(64, 16, 18, 18, stride=(2, 2), pads=(0, 0, 1, 1), zero_point=1),
    "stride_2_many_chunks": Case(32, 32, 41, 85, stride=(2, 2), zero_point=128),
    "stride_2_heavy": Case(128, 256, 34, 40, stride=(2, 2), zero_point=128),
    "stride_2_batch_2": Case(64, 16, 16, 16, stride=(2, 2), batch=2, zero_point=128),
    "stride_2_float16": Case(32, 65, 16, 18, stride=(2, 2), dtype="float16", zero_point=128),
}
WITHOUT_8_BIT_PRODUCTS = [name for name in RUNNABLE if simd_of(TARGETS[name]).weight_dtype == "int16"]
EVERY_CASE = [
    pytest.param(case, target, id=f"{name}-{target}")
    for name, case in WINOGRAD.items()
    for target in (RUNNABLE if case.stride == (1, 1) else WITHOUT_8_BIT_PRODUCTS)
]


@pytest.mark.parametrize(("case", "target"), EVERY_CASE)
def test_winograd_equals_reference(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    numbers.weights[:] = numbers.weights // 2
    got = build_and_run(case, numbers, TARGETS[target], algorithm="winograd")
    np.testing.assert_array_equal(got, expected(case, numbers))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("stride", "target"),
    [*((1, name) for name in RUNNABLE), *((2, name) for name in WITHOUT_8_BIT_PRODUCTS)],
)
def test_winograd_is_exact_up_to_its_limit(stride: int, target: str, sign: int) -> None:
    case = Case(64, 32, 8 * stride, 8 * stride, stride=(stride, stride), zero_point=0)
    limit = FORMS[stride].sum_limit
    numbers = random_numbers(case)
    numbers.source[:] = 255
    numbers.weights[:] = sign * 127
    numbers.bias[:] = sign * (limit - 1 - 255 * 127 * 576)
    numbers.multiplier[:] = np.float32(32 / limit) * np.linspace(0.5, 3.9, 32, dtype=np.float32)
    assert np.abs(sums(case, numbers)).max() == limit - 1
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
