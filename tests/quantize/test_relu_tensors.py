"""Codes without a sign behind a Relu: where, what they win, and that signed engines can do the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_models import MODELS, Builder, pictures

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.calibrators.registry import Range
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.relu_tensors import unsigned_tensors
from vacc_deploy.quantize.score import quantized_runner
from vacc_deploy.quantize.sessions import runner
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.runtime.reference.conv2d import accumulate

PLAIN = CalibrationSettings(
    threads=1, correct_channels=False, round_weights=False, equalise=False, protect_images=False, split=False
)


def between(
    *, op: str = "Relu", summed: bool = False, reader: str = "Conv", skip: bool = False, output: bool = False
):
    """A convolution, or a sum of two, `op`, and whatever reads it."""
    build = Builder(3, (24, 24))
    attributes = {"alpha": 0.1} if op == "LeakyRelu" else {}
    x = build.conv("input", 3, 16)
    if summed:
        x = build.node("Add", [x, build.conv("input", 3, 16)])
    x = build.node(op, [x], "/made", **attributes)
    if reader == "Conv":
        y = build.conv(x, 16, 16)
    elif reader == "ConvTranspose":
        y = build.conv_transpose(x, 16, 16, kernel=3, pads=[1, 1, 1, 1])
    else:
        y = build.node("Tanh", [x])
    return build.model(build.node("Add", [x, y]) if skip else y, *([x] if output else []))


PLACES = {
    "between convolutions": (between(), True),
    "a transposed one reads it": (between(reader="ConvTranspose"), True),
    "a sum": (between(summed=True), True),
    "of either sign": (between(op="LeakyRelu"), False),
    "another layer reads it": (between(reader="Tanh"), False),
    "an addition reads it too": (between(skip=True), False),
    "an output of the network": (between(output=True), False),
}


@pytest.mark.parametrize("name", PLACES)
def test_only_what_convolutions_hand_to_one_another(name):
    model, found = PLACES[name]
    assert ("/made.out" in unsigned(model)) is found


def unsigned(model) -> frozenset[str]:
    return unsigned_tensors(find_layers(model), [str(value.name) for value in model.graph.outputs])


def zero_points(model) -> dict[str, np.ndarray]:
    """By tensor, the zero point that it is quantised with."""
    found = {}
    for node in model.graph:
        if node.op_type == "QuantizeLinear":
            found[node.inputs[0].name] = node.inputs[2].const_value.numpy()
    return found


def test_zero_points_stay_0():
    table = calibrate(model := MODELS["residual"](), pictures(model, 6), PLAIN)
    zeros = zero_points(quantize(model, table))
    assert all(int(zero) == 0 for zero in zeros.values())
    without_sign = {name for name, zero in zeros.items() if zero.dtype == np.uint8}
    assert without_sign == unsigned(model)
    assert len(without_sign) == 3


def test_the_recipe_alone_keeps_the_sign():
    table = calibrate(model := MODELS["residual"](), pictures(model, 6), CalibrationSettings.recipe_exact())
    assert {zero.dtype for zero in zero_points(quantize(model, table)).values()} == {np.dtype(np.int8)}


def test_a_person_gives_the_sign_back_in_the_table():
    table = calibrate(model := between(), pictures(model, 6), PLAIN)
    entry = table.tensors["/made.out"]
    assert entry.kept == Range(0.0, entry.high)
    signed = replace(table, tensors={**table.tensors, "/made.out": replace(entry, low=-entry.high)})
    assert zero_points(quantize(model, table))["/made.out"].dtype == np.uint8
    assert zero_points(quantize(model, signed))["/made.out"].dtype == np.int8


@pytest.mark.parametrize("mode", ["auto", "max", "percentile", "mse", "kl_divergence"])
def test_half_the_step_and_a_better_network(mode):
    model, data = between(), list(pictures(between(), 6))
    wanted, noise, sqnr_db = runner(model, 1), {}, {}
    for without_sign in (False, True):
        table = calibrate(model, data, replace(PLAIN, mode=mode, unsigned_relu=without_sign))
        got = quantized_runner(model, table, 1)
        noise[without_sign] = np.mean([np.square(got(feed)[0] - wanted(feed)[0]).mean() for feed in data])
        sqnr_db[without_sign] = table.tensors["/made.out"].sqnr_db
    assert sqnr_db[True] - sqnr_db[False] > 3.5
    assert noise[True] < noise[False]


def test_signed_codes_compute_the_same():
    """128 off every code, padding with −128, and 128·Σw more in the bias."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (1, 5, 7, 6)).astype(np.uint8)
    weight = rng.integers(-127, 128, (4, 5, 3, 3)).astype(np.int8)
    bias = rng.integers(-999, 1000, 4).astype(np.int32)
    expected = accumulate(codes, weight, bias, pads=(1, 1, 1, 1))
    signed = np.pad(
        (codes.astype(np.int16) - 128).astype(np.int8), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-128
    )
    moved = bias + 128 * weight.astype(np.int32).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(accumulate(signed, weight, moved.astype(np.int32)), expected)
