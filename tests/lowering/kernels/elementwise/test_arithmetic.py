"""Division, minimum and maximum of float planes."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.elementwise import arithmetic
from vacc_deploy.lowering.plane import Halo, Plane

EXPECTED = {"Div": np.divide, "Max": np.maximum, "Min": np.minimum}


def test_every_function_is_tested() -> None:
    assert EXPECTED.keys() == arithmetic.FUNCTIONS.keys()


@pytest.mark.parametrize(
    "other", [(1, 65, 3, 7), (1, 65, 1, 1), (1, 1, 3, 7)], ids=["full", "channel", "pixel"]
)
@pytest.mark.parametrize("name", EXPECTED)
def test_float_operators(name: str, other: tuple[int, ...]) -> None:
    a, b = Plane(1, 65, 3, 7, "float16", Halo(1, 0, 0, 1)), Plane(*other, "float16", Halo(0, 1, 0, 0))
    y = Plane(1, 65, 3, 7, "float16", BOTH_SIDES)
    xa, xb = floats(a, 1), floats(b, 2)
    kernel = arithmetic.build(arithmetic.ArithmeticSpec(a, b, y, function=name), NATIVE)
    expected = EXPECTED[name](xa.astype(np.float32), xb.astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(xa, a), to_plane(xb, b)], y), expected)


def test_constant_dividend() -> None:
    a, b = Plane(1, 1, 1, 1, "float32"), Plane(1, 5, 3, 7, "float16")
    y = Plane(1, 5, 3, 7, "float16", BOTH_SIDES)
    x = floats(b)
    spec = arithmetic.ArithmeticSpec(a, b, y, constant="a")
    kernel = arithmetic.build(spec, NATIVE, np.full((1, 1, 1, 1), 2.5, np.float32))
    expected = (np.float32(2.5) / x.astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(x, b)], y), expected)


def test_refuses_codes() -> None:
    plane = Plane(1, 3, 2, 2, "uint8")
    with pytest.raises(ModelError, match="has no kernel"):
        arithmetic.ArithmeticSpec(plane, plane, plane, function="Max")
