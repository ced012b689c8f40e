"""A constant factor moves into the constants in front of it, and stays where that would change the function.

The simplifier moves factors into a convolution right before or behind them; the cases keep both apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.frontend.load import clean

SHAPE = (1, 4, 6, 6)
Nodes = list[onnx.NodeProto]
node: Callable[..., onnx.NodeProto] = helper.make_node


def conv(source: str, result: str) -> onnx.NodeProto:
    return node("Conv", [source, "w", "b"], [result], pads=[1, 1, 1, 1])


def leaky(source: str, result: str) -> onnx.NodeProto:
    return node("LeakyRelu", [source], [result], alpha=0.2)


@dataclass(frozen=True)
class Case:
    """Nodes from x to y, and how many Mul are left of them."""

    nodes: Nodes
    left: int = 0


def scale(source: str, factor: str = "root") -> onnx.NodeProto:
    return node("Mul", [source, factor], ["y"])


CASES = {
    "behind a convolution": Case([conv("x", "c"), scale("c")]),
    "behind a leaky relu": Case([conv("x", "c"), leaky("c", "a"), scale("a")]),
    "factor first": Case([conv("x", "c"), leaky("c", "a"), node("Mul", ["root", "a"], ["y"])]),
    "behind a prelu": Case([conv("x", "c"), node("PRelu", ["c", "channels"], ["a"]), scale("a")]),
    "transposed": Case(
        [
            node("ConvTranspose", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["a"]),
            scale("a"),
        ]
    ),
    "bias added behind": Case(
        [conv("x", "c"), node("Add", ["channels", "c"], ["s"]), leaky("s", "a"), scale("a")]
    ),
    "subtracted": Case([conv("x", "c"), node("Sub", ["c", "channels"], ["s"]), scale("s")]),
    "two branches": Case(
        [
            conv("x", "c"),
            node("Mul", ["x", "half"], ["n"]),
            node("Concat", ["c", "n"], ["j"], axis=1),
            leaky("j", "a"),
            node("Mul", ["a", "root"], ["m"]),
            node("Conv", ["m", "narrow"], ["y"]),
        ],
        left=1,
    ),
    "modulated": Case([conv("x", "c"), node("Mul", ["c", "style"], ["m"]), scale("m")], left=1),
    "several factors in a row": Case(
        [conv("x", "c"), node("Mul", ["c", "half"], ["h"]), leaky("h", "a"), scale("a")]
    ),
    "negative factor": Case([conv("x", "c"), leaky("c", "a"), scale("a", "negative")], left=1),
    "factor out of float16's range": Case([conv("x", "c"), leaky("c", "a"), scale("a", "huge")], left=1),
    "factor per channel": Case([conv("x", "c"), leaky("c", "a"), scale("a", "channels")], left=1),
    "not homogeneous": Case([conv("x", "c"), node("Sigmoid", ["c"], ["a"]), scale("a")], left=1),
    "read elsewhere": Case(
        [conv("x", "c"), node("Mul", ["c", "root"], ["m"]), node("Add", ["m", "c"], ["y"])], left=1
    ),
    "picture added": Case([conv("x", "c"), node("Add", ["c", "x"], ["s"]), scale("s")], left=1),
    "one branch has no constant": Case(
        [
            conv("x", "c"),
            node("Concat", ["c", "x"], ["j"], axis=1),
            node("Mul", ["j", "root"], ["m"]),
            node("Tanh", ["m"], ["t"]),
            node("Conv", ["t", "narrow"], ["y"]),
        ],
        left=1,
    ),
    "first operand of a product has no constant": Case(
        [
            conv("x", "c"),
            node("Concat", ["c", "x"], ["j"], axis=1),
            conv("x", "d"),
            node("Concat", ["d", "c"], ["k"], axis=1),
            node("Mul", ["j", "k"], ["p"]),
            node("Mul", ["p", "root"], ["m"]),
            node("Tanh", ["m"], ["t"]),
            node("Conv", ["t", "narrow"], ["y"]),
        ],
        left=2,
    ),
}


def model_of(case: Case) -> onnx.ModelProto:
    random = np.random.default_rng(3)
    constants = {
        "w": random.standard_normal((4, 4, 3, 3)),
        "b": random.standard_normal(4),
        "narrow": random.standard_normal((4, 8, 1, 1)),
        "channels": random.uniform(0.1, 0.9, (4, 1, 1)),
        "root": np.array(2**0.5),
        "half": np.array([0.5]),
        "negative": np.array(-1.5),
        "huge": np.array(1e3),
    }
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)]
    used = {name for each in case.nodes for name in each.input}
    if "style" in used:
        inputs.append(helper.make_tensor_value_info("style", TensorProto.FLOAT, (1, 4, 1, 1)))
    graph = helper.make_graph(
        case.nodes,
        "scale",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items() if k in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, feeds)[0]
    return result


@pytest.mark.parametrize("name", CASES)
def test_factor(name: str) -> None:
    case = CASES[name]
    random = np.random.default_rng(4)
    original = model_of(case)
    feeds = {
        value.name: random.standard_normal([d.dim_value for d in value.type.tensor_type.shape.dim]).astype(
            np.float32
        )
        for value in original.graph.input
    }
    expected = run(original, feeds)
    model = clean(model_of(case), None, name)
    assert sum(each.op_type == "Mul" for each in model.graph) == case.left
    np.testing.assert_allclose(run(ir.serde.serialize_model(model), feeds), expected, rtol=1e-5, atol=1e-5)


def test_a_long_chain_is_left_alone() -> None:
    """A file that nests operators without end must not end in a recursion error."""
    chain = [conv("x", "a0"), *(leaky(f"a{i}", f"a{i + 1}") for i in range(2000)), scale("a2000")]
    model = clean(model_of(Case(chain)), None, "chain")
    assert sum(each.op_type == "Mul" for each in model.graph) == 1
