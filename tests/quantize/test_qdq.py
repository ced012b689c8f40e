"""``quantized.onnx``: standard, deterministic, and the same network in ONNX Runtime and in our integers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from small_models import MODELS, pictures

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.plan import plan_for
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.sessions import open_session
from vacc_deploy.quantize.settings import CalibrationSettings, LayerChoice
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.unsigned import to_unsigned
from vacc_deploy.runtime.reference.graph import run_graph
from vacc_deploy.runtime.reference.qdq_groups import find_groups

SCHEMES = ["symmetric", "asymmetric"]


def exact(scheme="symmetric", **options):
    return CalibrationSettings.recipe_exact(scheme=scheme, threads=1, **options)


def run_float(model, feed):
    return open_session(model, 1).run(None, feed)


@pytest.mark.parametrize("scheme", [*SCHEMES, "without a sign"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_onnxruntime_and_the_reference_agree(make, scheme):
    model = make()
    settings = exact() if scheme == "without a sign" else exact(scheme)
    table = calibrate(model, pictures(model), replace(settings, unsigned_relu=scheme == "without a sign"))
    quantized = quantize(model, table)
    onnx.checker.check_model(ir.to_proto(quantized), full_check=True)
    feed = {"input": next(pictures(model))["input"].astype(np.float16).astype(np.float32)}
    ours = run_graph(quantized, feed)
    as_it_is, all_unsigned = run_float(quantized, feed), run_float(to_unsigned(quantized), feed)
    for index, (value, float_result) in enumerate(
        zip(model.graph.outputs, run_float(model, feed), strict=True)
    ):
        result = ours[value.name].astype(np.float32)
        span = np.abs(float_result).max()
        assert np.abs(result - as_it_is[index]).max() < 0.03 * span
        assert np.abs(result - all_unsigned[index]).max() < 0.03 * span
        assert np.sqrt(np.mean(np.square(result - float_result))) < 0.03 * span


def test_the_form_for_cpus_leaves_the_network_as_it_is():
    model = MODELS["residual"]()
    quantized = quantize(model, calibrate(model, pictures(model), exact()))
    before = ir.to_proto(quantized).SerializeToString(deterministic=True)
    assert ir.to_proto(to_unsigned(quantized)).SerializeToString(deterministic=True) != before
    assert ir.to_proto(quantized).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_layer_that_the_plan_calls_int8_is_a_group(make):
    model = make()
    table = calibrate(model, pictures(model), exact())
    quantized = quantize(model, table)
    plan = plan_for(find_layers(model), table, [v.name for v in model.graph.outputs])
    assert {node.name for node in find_groups(quantized)} == set(plan.int8)
    assert set(plan.why_float) | set(plan.int8) == set(table.layers)


def test_pairs_stand_once_and_never_between_convolution_and_relu():
    model = MODELS["residual"]()
    quantized = quantize(model, calibrate(model, pictures(model), exact()))
    count = Counter(node.op_type for node in quantized.graph)
    # input and three ReLU results; the last convolution hands out float to the skip, which runs in fp16
    assert count["QuantizeLinear"] == 4
    # those four, four weights, two biases
    assert count["DequantizeLinear"] == 4 + 4 + 2
    for node in quantized.graph:
        if node.op_type == "Relu":
            assert node.inputs[0].producer().op_type == "Conv"
    add = next(node for node in quantized.graph if node.op_type == "Add")
    assert add.inputs[1].name == "input"  # the skip reads the picture itself, not its codes


def test_movement_keeps_the_scale():
    model = MODELS["shuffled"]()
    quantized = quantize(model, calibrate(model, pictures(model), exact()))
    shuffle = next(node for node in quantized.graph if node.op_type == "DepthToSpace")
    before = shuffle.inputs[0].producer().inputs[1].const_value.numpy()
    after = next(iter(shuffle.outputs[0].consumers())).inputs[1].const_value.numpy()
    assert before == after


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_same_table_gives_the_same_bytes(make):
    model = make()
    table = calibrate(model, pictures(model), exact())
    again = CalibrationTable.from_json(calibrate(make(), pictures(model), exact()).to_json())
    first = ir.to_proto(quantize(model, table)).SerializeToString(deterministic=True)
    assert first == ir.to_proto(quantize(make(), again)).SerializeToString(deterministic=True)


def test_the_float_model_is_left_alone():
    model = MODELS["hourglass"]()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    quantize(model, calibrate(model, pictures(model), exact()))
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_a_layer_in_fp16_keeps_float_weights():
    model = MODELS["residual"]()
    first = find_layers(model)[0].name
    choices = {first: LayerChoice("fp16", "user")}
    table = calibrate(model, pictures(model), exact(choices=choices))
    assert table.layers[first].why == "user"
    quantized = quantize(model, table)
    conv = next(node for node in quantized.graph if node.name == first)
    assert conv.inputs[0].name == "input"
    assert conv.inputs[1].const_value is not None


def test_a_table_of_another_model_is_refused():
    table = calibrate(MODELS["shuffled"](), pictures(MODELS["shuffled"]()), exact())
    with pytest.raises(DataError, match="another model"):
        quantize(MODELS["residual"](), table)


def test_unsupported_layers_say_why():
    model = MODELS["classifier"]()
    node = next(n for n in model.graph if n.op_type == "Flatten")
    node.op_type = "Softmax"
    assert "Softmax has no int8 form" in [layer.why_float for layer in find_layers(model)]


@pytest.mark.parametrize("weight_scale", ["max", "power2", "mse"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weight_rules(weight_scale, per_channel):
    model = MODELS["residual"]()
    table = calibrate(model, pictures(model), exact(weight_scale=weight_scale, per_channel=per_channel))
    quantized = quantize(model, table)
    for node in find_groups(quantized):
        if node.op_type == "Conv":
            scale = node.inputs[1].producer().inputs[1].const_value.numpy()
            assert (np.unique(scale).size > 1) == (
                per_channel and scale.size > 1 and weight_scale != "power2"
            ) or (weight_scale == "power2")
            if weight_scale == "power2":
                np.testing.assert_array_equal(np.log2(scale), np.rint(np.log2(scale)))
