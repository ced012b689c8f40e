"""Float convolution: every method and target is within one rounding of float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from convolution_geometry import Geometry
from float_reference import Sums, assert_rounded_once, conv2d
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, floats, run, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.floating import (
    hconv2d,
    hconv2d_depthwise,
    hconv2d_direct,
    hconv2d_dot,
)
from vacc_deploy.lowering.kernels.convolution.floating.epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd import ordinary
from vacc_deploy.lowering.plane import Halo, Plane, StorageType
from vacc_deploy.lowering.target import TARGETS, Target

WINOGRAD_BITS = 16  # its transforms lose up to 3 bits of float32 sums; the direct forms keep 20


@dataclass(frozen=True)
class Case(Geometry):
    """One convolution of floats."""

    x_halo: Halo | None = None
    y_halo: Halo = BOTH_SIDES
    dtype: StorageType = "float16"

    def spec(self, epilogue: FloatEpilogue | None = None) -> Hconv2dSpec:
        x, y = self.source(self.dtype, self.x_halo), self.target(self.dtype, self.y_halo)
        return Hconv2dSpec(x, y, self.window, self.groups, epilogue or FloatEpilogue())


@dataclass
class Numbers:
    """The operands of one case."""

    x: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @property
    def layer(self) -> HconvNumbers:
        """What a kernel is built with."""
        return HconvNumbers(self.weights, self.bias)


def random_numbers(case: Case, seed: int = 0) -> Numbers:
    rng = np.random.default_rng(seed)
    spec = case.spec()
    weights = rng.normal(0, case.terms**-0.5, spec.weight_shape).astype(np.float32)
    bias = rng.normal(0, 1, case.outputs).astype(np.float32)
    return Numbers(floats(spec.source, seed), weights, bias)


def exact(case: Case, numbers: Numbers) -> Sums:
    return conv2d(
        numbers.x,
        numbers.weights,
        numbers.bias,
        stride=case.stride,
        dilation=case.dilation,
        pads=case.pads,
        groups=case.groups,
    )


def build_and_run(
    spec: Hconv2dSpec,
    numbers: Numbers,
    target: Target,
    *more: np.ndarray,
    slope: np.ndarray | float | None = None,
) -> np.ndarray:
    kernel = hconv2d.build(spec, target, replace(numbers.layer, slope=slope))
    assert kernel.macs > 0
    return run_to_plane(kernel, [to_plane(numbers.x, spec.source), *more], spec.target, target)


DIRECT = {
    "3_to_64": Case(3, 64),
    "1_to_64": Case(1, 64, 5, 33),
    "5_to_65": Case(5, 65),
    "65_to_128": Case(65, 128, 4, 9, stride=(2, 2)),
    "128_to_512_tiny": Case(128, 512, 2, 3),
    "512_to_32": Case(512, 32, 4, 4),
    "one_column": Case(16, 16, 9, 1),
    "1x1": Case(64, 48, 4, 9, kernel=(1, 1), pads=(0, 0, 0, 0)),
    "5x5": Case(4, 16, 9, 9, kernel=(5, 5), pads=(2, 2, 2, 2)),
    "7x7_stride_2": Case(3, 64, 12, 14, kernel=(7, 7), stride=(2, 2), pads=(3, 3, 3, 3)),
    "9x1": Case(16, 16, 11, 6, kernel=(9, 1), pads=(4, 0, 4, 0)),
    "stride_3_1": Case(20, 24, 10, 9, stride=(3, 1)),
    "dilation_2": Case(64, 32, 9, 12, dilation=(2, 2), pads=(2, 2, 2, 2)),
    "uneven_padding": Case(8, 8, 6, 9, pads=(0, 2, 1, 0)),
    "wide_halo": Case(8, 8, 6, 9, x_halo=Halo(4, 5, 3, 2)),
    "row_in_chunks": Case(512, 16, 2, 61),
    "vectors": Case(200, 65, 1, 1, kernel=(1, 1), pads=(0, 0, 0, 0), batch=5),
    "batch_3": Case(33, 17, 3, 5, batch=3),
    "float32": Case(8, 40, 5, 9, dtype="float32"),
    "groups_2": Case(128, 64, 5, 6, groups=2),
    "groups_16": Case(64, 128, 5, 6, groups=16),
    "groups_odd": Case(12, 18, 5, 6, groups=6),
    "channel_multiplier": Case(32, 64, 5, 6, groups=32),
}
DOT = {
    "64_to_1": Case(64, 1, 5, 20),
    "64_to_3": Case(64, 3, 4, 17),
    "65_to_4": Case(65, 4, 9, 11, stride=(2, 2)),
    "16_to_2_dilated": Case(16, 2, 9, 11, kernel=(5, 5), dilation=(2, 2), pads=(4, 4, 4, 4)),
    "1x1": Case(512, 3, 3, 5, kernel=(1, 1), pads=(0, 0, 0, 0)),
}
DEPTHWISE = {
    "64": Case(64, 64, groups=64, kernel=(4, 4), pads=(1, 2, 2, 1)),
    "3": Case(3, 3, 9, 10, groups=3, stride=(2, 2)),
    "65_dilated": Case(65, 65, groups=65, dilation=(2, 3), pads=(2, 3, 2, 3)),
    "narrow": Case(20, 20, 6, 2, groups=20),
}
WINOGRAD = {
    "64_to_64": Case(64, 64, 24, 24),
    "fewest_tiles": Case(64, 32, 16, 15),
    "odd_size": Case(16, 32, 25, 27),
    "65_to_48": Case(65, 48, 22, 23),
    "33_to_17": Case(33, 17, 24, 22),
    "batch_2": Case(16, 16, 16, 18, batch=2),
    "no_padding": Case(16, 16, 28, 26, pads=(0, 0, 0, 0)),
    "float32": Case(16, 16, 24, 24, dtype="float32"),
    "stride_2": Case(33, 48, 65, 63, stride=(2, 2)),
    "stride_2_no_padding": Case(16, 32, 65, 65, stride=(2, 2), pads=(0, 0, 0, 0)),
    "stride_2_batch_2": Case(65, 17, 44, 46, stride=(2, 2), pads=(0, 1, 1, 0), batch=2),
}


# What depends on the width of vectors; the rest is tested on the fastest target only.
ON_EVERY_TARGET = {
    "5_to_65",
    "65_to_128",
    "groups_odd",
    "64_to_3",
    "3",
    "65_dilated",
    "odd_size",
    "65_to_48",
    "stride_2",
}


@pytest.mark.parametrize(
    ("case", "method", "target"),
    [
        pytest.param(case, method, target, id=f"{method.__name__.rpartition('_')[2]}-{name}-{target}")
        for method, cases in (
            (hconv2d_direct, DIRECT),
            (hconv2d_dot, DOT),
            (hconv2d_depthwise, DEPTHWISE),
            (ordinary, WINOGRAD),
        )
        for name, case in cases.items()
        for target in RUNNABLE
        if target == RUNNABLE[0] or name in ON_EVERY_TARGET
    ],
)
def test_rounds_once(case: Case, method: Any, target: str) -> None:
    spec, numbers = case.spec(), random_numbers(case)
    assert hconv2d.method(spec, TARGETS[target]) is method
    bits = WINOGRAD_BITS if method is ordinary else 20
    assert_rounded_once(build_and_run(spec, numbers, TARGETS[target]), exact(case, numbers), bits=bits)


EPILOGUE_CASES = {"direct": Case(8, 33), "dot": Case(16, 3), "depthwise": Case(20, 20, groups=20)} | {
    "winograd": Case(16, 17, 24, 27)
}


@pytest.mark.parametrize("case", EPILOGUE_CASES.values(), ids=EPILOGUE_CASES.keys())
def test_relu_and_clip(case: Case) -> None:
    numbers = random_numbers(case)
    values, magnitude = exact(case, numbers)
    for epilogue in (FloatEpilogue(low=0.0), FloatEpilogue(low=-0.5, high=1.25)):
        got = build_and_run(case.spec(epilogue), numbers, NATIVE)
        assert_rounded_once(got, (values.clip(epilogue.low, epilogue.high), magnitude), bits=WINOGRAD_BITS)


@pytest.mark.parametrize("case", EPILOGUE_CASES.values(), ids=EPILOGUE_CASES.keys())
def test_clip_above_zero_leaves_unused_channels_zero(case: Case) -> None:
    got = build_and_run(case.spec(FloatEpilogue(low=0.5)), random_numbers(case), NATIVE)
    assert got.min() == 0.5  # run_to_plane checks the unused channels


@pytest.mark.parametrize("target", [RUNNABLE[0], RUNNABLE[-1]])
@pytest.mark.parametrize("case", EPILOGUE_CASES.values(), ids=EPILOGUE_CASES.keys())
def test_slope_and_residual(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    plane = replace(case.spec().target, halo=Halo(0, 1, 2, 0))
    other = floats(plane, 3)
    slope = np.random.default_rng(2).uniform(-0.5, 0.5, case.outputs).astype(np.float32)
    spec = case.spec(FloatEpilogue(slope=True, residual=plane))
    got = build_and_run(spec, numbers, TARGETS[target], to_plane(other, plane), slope=slope)
    values, magnitude = exact(case, numbers)
    wide = other.astype(np.float64)
    before = values + wide
    after = np.where(before > 0, before, slope.reshape(1, -1, 1, 1) * before)
    sums = (after, magnitude + np.abs(wide))
    assert_rounded_once(got, sums, bits=WINOGRAD_BITS)


@pytest.mark.parametrize("case", EPILOGUE_CASES.values(), ids=EPILOGUE_CASES.keys())
def test_modulation_is_of_picture_and_channel(case: Case) -> None:
    case = replace(case, batch=2)
    numbers = random_numbers(case)
    plane = Plane(2, case.inputs, 1, 1, "float16", Halo(1, 0, 0, 1))
    factors = floats(plane, 4)
    spec = replace(case.spec(), modulation=plane)
    got = build_and_run(spec, numbers, NATIVE, to_plane(factors, plane))
    scaled = replace(numbers, x=numbers.x.astype(np.float64) * factors)
    assert_rounded_once(got, exact(case, scaled), bits=WINOGRAD_BITS)


@pytest.mark.parametrize("case", EPILOGUE_CASES.values(), ids=EPILOGUE_CASES.keys())
def test_gain_is_of_picture_and_channel(case: Case) -> None:
    case = replace(case, batch=2)
    numbers = random_numbers(case)
    plane = Plane(2, case.outputs, 1, 1, "float16", Halo(0, 1, 1, 0))
    gain = floats(plane, 4)
    spec = case.spec(FloatEpilogue(slope=True, gain=plane))
    got = build_and_run(spec, numbers, NATIVE, to_plane(gain, plane), slope=0.25)
    bias = numbers.bias.reshape(1, -1, 1, 1)
    values, magnitude = exact(case, replace(numbers, bias=np.zeros_like(numbers.bias)))
    values = gain.astype(np.float64) * values + bias
    sums = np.where(values > 0, values, 0.25 * values), np.abs(gain) * magnitude + np.abs(bias)
    assert_rounded_once(got, sums, bits=WINOGRAD_BITS)


def test_one_slope_for_all_channels() -> None:
    case = Case(8, 5)
    numbers = random_numbers(case)
    got = build_and_run(case.spec(FloatEpilogue(slope=True)), numbers, NATIVE, slope=0.25)
    values, magnitude = exact(case, numbers)
    assert_rounded_once(got, (np.where(values > 0, values, 0.25 * values), magnitude))


@pytest.mark.parametrize("target", RUNNABLE)
def test_subnormal_inputs_and_outputs(target: str) -> None:
    case = Case(16, 16, 4, 5)
    numbers = random_numbers(case)
    numbers.x[:] = (numbers.x.astype(np.float32) * 2.0**-22).astype(np.float16)
    numbers.bias[:] = 0
    assert (np.abs(numbers.x) < 2.0**-14).all()
    got = build_and_run(case.spec(), numbers, TARGETS[target])
    assert np.abs(got).max() > 0
    assert_rounded_once(got, exact(case, numbers))


@pytest.mark.parametrize("target", RUNNABLE)
def test_overflow_becomes_infinity(target: str) -> None:
    case = Case(8, 8, 3, 4)
    numbers = random_numbers(case)
    numbers.weights[:] = 1e4
    numbers.x[:] = np.abs(numbers.x) + np.float16(1)
    assert np.isposinf(build_and_run(case.spec(), numbers, TARGETS[target])).all()


@pytest.mark.parametrize(
    "case", [Case(8, 8), Case(16, 3), Case(16, 16, 24, 24)], ids=["direct", "dot", "winograd"]
)
def test_tiny_weights_survive_float16_storage(case: Case) -> None:
    numbers = random_numbers(case)
    numbers.weights = numbers.weights.astype(np.float16).astype(np.float32) * np.float32(2.0**-30)
    numbers.bias[:] = 0
    spec = replace(case.spec(), weight_dtype="float16", target=replace(case.spec().target, dtype="float32"))
    got = build_and_run(spec, numbers, NATIVE)
    assert_rounded_once(got, exact(case, numbers), bits=WINOGRAD_BITS)


def test_every_family_compiles_for_the_amx_target() -> None:
    import tvm

    target = TARGETS["sapphirerapids"]
    for case in (DIRECT["5_to_65"], DOT["64_to_3"], DEPTHWISE["64"], WINOGRAD["64_to_64"]):
        numbers = random_numbers(case)
        kernel = hconv2d.build(case.spec(), target, numbers.layer)
        llvm = tvm.target.Target({"kind": "llvm", "mcpu": target.mcpu})
        built = tvm.tirx.build(tvm.IRModule({"hconv2d": kernel.func}), target=llvm)
        assert "zmm" in built.inspect_source("asm")


def test_equal_geometries_share_one_function() -> None:
    case = DIRECT["5_to_65"]
    first, second = (random_numbers(case, seed) for seed in (0, 1))
    kernels = [hconv2d.build(case.spec(), NATIVE, n.layer) for n in (first, second)]
    assert kernels[0].func is kernels[1].func


def test_a_halo_smaller_than_the_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="halo is smaller"):
        Case(4, 4, x_halo=Halo(1, 0, 1, 1)).spec()


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ModelError, match="groups must divide"):
        Case(6, 4, groups=4).spec()


def test_weights_of_another_shape_are_refused() -> None:
    case = Case(4, 4)
    with pytest.raises(ModelError, match="wrong shape"):
        hconv2d.build(case.spec(), NATIVE, HconvNumbers(np.zeros((4, 4, 3, 2), np.float32)))


def test_halo_and_unused_channels_are_written_over_junk() -> None:
    case = Case(4, 5, 3, 4)
    spec, numbers = case.spec(), random_numbers(case)
    kernel = hconv2d.build(spec, NATIVE, numbers.layer)
    stored = run(kernel, [to_plane(numbers.x, spec.source)], [(spec.target.shape, spec.target.dtype)])[0]
    assert np.count_nonzero(stored) <= 5 * 3 * 4
