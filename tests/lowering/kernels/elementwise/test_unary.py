"""Functions of one operand: recoding, float functions, PRelu."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.elementwise import prelu, unary
from vacc_deploy.lowering.kernels.elementwise.float_functions import FUNCTIONS
from vacc_deploy.lowering.kernels.movement import recode
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference.fixed_point import dequantize, quantize
from vacc_deploy.runtime.reference.table import build_table, leaky_relu, look_up, requantize_table

SHAPES = {"rgb": (1, 3, 5, 33), "odd": (2, 65, 2, 7), "half_block": (1, 24, 3, 5)}
S, S2 = np.float32(0.0371), np.float32(0.021)


def pair(shape: tuple[int, ...], first: str, second: str) -> tuple[Plane, Plane]:
    fills = {"uint8": (131, 9), "float16": (0, 0), "float32": (0, 0)}
    return (
        Plane(*shape, first, Halo(1, 0, 0, 2), fills[first][0]),
        Plane(*shape, second, BOTH_SIDES, fills[second][1]),
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_recodes_codes(shape: tuple[int, ...]) -> None:
    a, b = pair(shape, "uint8", "uint8")
    q = codes(a)
    table = requantize_table(
        scale=S,
        zero_point=131,
        dtype=np.uint8,
        output_scale=S2,
        output_zero_point=9,
        output_dtype=np.uint8,
    )
    kernel = recode.build(recode.RecodeSpec(a, b), NATIVE, S, S2)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, a)], b), look_up(q, table))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_recodes_between_codes_and_floats(shape: tuple[int, ...]) -> None:
    a, b = pair(shape, "uint8", "float16")
    q = codes(a)
    halves = run_to_plane(recode.build(recode.RecodeSpec(a, b), NATIVE, S), [to_plane(q, a)], b)
    np.testing.assert_array_equal(halves, dequantize(q, S, 131).astype(np.float16))
    c = Plane(*shape, "uint8", Halo(), 3)
    back = run_to_plane(recode.build(recode.RecodeSpec(b, c), NATIVE, None, S2), [to_plane(halves, b)], c)
    np.testing.assert_array_equal(back, quantize(halves, S2, 3, np.uint8))


def test_only_the_halo_may_change() -> None:
    a = Plane(1, 20, 3, 5, "uint8", Halo(), 7)
    b = Plane(1, 20, 3, 5, "uint8", BOTH_SIDES, 7)
    q = codes(a)
    kernel = recode.build(recode.RecodeSpec(a, b), NATIVE)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, a)], b), q)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


EXPECTED = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Clip": lambda x: np.clip(x, -1.5, 0.75),
    "Elu": lambda x: np.where(x < 0, -1.5 * np.expm1(np.minimum(x, 0)), x),
    "Erf": np.vectorize(math.erf),
    "Exp": np.exp,
    "Floor": np.floor,
    "Gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "HardSigmoid": lambda x: np.clip(-1.5 * x + 0.75, 0, 1),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Identity": lambda x: x,
    "LeakyRelu": lambda x: np.where(x < 0, -1.5 * x, x),
    "Log": lambda x: np.log(x),
    "Mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "Neg": np.negative,
    "Reciprocal": lambda x: 1 / x,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "Silu": lambda x: x * _sigmoid(x),
    "Softplus": lambda x: np.logaddexp(0, x),
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}


def test_every_function_is_tested() -> None:
    assert EXPECTED.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_float_functions(name: str) -> None:
    a, b = Plane(1, 5, 3, 33, "float32", Halo(1, 1, 1, 1)), Plane(1, 5, 3, 33, "float32", BOTH_SIDES)
    x = floats(a)
    x.flat[:5] = (0.0, 1e-4, -1e-4, 30.0, -60.0)
    if name in ("Log", "Sqrt", "Reciprocal"):
        x = np.abs(x) + np.float32(0.01)
    spec = unary.UnarySpec(a, b, name, alpha=-1.5, beta=0.75)
    result = run_to_plane(unary.build(spec, NATIVE), [to_plane(x, a)], b)
    expected = EXPECTED[name](x.astype(np.float64))
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=3e-7)


def test_float_functions_round_once_to_half() -> None:
    a, b = pair((2, 65, 2, 7), "float16", "float16")
    x = floats(a)
    result = run_to_plane(unary.build(unary.UnarySpec(a, b, "Tanh"), NATIVE), [to_plane(x, a)], b)
    expected = np.tanh(x.astype(np.float64)).astype(np.float16)
    steps = np.abs(result.view(np.int16).astype(int) - expected.view(np.int16).astype(int))
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.99


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prelu_equals_a_table_per_channel(shape: tuple[int, ...], name: str) -> None:
    a, b = pair(shape, "uint8", "uint8")
    q = codes(a)
    slopes = np.random.default_rng(1).normal(0.2, 0.3, shape[1]).astype(np.float32)
    tables = np.stack(
        [
            build_table(
                leaky_relu(slope),
                scale=S,
                zero_point=131,
                dtype=np.uint8,
                output_scale=S2,
                output_zero_point=9,
                output_dtype=np.uint8,
            )
            for slope in slopes
        ]
    )
    kernel = prelu.build(prelu.PReluSpec(a, b), TARGETS[name], slopes, S, S2)
    result = run_to_plane(kernel, [to_plane(q, a)], b, TARGETS[name])
    np.testing.assert_array_equal(result, look_up(q, tables))


def test_prelu_of_floats() -> None:
    a, b = pair((2, 65, 2, 7), "float16", "float16")
    x, slopes = floats(a), np.linspace(-1, 1, 65, dtype=np.float32)
    wide = x.astype(np.float32)
    expected = np.where(wide < 0, wide * slopes.reshape(1, -1, 1, 1), wide).astype(np.float16)
    kernel = prelu.build(prelu.PReluSpec(a, b), NATIVE, slopes)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(x, a)], b), expected)


def test_refuses_what_does_not_fit() -> None:
    a, b = pair((1, 3, 5, 33), "uint8", "float16")
    with pytest.raises(ModelError, match="no float kernel"):
        unary.UnarySpec(b, b, "Cos")
    with pytest.raises(ModelError, match="codes are given"):
        unary.UnarySpec(a, b, "Relu")
