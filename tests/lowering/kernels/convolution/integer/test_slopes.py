"""Tables that are two lines: which ones are, and convolutions that compute them instead of looking up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plane_harness import RUNNABLE, codes, run_to_plane, to_plane
from qconv2d_cases import Case, build_and_run, expected, random_numbers

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue, Residual
from vacc_deploy.lowering.kernels.convolution.integer.slopes import slopes_of
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.add import add, add_factors
from vacc_deploy.runtime.reference.table import build_table, leaky_relu, sigmoid

SLOPES = {"leaky": 0.2, "weak": 0.01, "none": 0.0, "negative": -0.5, "steep": 2.0}


def table_of(slope: float, zero_point: int, output_zero_point: int, ratio: float = 1.31) -> np.ndarray:
    """The stored table of a LeakyRelu, by the reference's own rule."""
    return build_table(
        lambda x: leaky_relu(slope)(x),
        scale=0.0213,
        zero_point=zero_point,
        dtype=np.uint8,
        output_scale=0.0213 / ratio,
        output_zero_point=output_zero_point,
        output_dtype=np.uint8,
    )


@pytest.mark.parametrize("slope", SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize(("inner", "outer"), [(128, 128), (100, 31), (0, 0), (255, 255), (7, 250)])
@pytest.mark.parametrize("ratio", [0.37, 1.31, 9.7])
def test_finds_the_lines_of_every_leaky_relu(slope: float, inner: int, outer: int, ratio: float) -> None:
    assert slopes_of(table_of(slope, inner, outer, ratio), inner, outer) is not None


def test_a_curve_is_no_line_and_neither_is_a_line_with_a_dent() -> None:
    curve = build_table(
        sigmoid,
        scale=0.05,
        zero_point=128,
        dtype=np.uint8,
        output_scale=1 / 255,
        output_zero_point=0,
        output_dtype=np.uint8,
    )
    assert slopes_of(curve, 128, 0) is None
    dented = table_of(0.2, 128, 128)
    dented[140] += 1
    assert slopes_of(dented, 128, 128) is None


CASES = {
    "winograd": Case(64, 40, 8, 9, zero_point=128, epilogue=Epilogue(100, table="slopes")),
    "direct": Case(16, 40, 4, 9, epilogue=Epilogue(100, table="slopes")),
    "narrow": Case(64, 3, 3, 9, epilogue=Epilogue(100, low=20, high=230, table="slopes")),
}


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_convolution_with_slopes_equals_the_table(case: Case, target: str) -> None:
    numbers = random_numbers(case)
    case = replace(case, epilogue=replace(case.epilogue, table_zero_point=100))
    table = table_of(0.2, 100, 100)
    got = build_and_run(case, numbers, TARGETS[target], table=table)
    np.testing.assert_array_equal(got, table[expected(case, numbers)])


@pytest.mark.parametrize("target", RUNNABLE)
def test_a_residual_is_added_behind_the_slopes(target: str) -> None:
    case = Case(8, 24, 4, 9, epilogue=Epilogue(100, table="slopes", table_zero_point=31))
    numbers, spec, table = random_numbers(case), case.spec(), table_of(0.2, 100, 31)
    out = replace(spec.target, fill=77)
    other = replace(out, fill=60)
    spec = replace(spec, target=out, epilogue=replace(case.epilogue, residual=Residual(other, 5, 240)))
    factors = add_factors(0.7, 1.9, 1.1)
    theirs = codes(other, 5)
    layer = replace(numbers.layer, table=table, residual=factors)
    kernel = qconv2d.build(spec, TARGETS[target], layer)
    stored = [to_plane(numbers.source, spec.source), to_plane(theirs, other)]
    zero_points = {"a_zero_point": 31, "b_zero_point": 60, "output_zero_point": 77}
    want = add(table[expected(case, numbers)], theirs, factors, **zero_points, lo=5, hi=240)
    np.testing.assert_array_equal(run_to_plane(kernel, stored, out, TARGETS[target]), want)
