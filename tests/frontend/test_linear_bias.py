"""A row added to or inside a Gemm becomes a bias per output; anything else stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.frontend.load import clean

SHAPES = {
    "row": ((1, 4), (4,)),
    "vector": ((4,), (4,)),
    "matrix": ((2, 4), (2, 4)),
    "single": ((1, 1), (1, 1)),
}
ADDED = {  # shape, further attributes of the Gemm, whether it moves in
    "row": ((1, 4), {}, True),
    "vector": ((4,), {}, True),
    "scaled product": ((4,), {"alpha": 0.5}, True),
    "scaled bias": ((4,), {"beta": 0.5}, False),
    "matrix": ((2, 4), {}, False),
    "single": ((1, 1), {}, False),
    "raises the rank": ((1, 2, 4), {}, False),
}


def graph_of(nodes: list[onnx.NodeProto], shape: tuple[int, ...], rank: int = 2) -> onnx.ModelProto:
    random = np.random.default_rng(2)
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1] * (rank - 2) + [2, 4])],
        [
            numpy_helper.from_array(random.standard_normal(size).astype(np.float32), name)
            for name, size in (("w", (3, 4)), ("b", shape))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def operands(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)
    weight, bias = (numpy_helper.to_array(constant) for constant in model.graph.initializer)
    return x, weight, bias


@pytest.mark.parametrize("name", SHAPES)
def test_bias(name: str, run: Any) -> None:
    before, after = SHAPES[name]
    original = graph_of([helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="linear")], before)
    x, weight, bias = operands(original)
    model = clean(original, None, name)
    (gemm,) = model.graph
    assert tuple(gemm.inputs[2].const_value.shape) == after
    np.testing.assert_allclose(run(model, x)[0], x @ weight + bias, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ADDED)
def test_addition_behind(name: str, run: Any) -> None:
    shape, attributes, moves = ADDED[name]
    product = helper.make_node("Gemm", ["x", "w"], ["p"], name="linear", **attributes)
    original = graph_of([product, helper.make_node("Add", ["b", "p"], ["y"])], shape, max(2, len(shape)))
    x, weight, bias = operands(original)
    model = clean(original, None, name)
    assert [node.op_type for node in model.graph] == (["Gemm"] if moves else ["Gemm", "Add"])
    expected = attributes.get("alpha", 1.0) * (x @ weight) + bias
    np.testing.assert_allclose(run(model, x)[0], expected, rtol=0, atol=1e-5)


def test_a_product_that_is_read_twice_keeps_its_addition() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["p"], name="linear"),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("Mul", ["s", "p"], ["y"]),
    ]
    model = clean(graph_of(nodes, (4,)), None, "twice")
    assert [node.op_type for node in model.graph] == ["Gemm", "Add", "Mul"]
