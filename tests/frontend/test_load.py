"""Any ONNX or TorchScript file becomes one clean static ONNX model that computes the same."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from vacc_deploy.errors import ErrorList, FileError, ModelError
from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.load import clean
from vacc_deploy.frontend.torchscript import convert_file

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Norms(nn.Module):
    """BatchNorm after a convolution, after a transposed one, and on its own after an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2)
        self.up_norm = nn.BatchNorm2d(6)
        self.late_norm = nn.BatchNorm2d(6)
        self.pad = nn.ReflectionPad2d(1)
        self.last = nn.Conv2d(6, 2, 3)
        generator = torch.Generator().manual_seed(3)
        for norm in (self.norm, self.up_norm, self.late_norm):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = self.up_norm(self.up(x))
        return self.last(self.pad(F.leaky_relu(self.late_norm(x + x.flip(3)), 0.2)))


@pytest.fixture(scope="module")
def norms() -> nn.Module:
    torch.manual_seed(1)
    return Norms().eval().requires_grad_(False)


def serialised(model: ir.Model) -> bytes:
    return ir.serde.serialize_model(model).SerializeToString(deterministic=True)


def export_onnx(network: nn.Module, example: torch.Tensor, path: Path, **options: Any) -> Path:
    options = {"dynamo": False, "opset_version": 17, "input_names": ["input"]} | options
    torch.onnx.export(network, (example,), str(path), **options)
    return path


@pytest.fixture
def example() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((1, 3, 16, 12), dtype=np.float32))


@pytest.mark.parametrize("form", ["onnx", "dynamic", "open batch", "opset13", "torchscript"])
def test_every_form_computes_the_same(
    form: str, norms: nn.Module, example: torch.Tensor, tmp_path: Path, run: Any
) -> None:
    path = tmp_path / "net"
    if form == "torchscript":
        torch.jit.trace(norms, example).save(str(path))
    else:
        options: dict[str, Any] = {}
        if form == "dynamic":
            options["dynamic_axes"] = {"input": {0: "n", 2: "h", 3: "w"}}
        if form == "opset13":
            options["opset_version"] = 13
        if form == "open batch":
            options["dynamic_axes"] = {"input": {0: "n"}}
        export_onnx(norms, example, path, **options)
    model = load_model(path, None if form == "open batch" else {"input": (1, 3, 16, 12)})
    (got,) = run(model, example.numpy())
    np.testing.assert_allclose(got, norms(example).numpy(), rtol=0, atol=1e-5)
    kinds = Counter(node.op_type for node in model.graph)
    assert kinds["BatchNormalization"] == 0
    assert kinds["Conv"] == 3  # the late BatchNorm is the depthwise one
    assert kinds["Identity"] == kinds["Constant"] == kinds["Shape"] == 0
    assert model.opset_imports[""] >= 17
    names = [node.name for node in model.graph]
    assert all(names)
    assert len(set(names)) == len(names)
    assert all(value.shape is not None for node in model.graph for value in node.outputs)


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=["half", "double"])
def test_any_precision_is_read_as_float32(
    dtype: torch.dtype, form: str, norms: nn.Module, example: torch.Tensor, tmp_path: Path, run: Any
) -> None:
    network, path = copy.deepcopy(norms).to(dtype), tmp_path / "net"
    if form == "torchscript":
        torch.jit.trace(network, example.to(dtype)).save(str(path))
    else:
        export_onnx(network, example.to(dtype), path)
    model = load_model(path, {"input": (1, 3, 16, 12)})
    values = [*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]
    assert {value.dtype for value in values} <= {ir.DataType.FLOAT, ir.DataType.INT64}
    (got,) = run(model, example.numpy())
    # The weights alone were rounded: better than what the half-precision network itself computes.
    np.testing.assert_allclose(
        got, norms(example).numpy(), rtol=0, atol=4e-3 if dtype == torch.float16 else 1e-5
    )


def test_casts_and_constants_of_other_precisions_follow() -> None:
    half = numpy_helper.from_array(np.float16([0.5]), "half")
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Constant", [], ["c"], value=half),
        helper.make_node("Mul", ["h", "c"], ["m"]),
        helper.make_node("Cast", ["m"], ["y"], to=TensorProto.DOUBLE),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
    y = helper.make_tensor_value_info("y", TensorProto.DOUBLE, (1, 3))
    opset = [helper.make_opsetid("", 17)]
    model = clean(helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opset), None, "m")
    assert [node.op_type for node in model.graph] == ["Mul"]
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT


UNKNOWN = {
    "misspelt": ("", "Convv", "ONNX does not know: Convv (node first and 1 more)"),
    "of a plug-in": ("com.acme", "Conv", "ONNX does not know: com.acme.Conv (node first and 1 more)"),
}


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_operators_are_named_before_anything_else(case: str, opset: int) -> None:
    domain, operator, message = UNKNOWN[case]
    nodes = [
        helper.make_node(operator, ["x"], ["h"], name="first", domain=domain),
        helper.make_node(operator, ["h"], ["y"], name="second", domain=domain),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 8, 8)) for name in "xy"]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.acme", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=opsets)
    with pytest.raises(ModelError, match="export the network with standard operators") as caught:
        clean(model, None, "m.onnx")
    assert message in str(caught.value)


def _with_functions(*bodies: list[str]) -> onnx.ModelProto:
    """A model that calls ``f0`` of its own; function ``f<i>`` calls the operators in ``bodies[i]``."""
    standard, own = helper.make_opsetid("", 17), helper.make_opsetid("own", 1)

    def chain(operators: list[str], first: str, last: str) -> list[onnx.NodeProto]:
        names = [first, *(f"h{index}" for index in range(len(operators) - 1)), last]
        return [
            helper.make_node(name, [names[i]], [names[i + 1]], domain="own" if name.startswith("f") else "")
            for i, name in enumerate(operators)
        ]

    functions = [
        helper.make_function("own", f"f{i}", ["a"], ["b"], chain(body, "a", "b"), [standard, own])
        for i, body in enumerate(bodies)
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in "xy"]
    graph = helper.make_graph(chain(["f0"], "x", "y"), "g", values[:1], values[1:])
    return helper.make_model(graph, functions=functions, opset_imports=[standard, own])


def test_functions_of_the_model_itself_are_inlined() -> None:
    model = clean(_with_functions(["Relu", "f1"], ["Tanh"]), None, "m.onnx")
    assert [node.op_type for node in model.graph] == ["Relu", "Tanh"]


ENDLESS_FUNCTIONS = {
    "a circle": ([["f1"], ["f0"]], "more than 64 levels deep"),
    "ten of ten of ten": ([[f"f{i + 1}"] * 10 for i in range(9)] + [["Relu"]], "more than 25000 nodes"),
}


@pytest.mark.parametrize("case", ENDLESS_FUNCTIONS)
def test_functions_that_grow_without_end_are_refused(case: str) -> None:
    bodies, message = ENDLESS_FUNCTIONS[case]
    with pytest.raises(ModelError, match=message):
        clean(_with_functions(*bodies), None, "m.onnx")


def test_loading_twice_changes_nothing(norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    first = load_model(export_onnx(norms, example, tmp_path / "a.onnx"))
    (tmp_path / "b.onnx").write_bytes(serialised(first))
    assert serialised(load_model(tmp_path / "b.onnx")) == serialised(first)


def test_metadata_survives_and_paths_do_not(norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    path = export_onnx(norms, example, tmp_path / "a.onnx")
    proto = onnx.load(path)
    onnx.helper.set_model_props(proto, {"vdeploy": json.dumps({"recipe": "x"}), "other": "y"})
    proto.graph.node[0].doc_string = "/home/somebody/net.py:12"
    onnx.save(proto, path)
    model = load_model(path)
    assert model.metadata_props["vdeploy"] == '{"recipe": "x"}'
    assert sorted(model.metadata_props) == ["other", "vdeploy"]
    assert b"somebody" not in serialised(model)


def test_layers_are_named_after_their_weights(
    norms: nn.Module, example: torch.Tensor, tmp_path: Path
) -> None:
    torch.jit.trace(norms, example).save(str(tmp_path / "net.pt"))
    convert_file(tmp_path / "net.pt", tmp_path / "net.onnx", {"input": (1, 3, 16, 12)})
    model = load_model(tmp_path / "net.onnx")
    names = {node.name for node in model.graph if node.op_type in ("Conv", "ConvTranspose")}
    assert {"up", "last"} <= names


WRONG_SHAPES = {
    "other-size": ({"input": (1, 3, 8, 8)}, "but [1, 3, 8, 8] is asked for"),
    "other-rank": ({"input": (3, 16, 12)}, "but [3, 16, 12] is asked for"),
    "unknown": ({"input": (1, 3, 0, 12)}, "no static shape"),
    "two": ({"input": (1, 3, 16, 12), "extra": (1,)}, "no input 'extra'"),
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_wrong_shapes_are_named(case: str, norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    shapes, message = WRONG_SHAPES[case]
    path = export_onnx(norms, example, tmp_path / "a.onnx")
    with pytest.raises((ModelError, ErrorList)) as caught:
        load_model(path, shapes)
    assert message in str(caught.value)


def test_dynamic_model_needs_a_shape(norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    path = export_onnx(norms, example, tmp_path / "a.onnx", dynamic_axes={"input": {2: "h", 3: "w"}})
    with pytest.raises(ModelError, match=r"no static shape: \[1, 3, h, w\]"):
        load_model(path)


def test_one_shape_counts_whatever_it_is_called(
    norms: nn.Module, example: torch.Tensor, tmp_path: Path
) -> None:
    path = export_onnx(norms, example, tmp_path / "a.onnx", dynamic_axes={"input": {2: "h", 3: "w"}})
    model = load_model(path, {"images": (1, 3, 16, 12)})
    assert [value.name for value in model.graph.inputs] == ["input"]


def test_torchscript_without_shape_is_an_error(
    norms: nn.Module, example: torch.Tensor, tmp_path: Path
) -> None:
    torch.jit.trace(norms, example).save(str(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match="does not say its input shapes"):
        load_model(tmp_path / "net.pt")


def test_torchscript_that_cannot_run_is_one_error(
    norms: nn.Module, example: torch.Tensor, tmp_path: Path
) -> None:
    torch.jit.trace(norms, example).save(str(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match="cannot be converted"):
        load_model(tmp_path / "net.pt", {"input": (1, 5, 16, 12)})


def test_missing_file() -> None:
    with pytest.raises(FileError, match="no such model file"):
        load_model("/nowhere/net.onnx")


def test_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"these are words")
    with pytest.raises(FileError):
        load_model(tmp_path / "net.onnx")


def test_torchscript_is_told_by_contents(norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    torch.jit.trace(norms, example).save(str(tmp_path / "net.onnx"))
    with pytest.raises(ModelError, match="does not say its input shapes"):
        load_model(tmp_path / "net.onnx")
    torch.save(norms.state_dict(), tmp_path / "state.onnx")
    with pytest.raises(FileError, match="checkpoint of weights"):
        load_model(tmp_path / "state.onnx", {"input": (1, 3, 16, 12)})


def test_conversion_is_repeatable(norms: nn.Module, example: torch.Tensor, tmp_path: Path) -> None:
    torch.jit.trace(norms, example).save(str(tmp_path / "net.pt"))
    for name in ("a.onnx", "b.onnx"):
        convert_file(tmp_path / "net.pt", tmp_path / name, {"x": (1, 3, 16, 12)})
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert clean(onnx.load(tmp_path / "a.onnx"), None, "a").graph.num_nodes() > 0
