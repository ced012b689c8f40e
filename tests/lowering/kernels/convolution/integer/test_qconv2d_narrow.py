"""int8 convolution to at most 4 channels."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import RUNNABLE
from qconv2d_cases import Case, build_and_run, expected, random_numbers

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.target import TARGETS

CASES = {
    "64_to_1": Case(64, 1, 4, 37, zero_point=128),
    "64_to_2": Case(64, 2, 4, 19, zero_point=128),
    "64_to_3": Case(64, 3, 4, 19, zero_point=3),
    "64_to_4": Case(64, 4, 4, 8, zero_point=3),
    "130_to_3": Case(130, 3, 3, 9, zero_point=3),
    "32_to_3_overlapping_segment": Case(32, 3, 4, 9, zero_point=200),
    "40_to_1": Case(40, 1, 4, 22, zero_point=200),
    "9x9": Case(64, 3, 10, 12, kernel=(9, 9), pads=(4, 4, 4, 4), zero_point=128),
    "1x1": Case(64, 3, 3, 9, kernel=(1, 1), pads=(0, 0, 0, 0), zero_point=5),
    "stride_2": Case(64, 1, 7, 34, stride=(2, 2), zero_point=5),
    "batch_2": Case(64, 3, 3, 8, batch=2, zero_point=5),
    "float16": Case(64, 3, 3, 9, dtype="float16", zero_point=128),
    "float16_relu": Case(64, 3, 3, 9, dtype="float16", zero_point=128, epilogue=Epilogue(128, relu=True)),
    "table": Case(64, 3, 3, 9, epilogue=Epilogue(77, table="lookup")),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_reference(case: Case, target: str) -> None:
    numbers, table = random_numbers(case), None
    want = expected(case, numbers)
    if case.epilogue.table != "none":
        table = np.random.default_rng(1).integers(0, 256, 256).astype(np.uint8)
        want = table[want]
    got = build_and_run(case, numbers, TARGETS[target], algorithm="narrow", table=table)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", [Case(64, 5), Case(3, 3), Case(64, 3, 3, 2)], ids=str)
def test_does_not_apply(case: Case) -> None:
    layer = random_numbers(case).layer
    assert qconv2d.plan("narrow", case.spec(), TARGETS["x86-64-v4"], layer) is None
