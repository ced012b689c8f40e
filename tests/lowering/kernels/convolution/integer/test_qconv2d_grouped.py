"""int8 convolution in groups equals the NumPy reference on every target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.direct import block_diagonal, merged_groups
from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.products import CodeProducts
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.isa.simd import Avx512Vnni
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.conv2d import accumulate, output_size
from vacc_deploy.runtime.reference.fixed_point import per_channel, requantize, to_half


@dataclass(frozen=True)
class Case:
    """One grouped convolution; `pads` is (top, left, bottom, right)."""

    inputs: int
    outputs: int
    groups: int
    height: int = 6
    width: int = 9
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    zero_point: int = 128
    batch: int = 1
    dtype: Any = "uint8"
    epilogue: Epilogue = Epilogue(100)  # noqa: RUF009 - frozen

    def spec(self) -> QConv2dSpec:
        top, left, bottom, right = self.pads
        rows = output_size(self.height, self.kernel[0], self.stride[0], self.dilation[0], top, bottom)
        columns = output_size(self.width, self.kernel[1], self.stride[1], self.dilation[1], left, right)
        x = Plane(
            self.batch,
            self.inputs,
            self.height,
            self.width,
            "uint8",
            Halo(top, left, bottom, right),
            self.zero_point,
        )
        fill = 100 if self.dtype == "uint8" else 0
        y = Plane(self.batch, self.outputs, rows, columns, self.dtype, BOTH_SIDES, fill)
        window = Window(self.kernel, self.stride, self.dilation, (top, left))
        return QConv2dSpec(x, y, window, self.groups, self.epilogue)


CASES = {
    "blur_4x4": Case(64, 64, 64, kernel=(4, 4), pads=(2, 1, 1, 2)),
    "blur_of_3": Case(3, 3, 3, kernel=(4, 4), stride=(2, 2)),
    "depthwise_65": Case(65, 65, 65, kernel=(5, 5), pads=(2, 2, 2, 2), zero_point=3),
    "depthwise_dilated": Case(20, 20, 20, dilation=(2, 3), pads=(2, 3, 2, 3)),
    "depthwise_narrow": Case(16, 16, 16, width=2, batch=2),
    "depthwise_float16": Case(40, 40, 40, dtype="float16"),
    "depthwise_float16_relu": Case(40, 40, 40, dtype="float16", epilogue=Epilogue(100, relu=True)),
    "depthwise_relu": Case(40, 40, 40, epilogue=Epilogue(100, low=100)),
    "groups_2": Case(128, 64, 2),
    "groups_16": Case(64, 64, 16, zero_point=0),
    "groups_odd": Case(12, 18, 6),
    "groups_float16": Case(64, 128, 4, dtype="float16"),
    "channel_multiplier": Case(32, 64, 32),
    "1x1_stride_2": Case(64, 64, 4, kernel=(1, 1), stride=(2, 2), pads=(0, 0, 0, 0)),
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
    spec, rng = case.spec(), np.random.default_rng(0)
    shape = (case.outputs, case.inputs // case.groups, *case.kernel)
    source, weights = codes(spec.source), rng.integers(-127, 128, shape).astype(np.int8)
    if operands == "saturated":
        source[:], weights[:] = 255, -128
        weights[::2] = 127
    bias = rng.integers(-3000, 3000, case.outputs).astype(np.int32)
    terms = shape[1] * shape[2] * shape[3]
    multiplier = (rng.uniform(0.2, 2.0, case.outputs) * 60 / (5500 * terms**0.5)).astype(np.float32)
    kernel = qconv2d.build(spec, TARGETS[target], QConvNumbers(weights, bias, multiplier))
    stored = [to_plane(source, spec.source)]
    got = run_to_plane(kernel, stored, spec.target, TARGETS[target])
    acc = accumulate(
        source,
        weights,
        bias,
        zero_point=case.zero_point,
        strides=case.stride,
        pads=case.pads,
        dilations=case.dilation,
        groups=case.groups,
    )
    m, low = per_channel(multiplier, 4), case.epilogue.low
    if case.dtype == "float16":
        want = np.maximum(to_half(acc, m), 0) if case.epilogue.relu else to_half(acc, m)
    else:
        want = requantize(acc, m, 100, low, 255, dtype=np.uint8)
    np.testing.assert_array_equal(got, want)


def test_a_table_per_channel() -> None:
    case = Case(20, 20, 20, epilogue=Epilogue(100, table="per_channel"))
    spec, rng = case.spec(), np.random.default_rng(1)
    weights = rng.integers(-127, 128, (20, 1, 3, 3)).astype(np.int8)
    multiplier = np.full(20, 0.003, np.float32)
    table = rng.permuted(np.tile(np.arange(256, dtype=np.uint8), (20, 1)), axis=1)
    numbers = QConvNumbers(weights, np.zeros(20, np.int32), multiplier, table)
    kernel = qconv2d.build(spec, NATIVE, numbers)
    source = codes(spec.source)
    got = run_to_plane(kernel, [to_plane(source, spec.source)], spec.target)
    acc = accumulate(source, weights, zero_point=128, pads=case.pads, groups=20)
    before = requantize(acc, np.float32(0.003), 100, 0, 255, dtype=np.uint8)
    np.testing.assert_array_equal(got, table[np.arange(20)[None, :, None, None], before])


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
        Case(6, 4, 4).spec()
