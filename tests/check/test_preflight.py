"""Models are judged before anything is converted: node, reason, rewrite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import TensorProto, helper, save_model
from torch import nn

from vacc_deploy.check import Finding, preflight
from vacc_deploy.check.operators import REFUSALS, SUPPORTED_OPERATORS


def _save(
    path: Path, *nodes: Any, shape: Any = (1, 3, 8, 8), kind: int = TensorProto.FLOAT, opset: int = 17
) -> Finding:
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs)
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)
    finding = Finding(str(path))
    preflight(path, finding)
    return finding


def test_supported_model(tmp_path: Path) -> None:
    finding = _save(tmp_path / "m.onnx", helper.make_node("Relu", ["x"], ["y"]))
    assert finding.status == "ok"
    assert finding.facts == {"operators": {"Relu": 1}, "opset": 17}


@pytest.mark.parametrize("operator", REFUSALS)
def test_every_refusal_has_reason_and_rewrite(operator: str, tmp_path: Path) -> None:
    assert operator not in SUPPORTED_OPERATORS
    nodes = [helper.make_node(operator, ["x"], ["y"], name="bad"), helper.make_node(operator, ["x"], ["z"])]
    (error,) = _save(tmp_path / "m.onnx", *nodes).errors
    why, hint = REFUSALS[operator]
    assert f"{operator} is not supported: node 'bad' and 1 more ({why}); {hint}" in error


def test_foreign_domain(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], domain="com.acme")
    (error,) = _save(tmp_path / "m.onnx", node).errors
    assert "com.acme.Relu is not supported: node 'that makes y'" in error


def test_open_shape_and_types(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    assert not _save(tmp_path / "m.onnx", relu, shape=("n", 3, 8, 8)).warnings
    assert (
        "open shape [1, 3, 'h', '?']" in _save(tmp_path / "m.onnx", relu, shape=(1, 3, "h", None)).warnings[0]
    )
    assert "float64" in _save(tmp_path / "m.onnx", relu, kind=TensorProto.DOUBLE).warnings[0]
    assert "too old" in _save(tmp_path / "m.onnx", relu, opset=6).errors[0]


class _Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)


def test_torchscript(tmp_path: Path) -> None:
    example = torch.zeros(1, 3, 8, 8)
    torch.jit.trace(nn.Conv2d(3, 3, 3), example).save(tmp_path / "good.pt")
    torch.jit.trace(_Noise(), example, check_trace=False).save(tmp_path / "bad.pt")
    good, bad = Finding("good"), Finding("bad")
    preflight(tmp_path / "good.pt", good)
    preflight(tmp_path / "bad.pt", bad)
    assert good.status == "ok"
    assert "_convolution" in str(good.facts) or "conv2d" in str(good.facts)
    assert "randn_like is not supported: __torch__" in bad.errors[0]
