"""int8 convolution: every algorithm and target gives the bytes of the NumPy reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from plane_harness import RUNNABLE, codes, run, run_to_plane, to_plane
from qconv2d_cases import Case, Numbers, build_and_run, expected, random_numbers

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue, Residual
from vacc_deploy.lowering.kernels.convolution.integer.spec import representative_convolution
from vacc_deploy.lowering.plane import Halo
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.add import add, add_factors

GEOMETRIES = {
    "3_to_64": Case(3, 64, zero_point=128),
    "1_to_64": Case(1, 64, 5, 33),
    "64_to_1": Case(64, 1, 5, 20, zero_point=7),
    "64_to_3": Case(64, 3, 4, 17, zero_point=128),
    "64_to_64": Case(64, 64, 6, 21, zero_point=128),
    "64_to_64_one_pixel_wide": Case(64, 64, 3, 1, zero_point=255),
    "64_to_64_tiny": Case(64, 64, 2, 3, zero_point=5),
    "5_to_65": Case(5, 65, zero_point=1),
    "65_to_5": Case(65, 5, zero_point=200),
    "32_to_17": Case(32, 17, zero_point=128),
    "33_to_128": Case(33, 128, 4, 9, zero_point=3),
    "512_to_32": Case(512, 32, 4, 8, zero_point=128),
    "128_to_512": Case(128, 512, 8, 4, zero_point=9),
    "1x1": Case(64, 256, 4, 9, kernel=(1, 1), pads=(0, 0, 0, 0), zero_point=77),
    "5x5": Case(4, 16, 9, 9, kernel=(5, 5), pads=(2, 2, 2, 2), zero_point=128),
    "7x7_stride_2": Case(3, 64, 12, 14, kernel=(7, 7), stride=(2, 2), pads=(3, 3, 3, 3), zero_point=128),
    "9x1": Case(16, 16, 11, 6, kernel=(9, 1), pads=(4, 0, 4, 0), zero_point=10),
    "1x11": Case(4, 4, 3, 15, kernel=(1, 11), pads=(0, 5, 0, 5), zero_point=10),
    "stride_2": Case(64, 64, 9, 10, stride=(2, 2), zero_point=4),
    "stride_3_1": Case(20, 24, 10, 9, stride=(3, 1), zero_point=4),
    "dilation_2": Case(64, 32, 9, 12, dilation=(2, 2), pads=(2, 2, 2, 2), zero_point=66),
    "dilation_3_1": Case(16, 16, 9, 12, dilation=(3, 1), pads=(3, 1, 3, 1), zero_point=66),
    "no_padding": Case(64, 64, 6, 9, pads=(0, 0, 0, 0), zero_point=66),
    "uneven_padding": Case(8, 8, 6, 9, pads=(0, 2, 1, 0), zero_point=66),
    "wide_halo": Case(64, 64, 6, 9, source_halo=Halo(4, 5, 3, 2), zero_point=66),
    "vectors": Case(200, 65, 1, 1, kernel=(1, 1), pads=(0, 0, 0, 0), batch=5, zero_point=9),
    "batch_3": Case(64, 64, 3, 5, batch=3, zero_point=1),
    "relu": Case(64, 64, 4, 9, epilogue=Epilogue(128, low=128), zero_point=128),
    "relu6": Case(16, 16, 4, 9, epilogue=Epilogue(3, low=3, high=99)),
    "clip_above_zero": Case(16, 15, 4, 9, epilogue=Epilogue(3, low=30, high=99)),
    "float16": Case(64, 65, 4, 9, dtype="float16", zero_point=128),
    "float16_relu": Case(64, 65, 4, 9, dtype="float16", zero_point=128, epilogue=Epilogue(128, relu=True)),
    "float16_3_channels": Case(64, 3, 4, 19, dtype="float16", zero_point=128),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("case", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_equals_reference(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    np.testing.assert_array_equal(build_and_run(case, numbers, TARGETS[target]), expected(case, numbers))


def saturated(case: Case, numbers: Numbers) -> None:
    numbers.source[:] = 255
    numbers.weights[:] = 127
    numbers.weights[::2] = -127


def alternating(case: Case, numbers: Numbers) -> None:
    numbers.source[:, ::2], numbers.source[:, 1::2] = 255, 0
    numbers.weights[:, ::2], numbers.weights[:, 1::2] = 127, -127


def alternating_pixels(case: Case, numbers: Numbers) -> None:
    y, x = np.indices(numbers.source.shape[2:])
    numbers.source[:] = np.where((y + x) % 2, 255, 0)
    numbers.weights[:] = np.where(np.indices(case.kernel).sum(0) % 2, 127, -128)


def one_hot(case: Case, numbers: Numbers) -> None:
    numbers.source[:] = case.zero_point
    numbers.source[:, case.inputs // 2, case.height // 2, case.width // 2] = 255


def ties(case: Case, numbers: Numbers) -> None:
    numbers.weights[:] = 0
    numbers.weights[:, 0, case.kernel[0] // 2, case.kernel[1] // 2] = 1
    numbers.bias[:] = np.arange(case.outputs) - case.outputs // 2
    numbers.multiplier[:] = 0.5


def all_zero(case: Case, numbers: Numbers) -> None:
    numbers.weights[:] = 0
    numbers.bias[:] = 0


def huge_multiplier(case: Case, numbers: Numbers) -> None:
    numbers.multiplier[::2], numbers.multiplier[1::2] = 1e30, 1e-30


NASTY = {
    f.__name__: f
    for f in (saturated, alternating, alternating_pixels, one_hot, ties, all_zero, huge_multiplier)
}
DEPTHS = {  # terms of one sum: 575 to 577 straddle the 64-channel block, then powers of it
    575: Case(115, 16, 4, 9, kernel=(1, 5), pads=(0, 2, 0, 2), zero_point=128),
    576: Case(64, 16, 8, 9, zero_point=128),
    577: Case(577, 16, 2, 3, kernel=(1, 1), pads=(0, 0, 0, 0), zero_point=0),
    1152: Case(128, 16, 4, 9, zero_point=0),
    4608: Case(512, 16, 4, 5, zero_point=255),
}


@pytest.mark.parametrize(
    ("depth", "target"),
    [(depth, name) for name in RUNNABLE for depth in DEPTHS if name == RUNNABLE[0] or depth in (576, 577)],
)
@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY.keys())
def test_nasty_vectors(nasty: Any, depth: int, target: str) -> None:
    case = DEPTHS[depth]
    assert case.inputs * case.kernel[0] * case.kernel[1] == depth
    numbers = random_numbers(case)
    nasty(case, numbers)
    np.testing.assert_array_equal(build_and_run(case, numbers, TARGETS[target]), expected(case, numbers))


TABLES = {
    "40_channels": Case(16, 40, 4, 9, epilogue=Epilogue(128, table="lookup"), zero_point=128),
    "3_channels": Case(16, 3, 4, 9, epilogue=Epilogue(128, table="lookup"), zero_point=128),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES.keys())
def test_table(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    table = np.random.default_rng(1).permutation(256).astype(np.uint8)
    got = build_and_run(case, numbers, TARGETS[target], table=table)
    np.testing.assert_array_equal(got, table[expected(case, numbers)])


RESIDUALS = {
    "64": (Case(64, 64, 4, 9, zero_point=128, epilogue=Epilogue(100)), 0),
    "relu_inside": (Case(16, 16, 4, 9, epilogue=Epilogue(100, low=100)), 0),
    "relu_after": (Case(16, 65, 4, 9, epilogue=Epilogue(100)), 77),
    "1_channel": (Case(64, 1, 4, 20, epilogue=Epilogue(100)), 0),
    "table": (Case(8, 24, 4, 9, epilogue=Epilogue(100, table="lookup", table_zero_point=31)), 0),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("subtract", [False, True], ids=["add", "subtract"])
@pytest.mark.parametrize(("case", "low"), RESIDUALS.values(), ids=RESIDUALS.keys())
def test_residual(case: Case, low: int, subtract: bool, target: str) -> None:
    numbers = random_numbers(case)
    spec = case.spec()
    out = replace(spec.target, fill=77)
    other = replace(out, halo=Halo(0, 1, 2, 0), fill=60)
    steps = replace(case.epilogue, residual=Residual(other, low=low, high=240))
    spec = replace(spec, target=out, epilogue=steps)
    factors = add_factors(0.7, 1.9, 1.1, subtract=subtract)
    ours, inner = expected(case, numbers), case.epilogue.zero_point
    table = None
    if case.epilogue.table == "lookup":
        table = np.random.default_rng(1).permutation(256).astype(np.uint8)
        table[case.epilogue.zero_point] = inner = case.epilogue.table_zero_point
        ours = table[ours]
    theirs = codes(other, 5)
    layer = replace(numbers.layer, table=table, residual=factors)
    kernel = qconv2d.build(spec, TARGETS[target], layer)
    stored = [to_plane(numbers.source, spec.source), to_plane(theirs, other)]
    got = run_to_plane(kernel, stored, out, TARGETS[target])
    zero_points = {"a_zero_point": inner, "b_zero_point": 60, "output_zero_point": 77}
    want = add(ours, theirs, factors, **zero_points, lo=low, hi=240)
    np.testing.assert_array_equal(got, want)


def test_a_sum_that_could_overflow_is_refused() -> None:
    case = Case(512, 4, 2, 2)
    numbers = random_numbers(case)
    numbers.bias[:] = 2**31 - 1000
    with pytest.raises(ModelError, match="overflow"):
        build_and_run(case, numbers, TARGETS["generic"])


def test_a_halo_smaller_than_the_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="halo is smaller"):
        Case(4, 4, source_halo=Halo(1, 0, 1, 1)).spec()


def test_equal_geometries_share_one_function() -> None:
    case = Case(16, 16)
    numbers = [random_numbers(case, seed) for seed in (0, 1)]
    kernels = [qconv2d.build(case.spec(), TARGETS["generic"], n.layer) for n in numbers]
    assert kernels[0].func is kernels[1].func


SAME_CODE = {
    "zero_points": Case(16, 16, zero_point=9, epilogue=Epilogue(77)),
    "relu": Case(16, 16, zero_point=128, epilogue=Epilogue(3, low=3)),
    "relu6": Case(16, 16, epilogue=Epilogue(3, low=3, high=99)),
}


@pytest.mark.parametrize("case", SAME_CODE.values(), ids=SAME_CODE.keys())
def test_zero_points_and_clamps_are_parameters_of_one_function(case: Case) -> None:
    numbers, target = random_numbers(case), TARGETS["generic"]

    def function_of(case: Case) -> Any:
        return qconv2d.build(case.spec(), target, numbers.layer).func

    assert function_of(case) is function_of(Case(16, 16))


def test_a_clamp_that_excludes_zero_has_its_own_function() -> None:
    clipped = Case(16, 16, epilogue=Epilogue(3, low=30))
    specs = [representative_convolution(case.spec()) for case in (clipped, Case(16, 16))]
    assert specs[0] != specs[1]  # its unused channels must be filled


def test_junk_in_the_unused_channels_of_the_source_does_no_harm() -> None:
    case = Case(5, 16, pads=(0, 0, 0, 0))
    numbers, spec = random_numbers(case), case.spec()
    kernel = qconv2d.build(spec, TARGETS["generic"], numbers.layer)
    junk = to_plane(numbers.source, spec.source, junk=201)
    got = run(kernel, [junk], [(spec.target.shape, "uint8")], TARGETS["generic"])[0]
    clean = run(kernel, [to_plane(numbers.source, spec.source)], [(spec.target.shape, "uint8")])[0]
    np.testing.assert_array_equal(got, clean)
