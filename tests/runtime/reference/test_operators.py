"""Operators from codes to codes against ONNX Runtime's float operator on what the codes stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.runtime.reference.fixed_point import dequantize, quantize
from vacc_deploy.runtime.reference.graph import run_graph

SHAPE = (2, 4, 6, 8)
X_SCALE, X_ZERO = np.float32(2**-6), 100  # powers of two: float16 holds what the codes stand for


@dataclass(frozen=True)
class Case:
    """An operator on one tensor of codes.

    Attributes:
        op: ONNX operator.
        constants: Its further operands; "" for one that is left out.
        attributes: Its attributes.
        twice: Whether the tensor is the second operand, too.
        scale: Of the result; that of the input for operators that move codes.
        zero: Code of 0 of the result.
    """

    op: str
    constants: tuple[Any, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    twice: bool = False
    scale: float = float(X_SCALE)
    zero: int = X_ZERO


def window(kernel, strides=(1, 1), pads=(0, 0, 0, 0), **more):
    return {"kernel_shape": list(kernel), "strides": list(strides), "pads": list(pads), **more}


def resize(mode, coordinates, scales=(1, 1, 2, 2), **more):
    constants = ("", np.array(scales, np.float32))
    return Case("Resize", constants, {"mode": mode, "coordinate_transformation_mode": coordinates, **more})


def padded(mode, amounts=(0, 0, 1, 2, 0, 0, 2, 1)):
    return Case("Pad", (np.array(amounts, np.int64),), {"mode": mode})


def bounds(*numbers):
    return tuple(np.array(number, np.int64) for number in numbers)


MOVED = {
    "pixel shuffle, DCR": Case("DepthToSpace", (), {"blocksize": 2, "mode": "DCR"}),
    "pixel shuffle, CRD": Case("DepthToSpace", (), {"blocksize": 2, "mode": "CRD"}),
    "pixel unshuffle": Case("SpaceToDepth", (), {"blocksize": 2}),
    "maximum": Case("MaxPool", (), window((3, 3), (2, 2), (1, 1, 1, 1))),
    "maximum, last windows cut off": Case("MaxPool", (), window((3, 3), (2, 2), ceil_mode=1)),
    "maximum, dilated": Case("MaxPool", (), window((2, 2), dilations=[2, 3])),
    "zeros around it": padded("constant"),
    "reflected": padded("reflect"),
    "edges repeated": padded("edge"),
    "axes swapped": Case("Transpose", (), {"perm": [0, 1, 3, 2]}),
    "axes reversed": Case("Transpose"),
    "a part": Case("Slice", bounds([1, 2], [5, 8], [2, 3])),
    "every other one, backwards": Case("Slice", bounds([7], [-9], [3], [-2])),
    "nearest, half pixels": resize("nearest", "half_pixel"),
    "nearest, downwards": resize("nearest", "asymmetric", (1, 1, 0.5, 0.5), nearest_mode="floor"),
    "nearest, corners": resize("nearest", "align_corners", (1, 1, 1.5, 1.5), nearest_mode="ceil"),
    "another shape": Case("Reshape", (np.array([2, 8, 3, 8], np.int64),)),
}

COMPUTED = {
    "sum with itself": Case("Add", twice=True, scale=2**-5, zero=99),
    "square": Case("Mul", twice=True, scale=2**-5, zero=17),
    "channels twice": Case("Concat", (), {"axis": 1}, twice=True, scale=2**-5.5, zero=88),
    "average": Case("AveragePool", (), window((3, 3), (2, 1), (1, 1, 1, 1)), scale=2**-6.5),
    "average, with the border": Case(
        "AveragePool", (), window((3, 3), (1, 1), (1, 1, 1, 1), count_include_pad=1), scale=2**-6.5
    ),
    "average of all": Case("GlobalAveragePool", scale=2**-7, zero=60),
    "bilinear, half pixels": resize("linear", "half_pixel"),
    "bilinear, corners": resize("linear", "align_corners", (1, 1, 1.5, 2)),
    "bilinear, downwards": resize("linear", "asymmetric", (1, 1, 0.5, 0.75)),
    "bilinear, as PyTorch": resize("linear", "pytorch_half_pixel"),
    "sigmoid": Case("Sigmoid", scale=2**-8, zero=0),
    "tanh": Case("Tanh", scale=2**-7, zero=128),
    "hard sigmoid": Case("HardSigmoid", (), {"alpha": 0.3, "beta": 0.4}, scale=2**-8, zero=0),
    "leaky": Case("LeakyRelu", (), {"alpha": 0.2}, zero=40),
    "positive part": Case("Relu", zero=0),
    "clipped": Case("Clip", (np.float32(-0.5), np.float32(0.75)), scale=2**-7, zero=70),
    "a slope per channel": Case(
        "PRelu", (np.array([0.1, 0.5, -0.2, 2.0], np.float32).reshape(4, 1, 1),), zero=90
    ),
}


def build(case: Case, *, coded: bool) -> onnx.ModelProto:
    """x → operator → y, with Q and DQ around it or without."""
    constants, nodes = {}, []
    x = "x"
    if coded:
        constants |= {"xs": X_SCALE, "xz": np.uint8(X_ZERO)}
        constants |= {"ys": np.float32(case.scale), "yz": np.uint8(case.zero)}
        nodes.append(helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "x.q"))
        nodes.append(helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "x.dq"))
        x = "xd"
    operands = [x, x] if case.twice else [x]
    for index, value in enumerate(case.constants):
        operands.append("" if isinstance(value, str) else f"c{index}")
        if operands[-1]:
            constants[operands[-1]] = value
    nodes.append(helper.make_node(case.op, operands, ["r" if coded else "y"], "operator", **case.attributes))
    if coded:
        nodes.append(helper.make_node("QuantizeLinear", ["r", "ys", "yz"], ["yq"], "y.q"))
        nodes.append(helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"], "y.dq"))
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def codes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The codes of the reference, and those of ONNX Runtime's float result."""
    given = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    x = dequantize(given, X_SCALE, X_ZERO)
    ours = run_graph(ir.from_proto(build(case, coded=True)), {"x": x}, keep=frozenset({"yq"}))["yq"]
    session = ort.InferenceSession(build(case, coded=False).SerializeToString())
    theirs = quantize(session.run(None, {"x": x})[0], np.float32(case.scale), case.zero, "uint8")
    return ours.astype(int), theirs.astype(int)


@pytest.mark.parametrize("name", MOVED)
def test_codes_are_only_moved(name: str) -> None:
    ours, theirs = codes(MOVED[name])
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", COMPUTED)
def test_codes_are_computed(name: str) -> None:
    """A step apart at most: ours rounds the exact result once, theirs what float32 makes of it."""
    ours, theirs = codes(COMPUTED[name])
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
    assert np.mean(ours != theirs) < 0.02
    assert np.unique(theirs).size >= 5
