"""Weights rounded together: less error in the result, exact text, nothing where nothing is to gain."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest
from small_models import MODELS, Builder, pictures

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.improve.round_weights import round_rows
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.weight_steps import read_steps, write_steps


def moments_of_alike_inputs(inputs):
    """Inputs that are nearly equal, as neighbouring pixels are."""
    common = np.random.default_rng(1).normal(size=(4000, 1))
    own = np.random.default_rng(2).normal(size=(4000, inputs))
    values = common + 0.1 * own
    return values.T @ values / len(values)


def test_errors_cancel_where_inputs_are_alike():
    rows = np.random.default_rng(0).uniform(-100, 100, (8, 72))
    moments = moments_of_alike_inputs(72)

    def cost(codes):
        error = codes - rows
        return float(np.einsum("oi,ij,oj->", error, moments, error))

    together = round_rows(rows, moments)
    assert np.array_equal(together, np.rint(together))
    assert np.abs(together).max() <= 127
    assert cost(together) < cost(np.rint(rows)) / 4


UNRELATED = {"of equal power": np.eye(24), "silent": np.zeros((24, 24))}


@pytest.mark.parametrize("moments", UNRELATED.values(), ids=UNRELATED)
def test_unrelated_inputs_get_the_nearest_codes(moments):
    rows = np.random.default_rng(0).uniform(-130, 130, (4, 24))
    assert np.array_equal(round_rows(rows, moments), np.clip(np.rint(rows), -127, 127))


def test_steps_survive_their_text():
    steps = np.random.default_rng(0).integers(-2, 3, (4, 3, 3, 3)).astype(np.int8)
    assert np.array_equal(read_steps(write_steps(steps), steps.shape, "here"), steps)
    assert write_steps(np.zeros((2, 2), np.int8)) == ""


BROKEN = {
    "no base64": "§",
    "no zlib": base64.b64encode(b"hello").decode(),
    "too short": write_steps(np.ones(5, np.int8)),
    "a bomb": base64.b64encode(zlib.compress(bytes(10**7))).decode(),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_steps_are_one_clear_error(text):
    with pytest.raises(DataError, match="rounding"):
        read_steps(text, (2, 3), "here")


def large_enough(**settings):
    """A network and pictures with enough positions per input for moments."""
    build = Builder(3, (32, 32))
    x = build.node("Relu", [build.conv("input", 3, 8)])
    model = build.model(build.conv(build.node("Relu", [build.conv(x, 8, 8)]), 8, 3))
    feeds = list(pictures(model, 4))
    return model, calibrate(model, feeds, CalibrationSettings(threads=1, **settings))


def test_chosen_codes_reach_the_network_through_the_tables_text():
    model, table = large_enough()
    rounded = [name for name, entry in table.layers.items() if entry.rounding]
    assert rounded
    again = CalibrationTable.from_json(table.to_json())
    assert again.to_json() == table.to_json()
    name = f"{rounded[0]}_weight_quantized"

    def codes(of):
        return quantize(model, of).graph.initializers[name].const_value.numpy()

    entry = replace(table.layers[rounded[0]], rounding="")
    nearest = replace(table, layers={**table.layers, rounded[0]: entry})
    assert np.array_equal(codes(again), codes(table))
    difference = codes(table).astype(int) - codes(nearest)
    assert 0 < np.count_nonzero(difference) < difference.size
    assert np.abs(difference).max() <= 3


def test_the_recipe_rounds_to_the_nearest():
    model = MODELS["residual"]()
    table = calibrate(model, list(pictures(model, 4)), CalibrationSettings.recipe_exact(threads=1))
    assert not any(entry.rounding for entry in table.layers.values())
    assert table.equalised == {}
