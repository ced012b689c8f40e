"""Operators that compile and that no ONNX node test reaches: each in a small network, against its formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conformance.compiled import compile_and_run

Array = npt.NDArray[Any]
X = np.random.default_rng(4).normal(0, 3, (1, 3, 4, 5)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """Nodes from ``x`` to ``y``, constants by name, and what they compute."""

    nodes: list[onnx.NodeProto]
    expected: Callable[[Array], Array]
    constants: dict[str, Array]
    x: Array = field(default_factory=lambda: X)


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=f"/{operator.lower()}", **attributes)


def cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"/cast_{target}", to=to)


def layer_normalization(x: Array) -> Array:
    x = x.astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-5)
    return normal * np.arange(1, 6) + np.arange(5)


CASES = {
    "Cast": Case(
        [cast("x", "whole", TensorProto.INT32), cast("whole", "y", TensorProto.FLOAT)], np.trunc, {}
    ),
    "CastLike": Case(
        [cast("x", "whole", TensorProto.INT32), node("CastLike", "whole like")],
        np.trunc,
        {"like": np.zeros(1, np.float32)},
    ),
    "Constant": Case(
        [
            node("Constant", "", "c", value=numpy_helper.from_array(np.float32([1, 2, 3, 4, 5]))),
            node("Add", "x c"),
        ],
        lambda x: x + np.arange(1, 6),
        {},
    ),
    "ConstantOfShape": Case(
        [
            node("ConstantOfShape", "shape", "c", value=numpy_helper.from_array(np.float32([2.5]))),
            node("Mul", "x c"),
        ],
        lambda x: x * 2.5,
        {"shape": np.array([1, 3, 1, 1])},
    ),
    "Einsum": Case(
        [node("Einsum", "x mix", equation="bchw,cdw->bdwh")],
        lambda x: np.einsum("bchw,cdw->bdwh", x, np.arange(30).reshape(3, 2, 5)),
        {"mix": np.arange(30, dtype=np.float32).reshape(3, 2, 5)},
    ),
    "GlobalLpPool": Case(
        [node("GlobalLpPool", "x", p=2)], lambda x: np.sqrt(np.square(x).sum((2, 3), keepdims=True)), {}
    ),
    "LayerNormalization": Case(
        [node("LayerNormalization", "x scale bias", axis=-1)],
        layer_normalization,
        {"scale": np.arange(1, 6, dtype=np.float32), "bias": np.arange(5, dtype=np.float32)},
    ),
    "Mish": Case([node("Mish", "x")], lambda x: x * np.tanh(np.log1p(np.exp(x.astype(np.float64)))), {}),
    "OneHot": Case(
        [node("OneHot", "x depth values")],
        lambda x: np.where(np.arange(6) == x[..., None], 7.0, -1.0),
        {"depth": np.array(6), "values": np.array([-1, 7], np.float32)},
        np.array([[0, 5, 2, 2]]),
    ),
    "Range": Case(
        [node("Range", "start stop step", "r"), node("Add", "x r")],
        lambda x: x + np.arange(1, 11, 2),
        {name: np.float32(value) for name, value in {"start": 1, "stop": 11, "step": 2}.items()},
    ),
    "ReduceLogSumExp": Case(
        [node("ReduceLogSumExp", "x axes", keepdims=1)],
        lambda x: np.log(np.exp(x.astype(np.float64)).sum((2, 3), keepdims=True)),
        {"axes": np.array([2, 3])},
    ),
    "Shape": Case(
        [node("Shape", "x", "s"), node("Slice", "s begin end", "w"), cast("w", "f", 1), node("Mul", "x f")],
        lambda x: x * 5,
        {"begin": np.array([3]), "end": np.array([4])},
    ),
    "Size": Case([node("Size", "x", "n"), cast("n", "f", 1), node("Div", "x f")], lambda x: x / 60, {}),
}


def model_of(case: Case) -> onnx.ModelProto:
    kind = helper.np_dtype_to_tensor_dtype(case.x.dtype)
    shape = case.expected(case.x).shape
    graph = helper.make_graph(
        case.nodes,
        "one_operator",
        [helper.make_tensor_value_info("x", kind, case.x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in case.constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("name", CASES)
def test_operator_computes_its_formula(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (got,) = compile_and_run(model_of(case), {"x": case.x}, "native", tmp_path)
    np.testing.assert_allclose(got, case.expected(case.x), rtol=1e-5, atol=1e-6)
