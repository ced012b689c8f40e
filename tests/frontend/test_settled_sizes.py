"""A Resize whose size PyTorch and the ONNX standard round differently is refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.errors import ModelError
from vacc_deploy.frontend.load import clean


def resizing(height: int, scale: float) -> onnx.ModelProto:
    scales = numpy_helper.from_array(np.array([1, 1, scale, 1], np.float32), "scales")
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], name="up", mode="nearest")
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, height, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "height", 8])
    graph = helper.make_graph([node], "g", [source], [result], [scales])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_two_opinions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"10 pixels times 1\.3 are 12 in ONNX and 13 in PyTorch") as caught:
        clean(resizing(10, 1.3), None, "net.onnx")
    assert caught.value.where == "net.onnx, node up"


@pytest.mark.parametrize(("height", "scale", "expected"), [(10, 2.0, 20), (10, 1.25, 12), (9, 1.3, 11)])
def test_one_opinion_is_kept(height: int, scale: float, expected: int) -> None:
    model = clean(resizing(height, scale), None, "net.onnx")
    assert model.graph.outputs[0].shape.numpy()[2] == expected
