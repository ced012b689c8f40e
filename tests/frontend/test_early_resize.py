"""Networks of opset 10 and earlier are resized by the rules of their time."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.errors import ModelError
from vacc_deploy.frontend.load import clean

CASES = {
    "enlarged to the nearest": (10, "Resize", "nearest", (1.7, 1.7)),
    "reduced to the nearest": (10, "Resize", "nearest", (0.6, 1.0)),
    "between pixels": (10, "Resize", "linear", (2.0, 0.6)),
    "upsampled": (9, "Upsample", "linear", (2.0, 1.5)),
    "upsampled to the nearest": (9, "Upsample", "nearest", (1.5, 2.0)),
}


def resizing(opset: int, operator: str, mode: str, factors: tuple[float, float]) -> onnx.ModelProto:
    scales = numpy_helper.from_array(np.array([1, 1, *factors], np.float32), "scales")
    node = helper.make_node(operator, ["x", "scales"], ["y"], name="scale", mode=mode)
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 10, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "h", "w"])
    graph = helper.make_graph([node], "g", [source], [result], [scales])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)


@pytest.mark.parametrize(("opset", "operator", "mode", "factors"), CASES.values(), ids=CASES)
def test_early_opsets_compute_as_they_did(
    opset: int, operator: str, mode: str, factors: tuple[float, float], run: Any
) -> None:
    model = resizing(opset, operator, mode, factors)
    x = np.random.default_rng(0).random((1, 2, 10, 8), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    (got,) = run(clean(model, None, "net.onnx"), x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_both_ways_at_once_is_refused() -> None:
    with pytest.raises(ModelError, match="enlarges one side and reduces another") as caught:
        clean(resizing(10, "Resize", "nearest", (2.0, 0.5)), None, "net.onnx")
    assert caught.value.where == "net.onnx, node scale"
