"""Transposed convolution: codes equal the NumPy reference, floats are within one rounding of float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import float_reference
import numpy as np
import pytest
import tvm
from convolution_geometry import Geometry
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.floating import hconv_transpose2d
from vacc_deploy.lowering.kernels.convolution.floating.epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.spec import HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transposed import winograd_of
from vacc_deploy.lowering.kernels.convolution.integer import qconv_transpose2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue, Residual
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import Transposed
from vacc_deploy.lowering.kernels.convolution.integer.winograd.transposed import TransposedTiling
from vacc_deploy.lowering.kernels.convolution.transposition import (
    outputs_first,
    required_halo,
    transpose_parts,
)
from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.isa.tile import EmulatedTiles
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Halo, Plane, StorageType
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.add import add, add_factors
from vacc_deploy.runtime.reference.conv_transpose2d import accumulate
from vacc_deploy.runtime.reference.fixed_point import per_channel, requantize, to_half


@dataclass(frozen=True)
class Case(Geometry):
    """One transposed convolution."""

    height: int = 5
    width: int = 7
    kernel: tuple[int, int] = (4, 4)
    stride: tuple[int, int] = (2, 2)
    output_padding: tuple[int, int] = (0, 0)
    zero_point: int = 128

    @property
    def output_size(self) -> tuple[int, int]:
        full = [
            (size - 1) * self.stride[a] + self.dilation[a] * (self.kernel[a] - 1) + 1 + self.output_padding[a]
            for a, size in enumerate((self.height, self.width))
        ]
        return full[0] - self.pads[0] - self.pads[2], full[1] - self.pads[1] - self.pads[3]

    def planes(
        self, x_type: StorageType, y_type: StorageType, fills: tuple[int, int] = (0, 0)
    ) -> tuple[Plane, Plane]:
        """Input and output; the input has the halo that is read."""
        y = self.target(y_type, BOTH_SIDES, fills[1])
        halo = required_halo(transpose_parts(self.window, y.size), (self.height, self.width))
        return self.source(x_type, halo, fills[0]), y

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "pads": self.pads,
            "output_padding": self.output_padding,
            "groups": self.groups,
        }


CASES = {
    "fsrnet_4x4_s2": Case(64, 64),
    "gpen_3x3_s2": Case(128, 65, kernel=(3, 3), pads=(0, 0, 0, 0)),
    "output_padding": Case(3, 5, kernel=(3, 3), output_padding=(1, 1)),
    "stride_1": Case(16, 3, kernel=(5, 5), stride=(1, 1), pads=(2, 2, 2, 2)),
    "stride_above_kernel": Case(5, 4, kernel=(2, 1), stride=(3, 2), pads=(0, 0, 0, 0), output_padding=(2, 1)),
    "dilation": Case(8, 20, kernel=(3, 3), dilation=(2, 3), pads=(1, 2, 0, 3), output_padding=(1, 0)),
    "uneven": Case(20, 8, kernel=(3, 5), stride=(1, 3), pads=(0, 3, 2, 1)),
    "groups_4": Case(64, 64, kernel=(3, 3), groups=4, pads=(1, 1, 0, 0)),
    "groups_depthwise": Case(12, 12, groups=12),
    "batch_2_one_pixel": Case(16, 16, 1, 1, batch=2),
}
ON_EVERY_TARGET = {"gpen_3x3_s2", "output_padding", "groups_4"}
RUNS = [
    pytest.param(case, target, id=f"{name}-{target}")
    for name, case in CASES.items()
    for target in RUNNABLE
    if target == RUNNABLE[0] or name in ON_EVERY_TARGET
]


def integer_numbers(case: Case) -> QConvNumbers:
    rng = np.random.default_rng(0)
    shape = (case.inputs, case.outputs // case.groups, *case.kernel)
    terms = case.terms / (case.stride[0] * case.stride[1])
    return QConvNumbers(
        rng.integers(-127, 128, shape).astype(np.int8),
        rng.integers(-3000, 3000, case.outputs).astype(np.int32),
        (rng.uniform(0.2, 2.0, case.outputs) * 60 / (5500 * max(1.0, terms) ** 0.5)).astype(np.float32),
    )


def ordinary(numbers: QConvNumbers, groups: int = 1) -> QConvNumbers:
    """The numbers with weights in the order of an ordinary convolution."""
    return replace(numbers, weights=outputs_first(numbers.weights, groups))


@pytest.mark.parametrize("y_type", ["uint8", "float16"])
@pytest.mark.parametrize(("case", "target"), RUNS)
def test_codes_equal_the_reference(case: Case, target: str, y_type: str) -> None:
    x, y = case.planes("uint8", y_type, (case.zero_point, 100 if y_type == "uint8" else 0))
    numbers = integer_numbers(case)
    spec = QConvTranspose2dSpec(x, y, case.window, case.groups, Epilogue(100, low=90))
    kernel = qconv_transpose2d.build(spec, TARGETS[target], numbers)
    source = codes(x)
    got = run_to_plane(kernel, [to_plane(source, x)], y, TARGETS[target])
    acc = accumulate(
        source,
        numbers.weights,
        numbers.bias,
        zero_point=case.zero_point,
        strides=case.stride,
        dilations=case.dilation,
        **case.attributes,
    )
    m = per_channel(numbers.multiplier, 4)
    want = requantize(acc, m, 100, 90, 255, dtype=np.uint8) if y_type == "uint8" else to_half(acc, m)
    np.testing.assert_array_equal(got, want)


WINOGRAD = {
    "gpen": Case(64, 32, 9, 12, kernel=(3, 3), pads=(0, 0, 0, 0)),
    "odd_channels": Case(33, 17, 8, 5, kernel=(3, 3), pads=(0, 0, 0, 0), zero_point=200),
    "many_chunks": Case(32, 16, 37, 41, kernel=(3, 3), pads=(0, 0, 0, 0), zero_point=1),
    "heavy": Case(128, 256, 24, 25, kernel=(3, 3), pads=(0, 0, 0, 0)),
    "heavy_in_chunks": Case(512, 32, 72, 75, kernel=(3, 3), pads=(0, 0, 0, 0)),
    "even_size": Case(64, 32, 9, 12, kernel=(3, 3), pads=(1, 1, 1, 1), output_padding=(1, 1)),
    "padded_one_way": Case(64, 32, 9, 12, kernel=(3, 3), pads=(0, 1, 0, 1), output_padding=(0, 1)),
    "cropped": Case(64, 32, 9, 12, kernel=(3, 3), pads=(2, 2, 1, 1)),
    "batch_2": Case(64, 16, 5, 6, kernel=(3, 3), pads=(0, 0, 0, 0), batch=2),
}


@pytest.mark.parametrize("y_type", ["uint8", "float16"])
@pytest.mark.parametrize(
    ("case", "target"),
    [
        pytest.param(case, target, id=f"{name}-{target}")
        for name, case in WINOGRAD.items()
        for target in RUNNABLE
        if simd_of(TARGETS[target]).weight_dtype == "int16"
    ],
)
def test_winograd_equals_the_reference(case: Case, target: str, y_type: str) -> None:
    x, y = case.planes("uint8", y_type, (case.zero_point, 100 if y_type == "uint8" else 0))
    numbers = integer_numbers(case)
    spec = QConvTranspose2dSpec(x, y, case.window, epilogue=Epilogue(100, low=90))
    kernel = qconv_transpose2d.build(spec, TARGETS[target], numbers, algorithm="winograd")
    source = codes(x)
    got = run_to_plane(kernel, [to_plane(source, x)], y, TARGETS[target])
    weights, bias = numbers.weights, numbers.bias
    acc = accumulate(
        source, weights, bias, zero_point=case.zero_point, strides=case.stride, **case.attributes
    )
    m = per_channel(numbers.multiplier, 4)
    want = requantize(acc, m, 100, 90, 255, dtype=np.uint8) if y_type == "uint8" else to_half(acc, m)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("sign", [1, -1])
def test_winograd_is_exact_up_to_its_limit(sign: int) -> None:
    case = Case(64, 32, 9, 9, kernel=(3, 3), pads=(0, 0, 0, 0), zero_point=0)
    x, y = case.planes("uint8", "float16")
    limit, target = Transposed((1, 1)).sum_limit, TARGETS["generic"]
    weights = np.full((64, 32, 3, 3), sign * 127, np.int8)
    multiplier = np.full(32, 2.0**-15, np.float32)
    spec = QConvTranspose2dSpec(x, y, case.window)
    for beyond, algorithm in ((0, "winograd"), (1, "sections")):
        bias = np.full(32, sign * (limit - 1 + beyond - 255 * 127 * 576), np.int32)
        numbers = QConvNumbers(weights, bias, multiplier)
        assert qconv_transpose2d.choose_algorithm(spec, target, ordinary(numbers)) == algorithm
        source = np.full((1, 64, 9, 9), 255, np.uint8)
        kernel = qconv_transpose2d.build(spec, target, numbers)
        got = run_to_plane(kernel, [to_plane(source, x)], y, target)
        acc = accumulate(source, weights, bias, strides=(2, 2), pads=case.pads)
        np.testing.assert_array_equal(got, to_half(acc, np.float32(2.0**-15)))


def test_winograd_adds_a_residual() -> None:
    case, target = WINOGRAD["gpen"], TARGETS["generic"]
    x, y = case.planes("uint8", "uint8", (128, 77))
    other = replace(y, halo=Halo(0, 1, 0, 0), fill=60)
    epilogue = Epilogue(100, residual=Residual(other, low=80, high=240))
    spec = QConvTranspose2dSpec(x, y, case.window, epilogue=epilogue)
    numbers = replace(integer_numbers(case), residual=add_factors(0.7, 1.9, 1.1))
    stored = [to_plane(codes(x), x), to_plane(codes(other, 5), other)]
    got, want = (
        run_to_plane(qconv_transpose2d.build(spec, target, numbers, algorithm=algorithm), stored, y, target)
        for algorithm in qconv_transpose2d.ALGORITHMS
    )
    np.testing.assert_array_equal(got, want)


def test_a_window_that_the_halo_does_not_cover_is_computed_in_sections() -> None:
    case = Case(64, 32, 9, 12, kernel=(3, 3), pads=(1, 1, 1, 1))
    x, y = case.planes("uint8", "uint8")
    spec = QConvTranspose2dSpec(x, y, case.window)
    numbers = ordinary(integer_numbers(case))
    assert qconv_transpose2d.choose_algorithm(spec, TARGETS["generic"], numbers) == "sections"
    wider = replace(x, halo=Halo(1, 1, 1, 1))
    spec = replace(spec, source=wider)
    assert qconv_transpose2d.choose_algorithm(spec, TARGETS["generic"], numbers) == "winograd"


PAYS = {
    "many_tiles": (Case(1024, 256, 64, 64, kernel=(3, 3), pads=(0, 0, 0, 0)), "x86-64-v3", True),
    "weights_too_far": (Case(1024, 512, 32, 32, kernel=(3, 3), pads=(0, 0, 0, 0)), "x86-64-v3", False),
    "8_bit_products": (Case(1024, 256, 64, 64, kernel=(3, 3), pads=(0, 0, 0, 0)), "x86-64-v4", False),
    "4x4": (CASES["fsrnet_4x4_s2"], "x86-64-v3", False),
    "groups": (CASES["groups_4"], "x86-64-v3", False),
}


@pytest.mark.parametrize(("case", "target", "pays"), PAYS.values(), ids=PAYS.keys())
def test_winograd_is_for_where_it_pays(case: Case, target: str, pays: bool) -> None:
    x, y = case.planes("uint8", "uint8")
    spec = QConvTranspose2dSpec(x, y, case.window, case.groups)
    assert (TransposedTiling.of(simd_of(TARGETS[target]), spec) is not None) is pays


AMX_CASES = {
    **CASES,
    "wide": Case(64, 64, 4, 37, kernel=(2, 2), pads=(0, 0, 0, 0)),
    "wide_3x3": Case(64, 32, 3, 33, kernel=(3, 3), pads=(0, 0, 0, 0)),
}


@pytest.mark.parametrize("case", AMX_CASES.values(), ids=AMX_CASES.keys())
def test_emulated_tiles_equal_the_reference(case: Case) -> None:
    x, y = case.planes("uint8", "uint8", (case.zero_point, 100))
    residual = replace(y, halo=Halo(0, 1, 0, 0), fill=60)
    epilogue = Epilogue(90, residual=Residual(residual))
    spec = QConvTranspose2dSpec(x, y, case.window, case.groups, epilogue)
    numbers = replace(integer_numbers(case), residual=add_factors(0.7, 1.9, 1.1))
    params = qconv_transpose2d.pack(spec, NATIVE, ordinary(numbers, case.groups), tiles=EmulatedTiles)
    kernel = Kernel(qconv_transpose2d.emit(spec, NATIVE, EmulatedTiles), params)
    source, theirs = codes(x), codes(residual, 5)
    got = run_to_plane(kernel, [to_plane(source, x), to_plane(theirs, residual)], y)
    vectors = qconv_transpose2d.build(spec, NATIVE, numbers)
    want = run_to_plane(vectors, [to_plane(source, x), to_plane(theirs, residual)], y)
    np.testing.assert_array_equal(got, want)


def test_the_amx_target_gets_tile_instructions() -> None:
    target, case = TARGETS["sapphirerapids"], CASES["fsrnet_4x4_s2"]
    x, y = case.planes("uint8", "uint8", (128, 100))
    spec = QConvTranspose2dSpec(x, y, case.window)
    kernel = qconv_transpose2d.build(spec, target, integer_numbers(case))
    module = tvm.IRModule({"qconv_transpose2d": kernel.func})
    built = tvm.tirx.build(module, target=tvm.target.Target({"kind": "llvm", "mcpu": target.mcpu}))
    assert "tdpbusd" in built.inspect_source("asm")


@pytest.mark.parametrize("value", [255, 0])
def test_saturated_codes(value: int) -> None:
    case = Case(512, 4, 3, 3, zero_point=0 if value else 255)
    x, y = case.planes("uint8", "float16", (case.zero_point, 0))
    weights = np.full((512, 4, 4, 4), 127, np.int8)
    spec = QConvTranspose2dSpec(x, y, case.window)
    numbers = QConvNumbers(weights, np.zeros(4, np.int32), np.full(4, 2.0**-12, np.float32))
    kernel = qconv_transpose2d.build(spec, NATIVE, numbers)
    source = np.full((1, 512, 3, 3), value, np.uint8)
    acc = accumulate(source, weights, zero_point=case.zero_point, strides=(2, 2), pads=case.pads)
    got = run_to_plane(kernel, [to_plane(source, x)], y)
    np.testing.assert_array_equal(got, to_half(acc, np.float32(2.0**-12)))


def test_residual_of_codes() -> None:
    case = Case(8, 20)
    x, y = case.planes("uint8", "uint8", (128, 77))
    other = replace(y, halo=Halo(0, 1, 0, 0), fill=60)
    epilogue = Epilogue(100, residual=Residual(other, low=80, high=240))
    spec = QConvTranspose2dSpec(x, y, case.window, epilogue=epilogue)
    factors = add_factors(0.7, 1.9, 1.1)
    numbers = replace(integer_numbers(case), residual=factors)
    kernel = qconv_transpose2d.build(spec, NATIVE, numbers)
    source, theirs = codes(x), codes(other, 5)
    got = run_to_plane(kernel, [to_plane(source, x), to_plane(theirs, other)], y)
    acc = accumulate(
        source, numbers.weights, numbers.bias, zero_point=128, strides=case.stride, pads=case.pads
    )
    ours = requantize(acc, per_channel(numbers.multiplier, 4), 100, 0, 255, dtype=np.uint8)
    zero_points = {"a_zero_point": 100, "b_zero_point": 60, "output_zero_point": 77}
    want = add(ours, theirs, factors, **zero_points, lo=80, hi=240)
    np.testing.assert_array_equal(got, want)


FLOAT_WINOGRAD_CASES = {
    "gpen": Case(24, 65, 42, 46, kernel=(3, 3), pads=(0, 0, 0, 0)),
    "padded": Case(17, 32, 42, 45, kernel=(3, 3), output_padding=(1, 1)),
    "padded_unevenly": Case(16, 16, 41, 45, kernel=(3, 3), pads=(0, 1, 1, 0), output_padding=(1, 0)),
    "batch_2": Case(16, 40, 30, 33, kernel=(3, 3), pads=(0, 0, 0, 0), batch=2),
}
FLOAT_RUNS = [
    *RUNS,
    *(
        pytest.param(case, target, id=f"winograd-{name}-{target}")
        for name, case in FLOAT_WINOGRAD_CASES.items()
        for target in RUNNABLE
        if target == RUNNABLE[0] or name == "gpen"
    ),
]


FLOAT_CHOICES = [
    *(pytest.param(case, True, id=name) for name, case in FLOAT_WINOGRAD_CASES.items()),
    *(pytest.param(case, False, id=name) for name, case in CASES.items()),
    pytest.param(Case(64, 3, 64, 64, kernel=(3, 3)), False, id="few_channels"),
    pytest.param(Case(64, 64, 21, 23, kernel=(3, 3)), False, id="few_tiles"),
]


@pytest.mark.parametrize(("case", "pays"), FLOAT_CHOICES)
def test_float_winograd_is_for_many_tiles(case: Case, pays: bool) -> None:
    x, y = case.planes("float16", "float16")
    spec = HconvTranspose2dSpec(x, y, case.window)
    assert (winograd_of(spec, NATIVE) is not None) is pays


@pytest.mark.parametrize(("case", "target"), FLOAT_RUNS)
def test_floats_round_once(case: Case, target: str) -> None:
    x, y = case.planes("float16", "float16")
    residual, factors = replace(y, halo=Halo(1, 0, 0, 0)), replace(x, height=1, width=1, halo=Halo())
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (case.inputs, case.outputs // case.groups, *case.kernel)).astype(np.float32)
    bias = rng.normal(0, 1, case.outputs).astype(np.float32)
    spec = HconvTranspose2dSpec(x, y, case.window, case.groups, FloatEpilogue(low=-1.0, residual=residual))
    spec = replace(spec, modulation=factors)
    kernel = hconv_transpose2d.build(spec, TARGETS[target], HconvNumbers(weights, bias))
    source, other, modulation = floats(x), floats(residual, 1), floats(factors, 2)
    stored = [to_plane(source, x), to_plane(modulation, factors), to_plane(other, residual)]
    got = run_to_plane(kernel, stored, y, TARGETS[target])
    values, magnitude = float_reference.conv_transpose2d(
        source.astype(np.float64) * modulation,
        weights,
        bias,
        stride=case.stride,
        dilation=case.dilation,
        **case.attributes,
    )
    wide = other.astype(np.float64)
    sums = ((values + wide).clip(-1.0), magnitude + np.abs(wide))
    bits = 20 if winograd_of(spec, TARGETS[target]) is None else 17
    float_reference.assert_rounded_once(got, sums, bits=bits)


def test_every_output_is_written_once() -> None:
    for case in CASES.values():
        _, y = case.planes("float16", "float16")
        count = np.zeros((y.height, y.width), int)
        for part in transpose_parts(case.window, y.size):
            section = part.section
            rows = slice(section.offset[0], None, section.step[0])
            columns = slice(section.offset[1], None, section.step[1])
            view = count[rows, columns]
            assert view.shape == (section.rows, section.columns)
            view += 1
        assert (count == 1).all()


def test_a_halo_that_is_too_small_is_refused() -> None:
    window = Case(4, 4).window
    x, y = Case(4, 4).planes("float16", "float16")
    assert x.halo == Halo(1, 1, 1, 1)
    with pytest.raises(ModelError, match="halo is smaller"):
        HconvTranspose2dSpec(replace(x, halo=Halo(0, 1, 1, 1)), y, window)
    x, y = Case(4, 4).planes("uint8", "uint8")
    with pytest.raises(ModelError, match="halo is smaller"):
        QConvTranspose2dSpec(replace(x, halo=Halo()), y, window)


def test_weights_of_another_shape_are_refused() -> None:
    x, y = Case(4, 6).planes("float16", "float16")
    spec = HconvTranspose2dSpec(x, y, Case(4, 6).window)
    with pytest.raises(ModelError, match="wrong shape"):
        hconv_transpose2d.build(spec, NATIVE, HconvNumbers(np.zeros((6, 4, 4, 4), np.float32)))
