"""Fully connected layers: codes equal the NumPy reference, floats are within one rounding of float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_reference import assert_rounded_once
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution import hmatmul, qmatmul
from vacc_deploy.lowering.kernels.convolution.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.float_epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.convolution.hmatmul import HmatmulSpec
from vacc_deploy.lowering.kernels.convolution.qmatmul import QMatmulSpec
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.fixed_point import requantize, to_half
from vacc_deploy.runtime.reference.matmul import accumulate

SIZES = {  # batch, inputs, outputs
    "gpen": (1, 512, 512),
    "odd": (1, 65, 5),
    "small": (3, 3, 3),
    "batch_4": (4, 128, 100),
    "batch_19": (19, 64, 130),
}


def planes(
    size: tuple[int, int, int], x_type: Any, y_type: Any, fills: tuple[int, int]
) -> tuple[Plane, Plane]:
    batch, inputs, outputs = size
    x = Plane(batch, inputs, 1, 1, x_type, Halo(1, 1, 0, 0), fills[0])
    return x, Plane(batch, outputs, 1, 1, y_type, BOTH_SIDES, fills[1])


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("y_type", ["uint8", "float16"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_codes_equal_the_reference(size: tuple[int, int, int], y_type: str, target: str) -> None:
    x, y = planes(size, "uint8", y_type, (7, 100 if y_type == "uint8" else 0))
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (size[2], size[1])).astype(np.int8)
    bias = rng.integers(-3000, 3000, size[2]).astype(np.int32)
    multiplier = (rng.uniform(0.2, 2.0, size[2]) * 60 / (5500 * size[1] ** 0.5)).astype(np.float32)
    spec = QMatmulSpec(x, y, Epilogue(100, low=100) if y_type == "uint8" else Epilogue())
    kernel = qmatmul.build(spec, TARGETS[target], weights, bias, multiplier)
    source = codes(x)
    got = run_to_plane(kernel, [to_plane(source, x)], y, TARGETS[target])[:, :, 0, 0]
    acc = accumulate(source[:, :, 0, 0], weights.T, bias, zero_point=7)
    if y_type == "uint8":
        np.testing.assert_array_equal(got, requantize(acc, multiplier, 100, 100, 255, dtype=np.uint8))
    else:
        np.testing.assert_array_equal(got, to_half(acc, multiplier))


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_floats_round_once(size: tuple[int, int, int], target: str) -> None:
    x, y = planes(size, "float16", "float16", (0, 0))
    rng = np.random.default_rng(0)
    weights = rng.normal(0, size[1] ** -0.5, (size[2], size[1])).astype(np.float32)
    bias = rng.normal(0, 1, size[2]).astype(np.float32)
    residual = replace(y, halo=Halo(0, 0, 0, 1))
    spec = HmatmulSpec(x, y, FloatEpilogue(slope=True, residual=residual))
    kernel = hmatmul.build(spec, TARGETS[target], weights, bias, 0.2)
    source, other = floats(x), floats(residual, 1)
    stored = [to_plane(source, x), to_plane(other, residual)]
    got = run_to_plane(kernel, stored, y, TARGETS[target])[:, :, 0, 0]
    wide, added = source[:, :, 0, 0].astype(np.float64), other[:, :, 0, 0].astype(np.float64)
    values = wide @ weights.T.astype(np.float64) + bias + added
    magnitude = np.abs(wide) @ np.abs(weights.T.astype(np.float64)) + np.abs(bias) + np.abs(added)
    assert_rounded_once(got, (np.where(values > 0, values, np.float64(np.float32(0.2)) * values), magnitude))


def test_pictures_are_refused() -> None:
    x, y = planes((1, 4, 4), "float16", "float16", (0, 0))
    with pytest.raises(ModelError, match="one pixel"):
        HmatmulSpec(replace(x, height=2), y)
    with pytest.raises(ModelError, match="batch"):
        HmatmulSpec(replace(x, batch=2), y)


def test_a_transposed_matrix_is_refused() -> None:
    x, y = planes((1, 4, 6), "float16", "float16", (0, 0))
    with pytest.raises(ModelError, match="wrong shape"):
        hmatmul.build(HmatmulSpec(x, y), NATIVE, np.zeros((4, 6), np.float32))
