"""int8 convolution in groups equals the NumPy reference on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plane_harness import NATIVE, RUNNABLE
from qconv2d_cases import Case, build_and_run, expected, random_numbers

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.direct import block_diagonal, merged_groups
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.products import CodeProducts
from vacc_deploy.lowering.kernels.isa.simd import Avx512Vnni
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import TARGETS


def grouped(inputs: int, outputs: int, groups: int, **more: Any) -> Case:
    defaults = {"height": 6, "width": 9, "zero_point": 128, "epilogue": Epilogue(100)}
    return Case(inputs, outputs, groups=groups, **(defaults | more))


CASES = {
    "blur_4x4": grouped(64, 64, 64, kernel=(4, 4), pads=(2, 1, 1, 2)),
    "blur_of_3": grouped(3, 3, 3, kernel=(4, 4), stride=(2, 2)),
    "depthwise_65": grouped(65, 65, 65, kernel=(5, 5), pads=(2, 2, 2, 2), zero_point=3),
    "depthwise_dilated": grouped(20, 20, 20, dilation=(2, 3), pads=(2, 3, 2, 3)),
    "depthwise_narrow": grouped(16, 16, 16, width=2, batch=2),
    "depthwise_float16": grouped(40, 40, 40, dtype="float16"),
    "depthwise_float16_relu": grouped(40, 40, 40, dtype="float16", epilogue=Epilogue(100, relu=True)),
    "depthwise_relu": grouped(40, 40, 40, epilogue=Epilogue(100, low=100)),
    "groups_2": grouped(128, 64, 2),
    "groups_16": grouped(64, 64, 16, zero_point=0),
    "groups_odd": grouped(12, 18, 6),
    "groups_float16": grouped(64, 128, 4, dtype="float16"),
    "channel_multiplier": grouped(32, 64, 32),
    "1x1_stride_2": grouped(64, 64, 4, kernel=(1, 1), stride=(2, 2), pads=(0, 0, 0, 0)),
}
ON_EVERY_TARGET = {"blur_4x4", "blur_of_3", "depthwise_65", "groups_2", "groups_16", "groups_odd"}


@pytest.mark.parametrize(
    ("case", "target"),
    [
        pytest.param(case, target, id=f"{name}-{target}")
        for name, case in CASES.items()
        for target in RUNNABLE
        if target == RUNNABLE[0] or name in ON_EVERY_TARGET
    ],
)
@pytest.mark.parametrize("operands", ["random", "saturated"])
def test_equals_the_reference(case: Case, target: str, operands: str) -> None:
    numbers = random_numbers(case)
    if operands == "saturated":
        numbers.source[:], numbers.weights[:] = 255, -128
        numbers.weights[::2] = 127
    np.testing.assert_array_equal(build_and_run(case, numbers, TARGETS[target]), expected(case, numbers))


def test_a_table_follows_a_depthwise_convolution() -> None:
    case = grouped(20, 20, 20, epilogue=Epilogue(100, table="lookup"))
    numbers = random_numbers(case)
    table = np.random.default_rng(1).permutation(256).astype(np.uint8)
    got = build_and_run(case, numbers, NATIVE, table=table)
    np.testing.assert_array_equal(got, table[expected(case, numbers)])


def test_groups_merge_until_they_fill_vectors() -> None:
    products = CodeProducts(Avx512Vnni())
    assert (products.registers.lanes, products.depth) == (16, 4)
    wide, odd = Plane(1, 64, 4, 4, "uint8"), Plane(1, 15, 4, 4, "uint8")
    assert merged_groups(16, wide, wide, products) == 4
    assert merged_groups(2, wide, wide, products) == 2
    assert merged_groups(3, odd, odd, products) == 1


def test_merged_weights_are_block_diagonal() -> None:
    weights = np.arange(1, 9).reshape(4, 2, 1, 1)
    merged = block_diagonal(weights, groups=4, merged=2)[:, :, 0, 0]
    np.testing.assert_array_equal(merged, [[1, 2, 0, 0], [0, 0, 3, 4], [5, 6, 0, 0], [0, 0, 7, 8]])


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ModelError, match="groups must divide"):
        grouped(6, 4, 4).spec()
