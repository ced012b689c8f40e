"""Additions, subtractions and products of planes and broadcast operands."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.elementwise import add, mul
from vacc_deploy.lowering.kernels.elementwise.binary import Scales
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.add import add as reference_add
from vacc_deploy.runtime.reference.add import add_factors
from vacc_deploy.runtime.reference.fixed_point import multiplier
from vacc_deploy.runtime.reference.mul import mul as reference_mul

# Shapes of a, b and the result.
SHAPES = {
    "full_rgb": ((1, 3, 5, 33), (1, 3, 5, 33)),
    "full_64": ((1, 64, 3, 7), (1, 64, 3, 7)),
    "full_65": ((2, 65, 2, 5), (2, 65, 2, 5)),
    "full_30": ((1, 30, 2, 9), (1, 30, 2, 9)),
    "channel": ((1, 130, 3, 7), (1, 130, 1, 1)),
    "channel_narrow": ((2, 5, 3, 9), (2, 5, 1, 1)),
    "pixel": ((1, 65, 3, 7), (1, 1, 3, 7)),
    "pixel_narrow": ((1, 5, 3, 7), (1, 1, 3, 7)),
    "single": ((2, 20, 2, 33), (1, 1, 1, 1)),
    "one_channel": ((1, 1, 4, 7), (1, 1, 4, 7)),
}
SCALES = Scales(a=0.021, b=0.0153, output=0.0302)


def planes(case: str, dtype: str = "uint8") -> tuple[Plane, Plane, Plane]:
    a, b = SHAPES[case]
    zero_points = (131, 7, 100) if dtype == "uint8" else (0, 0, 0)
    return (
        Plane(*a, dtype, Halo(1, 1, 1, 1), zero_points[0]),
        Plane(*b, dtype, Halo(0, 2, 0, 0), zero_points[1]),
        Plane(*a, dtype, BOTH_SIDES, zero_points[2]),
    )


@pytest.mark.parametrize("subtract", [False, True], ids=["add", "subtract"])
@pytest.mark.parametrize("case", SHAPES)
def test_adds_codes(case: str, subtract: bool) -> None:
    a, b, y = planes(case)
    qa, qb = codes(a, 1), codes(b, 2)
    factors = add_factors(SCALES.a, SCALES.b, SCALES.output, subtract=subtract)
    expected = reference_add(
        qa, qb, factors, a_zero_point=131, b_zero_point=7, output_zero_point=100, lo=20, hi=250
    )
    spec = add.AddSpec(a, b, y, low=20, high=250, subtract=subtract)
    kernel = add.build(spec, NATIVE, scales=SCALES)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(qa, a), to_plane(qb, b)], y), expected)


@pytest.mark.parametrize("case", SHAPES)
def test_multiplies_codes(case: str) -> None:
    a, b, y = planes(case)
    qa, qb = codes(a, 1), codes(b, 2)
    expected = reference_mul(
        qa,
        qb,
        multiplier(SCALES.a, SCALES.b, SCALES.output),
        a_zero_point=131,
        b_zero_point=7,
        output_zero_point=100,
        lo=0,
        hi=255,
    )
    kernel = mul.build(mul.MulSpec(a, b, y), NATIVE, scales=SCALES)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(qa, a), to_plane(qb, b)], y), expected)


@pytest.mark.parametrize("case", SHAPES)
def test_float16_rounds_once(case: str) -> None:
    a, b, y = planes(case, "float16")
    xa, xb = floats(a, 1), floats(b, 2)
    wide_a, wide_b = xa.astype(np.float32), xb.astype(np.float32)
    inputs = [to_plane(xa, a), to_plane(xb, b)]
    product = run_to_plane(mul.build(mul.MulSpec(a, b, y, low=0.0), NATIVE), inputs, y)
    np.testing.assert_array_equal(product, np.maximum(wide_a * wide_b, 0).astype(np.float16))
    total = run_to_plane(add.build(add.AddSpec(a, b, y, subtract=True), NATIVE), inputs, y)
    np.testing.assert_array_equal(total, (wide_a - wide_b).astype(np.float16))


@pytest.mark.parametrize("subtract", [False, True], ids=["add", "subtract"])
@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("case", SHAPES)
def test_sums_of_floats_become_the_codes_of_the_stored_sum(case: str, name: str, subtract: bool) -> None:
    a, b, _ = planes(case, "float16")
    y = planes(case)[2]
    xa, xb = floats(a, 1), floats(b, 2)
    wide_b = xb.astype(np.float32)
    stored = (xa.astype(np.float32) + (-wide_b if subtract else wide_b)).astype(np.float16)
    step = np.float32(0.0302)
    expected = np.clip(np.rint(stored.astype(np.float32) / step) + 100, 90, 200).astype(np.uint8)
    spec = add.AddSpec(a, b, y, low=90, high=200, subtract=subtract)
    kernel = add.build(spec, TARGETS[name], step=float(step))
    got = run_to_plane(kernel, [to_plane(xa, a), to_plane(xb, b)], y, TARGETS[name])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("which", ["a", "b"])
def test_constant_operand_comes_after_the_input(which: str) -> None:
    b, a, y = planes("channel") if which == "a" else reversed_planes()
    spec = add.AddSpec(a, b, y, constant=which, subtract=True)
    qa, qb = codes(a, 1), codes(b, 2)
    kernel = add.build(spec, NATIVE, scales=SCALES, constant=qa if which == "a" else qb)
    given = to_plane(qb, b) if which == "a" else to_plane(qa, a)
    expected = reference_add(
        qa,
        qb,
        add_factors(SCALES.a, SCALES.b, SCALES.output, subtract=True),
        a_zero_point=a.fill,
        b_zero_point=b.fill,
        output_zero_point=y.fill,
        lo=0,
        hi=255,
    )
    np.testing.assert_array_equal(run_to_plane(kernel, [given], y), expected)


def reversed_planes() -> tuple[Plane, Plane, Plane]:
    a, b, y = planes("channel")
    return b, a, y


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_target_gives_the_same_bytes(name: str) -> None:
    a, b, y = planes("full_65")
    qa, qb = codes(a, 1), codes(b, 2)
    factors = add_factors(1e-4, 3.7, 0.5)  # the small operand only breaks ties
    expected = reference_add(
        qa, qb, factors, a_zero_point=131, b_zero_point=7, output_zero_point=100, lo=0, hi=255
    )
    kernel = add.build(add.AddSpec(a, b, y), TARGETS[name], scales=Scales(1e-4, 3.7, 0.5))
    inputs = [to_plane(qa, a), to_plane(qb, b)]
    np.testing.assert_array_equal(run_to_plane(kernel, inputs, y, TARGETS[name]), expected)


def test_refuses_what_does_not_broadcast() -> None:
    a, _, y = planes("full_64")
    with pytest.raises(ModelError, match="does not broadcast"):
        add.AddSpec(a, Plane(1, 32, 3, 7, "uint8"), y)
    with pytest.raises(ModelError, match="cannot be combined"):
        add.AddSpec(a, Plane(1, 64, 3, 7, "float16"), y)
    with pytest.raises(ModelError, match="cannot be combined"):
        mul.MulSpec(Plane(1, 64, 3, 7, "float16"), Plane(1, 64, 3, 7, "float16"), y)


NASTY = {
    "ties": Scales(0.5, 0.5, 1.0),
    "equal": Scales(0.1, 0.1, 0.1),
    "saturates": Scales(30.0, 20.0, 0.01),
    "vanishes": Scales(1e-6, 1e-6, 1.0),
}


@pytest.mark.parametrize("scales", NASTY.values(), ids=NASTY)
def test_every_pair_of_codes(scales: Scales) -> None:
    plane = Plane(1, 4, 256, 64, "uint8", fill=128)
    pairs = np.arange(65536).reshape(plane.batch, 4, 256, 64)
    qa, qb = (pairs >> 8).astype(np.uint8), (pairs & 255).astype(np.uint8)
    inputs = [to_plane(qa, plane), to_plane(qb, plane)]
    points = {"a_zero_point": 128, "b_zero_point": 128, "output_zero_point": 128, "lo": 0, "hi": 255}
    factors = add_factors(scales.a, scales.b, scales.output)
    total = run_to_plane(add.build(add.AddSpec(plane, plane, plane), NATIVE, scales=scales), inputs, plane)
    np.testing.assert_array_equal(total, reference_add(qa, qb, factors, **points))
    m = multiplier(scales.a, scales.b, scales.output)
    product = run_to_plane(mul.build(mul.MulSpec(plane, plane, plane), NATIVE, scales=scales), inputs, plane)
    np.testing.assert_array_equal(product, reference_mul(qa, qb, m, **points))
