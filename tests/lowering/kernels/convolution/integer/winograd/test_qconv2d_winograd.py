"""Winograd int8 convolution: exact within its limit, refused beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import RUNNABLE
from qconv2d_cases import Case, build_and_run, expected, random_numbers, sums

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import FORMS
from vacc_deploy.lowering.kernels.convolution.integer.winograd.ordinary import plan_winograd
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
    "heavy_in_chunks": Case(512, 64, 60, 62, zero_point=128),
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


def fill_one_share(weights: np.ndarray, channels: slice, value: int) -> None:
    """Weights that add up to 131586 times `value`: at codes of 255, two less than 2^25."""
    share = np.zeros((weights[0, channels].size,), np.int8)
    share[:1036], share[1036] = 127 * value, 14 * value
    weights[:, channels] = share.reshape(weights[0, channels].shape)


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shares", [2, 4])
def test_sums_in_shares_are_exact_up_to_the_limit_of_each(shares: int, sign: int, target: str) -> None:
    case = Case(128 * shares, 32, 24, 24, zero_point=0)
    numbers, spec = random_numbers(case), case.spec()
    numbers.source[:] = 255
    for share in range(shares):
        fill_one_share(numbers.weights, slice(128 * share, 128 * (share + 1)), sign)
    numbers.multiplier[:] = np.float32(32 / (shares * 2**25)) * np.linspace(0.5, 3.9, 32, dtype=np.float32)
    assert np.abs(sums(case, numbers) - numbers.bias[:, None, None]).max() == shares * (2**25 - 2)
    plan = plan_winograd(simd_of(TARGETS[target]), spec, numbers.layer)
    assert plan is not None
    assert plan.shares == shares
    got = build_and_run(case, numbers, TARGETS[target], algorithm="winograd")
    np.testing.assert_array_equal(got, expected(case, numbers))


SHARES = {  # of weights that are all 127: inputs, what the sums leave up to the limit of one share, shares
    "one": (64, 1, 1),
    "one_too_many": (64, 0, 2),
    "halves_too_large": (256, 1, 4),
    "quarters_too_large": (512, 1, None),
}


@pytest.mark.parametrize(("inputs", "room", "shares"), SHARES.values(), ids=SHARES.keys())
def test_sums_are_cut_into_as_many_shares_as_they_need(inputs: int, room: int, shares: int | None) -> None:
    case, target = Case(inputs, 32, 24, 24), TARGETS["generic"]
    numbers, spec = random_numbers(case), case.spec()
    numbers.weights[:] = 127
    numbers.bias[:] = 2**25 - room - 255 * 127 * 576
    plan = plan_winograd(simd_of(target), spec, numbers.layer)
    assert (plan and plan.shares) == shares
    assert qconv2d.plan("winograd", spec, target, numbers.layer) == plan


def test_a_multiplier_that_would_lose_bits_is_not_scaled() -> None:
    case = Case(64, 32, 8, 8)
    numbers = random_numbers(case)
    numbers.multiplier[3] = 2.0**-101
    plan = plan_winograd(simd_of(TARGETS["generic"]), case.spec(), numbers.layer)
    assert plan is not None
    assert plan.shares == 2
