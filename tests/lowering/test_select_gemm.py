"""Matrix products become kernels however their attributes are written."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from vacc_deploy.lowering.graph import GenericStep
from vacc_deploy.lowering.select import select

CASES = {
    "plain": ({}, False, True),
    "beta without a bias scales nothing": ({"beta": 0.0}, False, True),
    "beta with a bias": ({"beta": 0.5}, True, False),
    "alpha": ({"alpha": 2.0}, False, False),
    "transposed input": ({"transA": 1}, False, False),
}


@pytest.mark.parametrize(("attributes", "bias", "ours"), CASES.values(), ids=CASES)
def test_gemm_becomes_a_kernel(attributes: dict[str, float], bias: bool, ours: bool) -> None:
    """Only products that the kernel computes are ours; the others stay with Relax."""
    size = 4
    weight = onnx.numpy_helper.from_array(np.eye(size, dtype=np.float32), "w")
    offset = onnx.numpy_helper.from_array(np.ones(size, np.float32), "b")
    node = onnx.helper.make_node(
        "Gemm", ["x", "w", "b"] if bias else ["x", "w"], ["y"], name="gemm", **attributes
    )
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [size, size]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "product", values[:1], values[1:], [weight, offset])
    model = ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]))
    steps = select(model, "float16").steps
    assert [not isinstance(step, GenericStep) for step in steps] == [ours]
