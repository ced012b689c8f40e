"""Which layers run in int8, which in float, and why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from small_models import Builder

from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.plan import make_plan

CHANNELS = 8


def normalised(b: Builder, x: str) -> str:
    """An operator that int8 does not cover."""
    ones = b.constant(f"ones{len(b.nodes)}", np.ones(CHANNELS, np.float32))
    return b.node("InstanceNormalization", [x, ones, ones])


def conv(b: Builder, x: str) -> str:
    return b.conv(x, CHANNELS, CHANNELS)


def leaky(b: Builder, x: str) -> str:
    return b.node("LeakyRelu", [normalised(b, x)], "under_test")


def two_branches(b: Builder, x: str) -> str:
    return b.node("Add", [leaky(b, x), b.node("Relu", [normalised(b, x)])], "sum_under_test")


def convolution_and_branch(b: Builder, x: str) -> str:
    return b.node("Add", [conv(b, x), normalised(b, x)], "under_test")


def gated(b: Builder, x: str) -> str:
    return b.node("Mul", [normalised(b, x), b.node("Sigmoid", [conv(b, x)], "gate_under_test")], "under_test")


def codes_and_branch(b: Builder, x: str) -> str:
    """The other operand is read as codes anyway."""
    trunk = conv(b, x)
    return b.node("Add", [trunk, normalised(b, conv(b, trunk))], "under_test")


def convolutions_only(b: Builder, x: str) -> str:
    return b.node("Add", [conv(b, x), conv(b, x)], "under_test")


def scaled_by_a_vector(b: Builder, x: str) -> str:
    """As GPEN's demodulation does: the vector is made in float."""
    vector = b.node("GlobalLpPool", [x])
    return b.node("Mul", [conv(b, x), vector], "under_test")


def table_for_two(b: Builder, x: str) -> str:
    y = b.node("LeakyRelu", [conv(b, x)], "under_test")
    return b.node("Add", [conv(b, y), conv(b, y)])


def table_for_one(b: Builder, x: str) -> str:
    """The convolution's own table."""
    return b.node("LeakyRelu", [conv(b, x)], "under_test")


@pytest.mark.parametrize(
    ("write", "int8"),
    [
        (leaky, False),
        (two_branches, False),
        (convolution_and_branch, False),
        (gated, False),
        (codes_and_branch, True),
        (convolutions_only, True),
        (scaled_by_a_vector, False),
        (table_for_two, False),
        (table_for_one, True),
    ],
    ids=lambda value: getattr(value, "__name__", "int8" if value else "fp16"),
)
def test_what_is_made_in_fp16_is_not_rounded_to_be_added(write, int8) -> None:
    b = Builder(CHANNELS)
    model: ir.Model = b.model(conv(b, write(b, "input")))
    layers = find_layers(model)
    plan = make_plan(layers, {})
    tested = [layer for layer in layers if layer.name.endswith("under_test")]
    assert tested
    for layer in tested:
        assert (layer.name in plan.int8) == int8, f"{layer.name}: {plan.why_float.get(layer.name)}"
    assert set(layers[-1].inputs) <= plan.quantized
