"""Calibration on small networks: no worse than the recipe, the same twice, and clear about bad data."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from small_models import FEEDS, MODELS, pictures

from vacc_deploy.errors import DataError
from vacc_deploy.frontend.load import clean
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.score import FidelityScore, quantized_runner
from vacc_deploy.quantize.settings import CalibrationSettings


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_the_default_is_no_worse_than_the_recipe(make, scheme):
    model = make()
    name = next(n for n, m in MODELS.items() if m is make)
    feeds = FEEDS[name]
    held_out = list(pictures(model, 3, seed=9))
    recipe = CalibrationSettings.recipe_exact(scheme=scheme, threads=1)
    default = CalibrationSettings(scheme=scheme, threads=1)
    score = FidelityScore(model, held_out, threads=1)
    before, after = (
        score.fidelity_db(quantized_runner(model, calibrate(model, feeds, settings), 1))
        for settings in (recipe, default)
    )
    assert after > before - 1.0  # the classifier has 36 numbers to learn from


def test_pictures_keep_their_extremes_and_small_layers_around_them_stay_in_fp16():
    model = MODELS["residual"](channels=64)
    table = calibrate(model, FEEDS["residual"], CalibrationSettings(threads=1))
    assert table.tensors["input"].method == "max"
    first = next(iter(table.layers.values()))
    assert (first.precision, first.why[:8]) == ("int8", "default ") or first.why.startswith(
        ("picture", "default")
    )


@pytest.mark.parametrize(("name", "make"), MODELS.items(), ids=MODELS)
def test_calibrating_again_with_more_threads_gives_the_same_text(name, make):
    settings = [CalibrationSettings(threads=threads) for threads in (1, 1, 2, 3)]
    assert len({calibrate(make(), FEEDS[name], s).to_json() for s in settings}) == 1


def test_progress_says_what_is_going_on():
    told = []
    calibrate(
        MODELS["residual"](),
        FEEDS["residual"],
        CalibrationSettings(threads=1),
        lambda *step: told.append(step),
    )
    observed = [(count, "observing") for count in range(1, len(FEEDS["residual"]) + 1)]
    assert told == [
        (0, "evening out channels"),
        *observed,
        (observed[-1][0], "choosing thresholds, rounding weights and correcting channels"),
    ]


RNG = np.random.default_rng(0)
NO_PICTURES = {  # graph, one input of it
    "tokens": (
        "(int64[1,8] input) => (float[1,8,4] out) {\n"
        "  table = Constant <value = float[50,16] {TABLE}> ()\n"
        "  weight = Constant <value = float[16,4] {WEIGHT}> ()\n"
        "  vectors = Gather (table, input)\n  out = MatMul (vectors, weight)\n}",
        lambda: RNG.integers(0, 50, (1, 8)),
    ),
    "signal": (
        "(float[1,2,64] input) => (float[1,2,64] out) {\n"
        "  filter = Constant <value = float[2,2,3] {FILTER}> ()\n"
        "  out = Conv <pads = [1, 1]> (input, filter)\n}",
        lambda: RNG.random((1, 2, 64), np.float32),
    ),
}


@pytest.mark.parametrize(("graph", "make_input"), NO_PICTURES.values(), ids=NO_PICTURES)
def test_inputs_that_are_no_pictures_calibrate(graph, make_input):
    for name, size in (("TABLE", 800), ("WEIGHT", 64), ("FILTER", 12)):
        graph = graph.replace(f"{{{name}}}", "{" + ", ".join(f"{x:f}" for x in RNG.normal(size=size)) + "}")
    text = f'<ir_version: 9, opset_import: ["": 17]>\nnet {graph}'
    model = clean(onnx.parser.parse_model(text), None, "net")
    feeds = [{"input": make_input()} for _ in range(4)]
    table = calibrate(model, feeds, CalibrationSettings(threads=1))
    assert not table.warnings  # numbers of tokens are not taken for pixels
    score = FidelityScore(model, feeds, threads=1)
    assert score.fidelity_db(quantized_runner(model, table, 1)) > 30


BAD_DATA = {
    "empty": ([], "empty"),
    "nan": ([{"input": np.full((1, 1, 12, 10), np.nan, np.float32)}], "NaN"),
    "shape": ([{"input": np.zeros((1, 1, 12, 12), np.float32)}], "shape"),
    "name": ([{"image": np.zeros((1, 1, 12, 10), np.float32)}], "'input'"),
}


@pytest.mark.parametrize(("data", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_refused(data, words):
    with pytest.raises(DataError, match=words):
        calibrate(MODELS["residual"](), data, CalibrationSettings(threads=1))
