"""GlobalMaxPool through the whole compiler: no network of the others uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vacc_deploy.cli.app import main
from vacc_deploy.runtime.model import Model


def test_global_max_pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 9, 13))
    peak = helper.make_tensor_value_info("peak", TensorProto.FLOAT, (1, 3, 1, 1))
    graph = helper.make_graph([helper.make_node("GlobalMaxPool", ["image"], ["peak"])], "g", [image], [peak])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "peak.onnx")
    arguments = ["compile", str(tmp_path / "peak.onnx"), "-o", str(tmp_path), "--name", "peak"]
    assert main(arguments) == 0, capsys.readouterr().err
    picture = np.random.default_rng(0).normal(size=(1, 3, 9, 13)).astype(np.float16)
    (got,) = Model(tmp_path / "peak").run([picture])
    np.testing.assert_array_equal(got, picture.max(axis=(2, 3), keepdims=True))
    capsys.readouterr()
