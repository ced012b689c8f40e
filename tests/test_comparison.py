"""An artifact is judged by the output that holds its picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.build_files import resolve_build
from vacc_deploy.comparison import compare
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.processing import Postprocess
from vacc_deploy.quantize.score import psnr


@pytest.mark.parametrize(
    ("recipe", "exact"),
    [
        ({}, True),
        ({"postprocess": Postprocess(output=0).to_json()}, True),
        ({"postprocess": Postprocess(output=1).to_json()}, False),
    ],
    ids=["no recipe", "the first", "the second"],
)
def test_fidelity_is_of_the_picture(recipe: dict[str, Any], exact: bool, tmp_path: Path) -> None:
    """The first output is the input, which fp16 stores exactly; the second is rounded."""
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 16, 24]) for name in "xab"]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="relu"),
        helper.make_node("Conv", ["x", "w"], ["b"], name="conv", pads=[1] * 4),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(model, {"vdeploy": json.dumps(recipe)})
    onnx.save(model, tmp_path / "net.onnx")
    made = compile_model(resolve_build(str(tmp_path / "net.onnx")), CompileOptions(output=tmp_path))
    result = compare(made.prefix, tmp_path / "net.onnx")
    assert (result.fidelity_db == psnr(weights, weights, 1.0)) == exact
    assert exact or 60 < result.fidelity_db < 100
