"""A Split becomes Slices: the same parts under the same names, and int8 walks through them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.frontend.load import clean
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.settings import CalibrationSettings

CASES = {
    "channels": ([1, 2, 3], 1),
    "even parts": (None, -1),
    "one part unused": ([4, 2], 1),
}


def splitting(sizes: list[int] | None, axis: int) -> onnx.ModelProto:
    """A convolution of 6 channels whose parts are averaged and added up; the last of two is unused."""
    rng = np.random.default_rng(0)
    constants = [numpy_helper.from_array(rng.normal(size=(6, 3, 3, 3)).astype(np.float32), "w")]
    if sizes is not None:
        constants.append(numpy_helper.from_array(np.array(sizes, np.int64), "sizes"))
    count = 3 if sizes is None else len(sizes)
    used = 1 if count == 2 else count
    parts = [f"part{index}" for index in range(count)]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("Split", ["c", *(["sizes"] if sizes else [])], parts, name="split", axis=axis),
        *(
            helper.make_node("ReduceMean", [part], [f"mean{part}"], name=f"mean{part}", axes=[1])
            for part in parts[:used]
        ),
        helper.make_node("Sum", [f"mean{part}" for part in parts[:used]], ["y"], name="sum"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 12])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6, 12 if sizes else 4])
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("sizes", "axis"), CASES.values(), ids=CASES)
def test_parts_are_slices(sizes: list[int] | None, axis: int, run: Any) -> None:
    model = splitting(sizes, axis)
    x = np.random.default_rng(1).random((1, 3, 6, 12), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    cleaned = clean(model, None, "net.onnx")
    kinds = Counter(node.op_type for node in cleaned.graph)
    assert (kinds["Split"], kinds["Slice"]) == (0, 1 if sizes == [4, 2] else 3)
    (got,) = run(cleaned, x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    table = calibrate(cleaned, [{"x": x}] * 4, CalibrationSettings(threads=1))
    assert table.layers["conv"].precision == "int8"
