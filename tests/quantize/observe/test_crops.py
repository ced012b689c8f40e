"""Crops that the layer-by-layer walk keeps are pictures that the network can take."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.frontend.load import clean
from vacc_deploy.quantize import crop_support
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.observe.crops import CropKeeper
from vacc_deploy.quantize.sessions import runner


def hourglass(halvings: int, size: int, *, normalise: bool = False) -> ir.Model:
    """Halves a picture several times, doubles it as often, and adds what it was on every level."""
    nodes, weights = [], numpy_helper.from_array(np.full((3, 3, 3, 3), 0.03, np.float32), "w")
    levels = ["picture"]
    for index in range(halvings):
        attributes = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
        nodes.append(helper.make_node("Conv", [levels[-1], "w"], [f"down{index}"], **attributes))
        levels.append(f"down{index}")
    value = levels.pop()
    for index, level in enumerate(reversed(levels)):
        nodes.append(helper.make_node("Resize", [value, "", "scales"], [f"up{index}"], mode="nearest"))
        nodes.append(helper.make_node("Add", [f"up{index}", level], [f"sum{index}"]))
        value = f"sum{index}"
    ones = numpy_helper.from_array(np.ones(3, np.float32), "ones")
    if normalise:
        nodes.append(helper.make_node("InstanceNormalization", [value, "ones", "ones"], ["normalised"]))
        value = "normalised"
    shape = [1, 3, size, size]
    graph = helper.make_graph(
        nodes, "hourglass",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        [weights, ones, numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return clean(model, None, "hourglass")


@pytest.mark.parametrize("halvings", [1, 4, 5, 6])
def test_crops_suit_networks_that_halve_and_double(halvings: int) -> None:
    model = hourglass(halvings, 256)
    picture = {"picture": np.random.default_rng(0).random((1, 3, 256, 256), np.float32)}
    keeper = CropKeeper(model, find_layers(model), budget_macs=2e6, expected=2)
    assert len(list(keeper([picture, picture]))) == 2
    graph = ir.serde.serialize_model(model)
    for value in (*graph.graph.input, *graph.graph.output):  # the walk feeds other sizes than the file's
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.Clear()
    del graph.graph.value_info[:]
    run = runner(ir.serde.deserialize_model(graph), 1)
    for crop in keeper.kept:
        assert crop["picture"].shape[2] < 256
        assert run(crop)[0].shape == crop["picture"].shape


@pytest.mark.parametrize("dear", [False, True])
def test_a_network_that_normalises_pictures_gets_large_crops_where_whole_ones_are_dear(
    dear: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hourglass(1, 256, normalise=True)
    layers = find_layers(model)
    monkeypatch.setattr(crop_support, "_DEAR_MACS", 0 if dear else sum(layer.macs for layer in layers))
    picture = {"picture": np.random.default_rng(0).random((1, 3, 256, 256), np.float32)}
    keeper = CropKeeper(model, layers, budget_macs=1e4, expected=5)
    assert len(list(keeper([picture] * 5))) == 5
    sizes = [crop["picture"].shape for crop in keeper.kept]
    assert sizes == ([(1, 3, 64, 64)] * 5 if dear else [(1, 3, 256, 256)] * 2)
