"""A bias that is a row becomes a bias per output channel; anything else stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.frontend.load import clean

SHAPES = {
    "row": ((1, 4), (4,)),
    "vector": ((4,), (4,)),
    "matrix": ((2, 4), (2, 4)),
    "single": ((1, 1), (1, 1)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_bias(name: str, run: Any) -> None:
    before, after = SHAPES[name]
    random = np.random.default_rng(2)
    x, weight, bias = (random.standard_normal(s).astype(np.float32) for s in ((2, 3), (3, 4), before))
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="linear")],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = clean(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), None, name
    )
    (gemm,) = model.graph
    assert tuple(gemm.inputs[2].const_value.shape) == after
    np.testing.assert_allclose(run(model, x)[0], x @ weight + bias, rtol=0, atol=1e-5)
