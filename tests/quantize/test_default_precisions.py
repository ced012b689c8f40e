"""Small delicate layers stay in fp16 by default, and only by default."""

from __future__ import annotations

import numpy as np
from small_models import Builder

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.settings import CalibrationSettings


def test_small_layers_around_the_picture_stay_in_fp16():
    build = Builder(1, (24, 24))
    x = build.node("Relu", [build.conv("input", 1, 16)])
    for _ in range(8):
        x = build.node("Relu", [build.conv(x, 16, 16, bias=False)])
    model = build.model(build.conv(x, 16, 1))
    feeds = [{"input": np.random.default_rng(i).random((1, 1, 24, 24), np.float32)} for i in range(4)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    assert {name for name, entry in layers.items() if entry.precision == "fp16"} == {"/conv0", "/conv18"}
    assert layers["/conv0"].why == "default: reads the picture, 0.77 % of the MACs"
    assert layers["/conv18"].why == "default: makes the picture, 0.77 % of the MACs"
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert all(entry.precision == "int8" for entry in exact.values())


def test_small_layers_that_make_a_vector_stay_in_fp16():
    build = Builder(1, (24, 24))
    x = build.node("Relu", [build.conv("input", 1, 16)])
    for _ in range(8):
        x = build.node("Relu", [build.conv(x, 16, 16, bias=False)])
    vector = build.node("Flatten", [build.node("GlobalAveragePool", [x])])
    style = build.node("Gemm", [vector, build.constant("unit", np.eye(16, dtype=np.float32))], "/style")
    shape = build.constant("per_channel", np.array([1, 16, 1, 1], np.int64))
    steered = build.node("Mul", [x, build.node("Reshape", [style, shape])])
    model = build.model(build.conv(steered, 16, 1))
    feeds = [{"input": np.random.default_rng(i).random((1, 1, 24, 24), np.float32)} for i in range(2)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    assert layers["/style"].why == "default: makes a vector, 0.00 % of the MACs"
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert exact["/style"].precision == "int8"


def test_small_layers_that_make_a_gate_stay_in_fp16():
    build = Builder(16, (16, 16))
    x = build.node("Relu", [build.conv("input", 16, 16)])
    for _ in range(12):
        x = build.node("Relu", [build.conv(x, 16, 16)])
    gate = build.node("Sigmoid", [build.conv(x, 16, 16, 1)], "/gate")
    model = build.model(build.conv(build.node("Mul", [x, gate], "/mul"), 16, 16))
    feeds = [{"input": np.random.default_rng(i).random((1, 16, 16, 16), np.float32)} for i in range(3)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    gated = [name for name, entry in layers.items() if entry.why.startswith("default: makes a gate")]
    assert gated == ["/conv26", "/gate"]
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert all(exact[name].precision == "int8" for name in gated)


def test_sums_of_two_tensors_stay_in_fp16():
    build = Builder(16, (16, 16))
    x = build.node("Relu", [build.conv("input", 16, 16)])
    for index in range(3):
        x = build.node("Relu", [build.node("Add", [build.conv(x, 16, 16), x], f"/sum{index}")])
    shift = build.constant("shift", np.full((1, 16, 1, 1), 0.25, np.float32))
    shifted = build.node("Add", [build.conv(x, 16, 16), shift], "/shift")
    model = build.model(build.conv(shifted, 16, 16))
    feeds = [{"input": np.random.default_rng(i).random((1, 16, 16, 16), np.float32)} for i in range(3)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    summed = [name for name, entry in layers.items() if entry.why.startswith("default: adds two tensors")]
    assert summed == ["/sum0", "/sum1", "/sum2"]
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert all(exact[name].precision == "int8" for name in (*summed, "/shift"))
