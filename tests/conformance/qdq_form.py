"""Operators of already quantised models in the form that the product takes: DQ → operator → Q."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

FLOAT_FORM = {"QLinearConv": "Conv", "QLinearMatMul": "MatMul"}


def to_qdq(model: onnx.ModelProto, inputs: list[npt.NDArray[Any]]) -> onnx.ModelProto:
    """A ``QLinearConv`` or ``QLinearMatMul`` model as QDQ; all but the first operand become constants.

    Args:
        model: One node, its operands in ONNX's order: x, scale, zero point, w, scale, zero point, output
            scale, output zero point and the bias.
        inputs: Their arrays.

    Returns:
        A model from x as a float to the output as a float: Q, DQ, the operator, Q, DQ.
    """
    (node,) = model.graph.node
    arrays = {v.name: np.asarray(a) for v, a in zip(model.graph.input, inputs, strict=True)}
    constants = [
        numpy_helper.from_array(array, name) for name, array in arrays.items() if name != node.input[0]
    ]
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = node.input
    per_channel = {"axis": 0} if node.op_type == "QLinearConv" and arrays[w_scale].size > 1 else {}
    nodes = [
        helper.make_node("QuantizeLinear", [x, x_scale, x_zero], ["x.codes"], name="x.q"),
        helper.make_node("DequantizeLinear", ["x.codes", x_scale, x_zero], ["x.real"], name="x"),
        helper.make_node("DequantizeLinear", [w, w_scale, w_zero], ["w.real"], name="w", **per_channel),
    ]
    operands = ["x.real", "w.real"]
    if bias:
        step = (arrays[x_scale] * arrays[w_scale]).astype(np.float32)
        constants.append(numpy_helper.from_array(step, "bias.scale"))
        nodes.append(
            helper.make_node("DequantizeLinear", [bias[0], "bias.scale"], ["b.real"], name="b", axis=0)
        )
        operands.append("b.real")
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    nodes += [
        helper.make_node(FLOAT_FORM[node.op_type], operands, ["y.real"], name="operator", **attributes),
        helper.make_node("QuantizeLinear", ["y.real", y_scale, y_zero], ["y.codes"], name="y.q"),
        helper.make_node("DequantizeLinear", ["y.codes", y_scale, y_zero], [node.output[0]], name="y"),
    ]
    ends = [
        onnx.ValueInfoProto.FromString(value.SerializeToString())
        for value in (model.graph.input[0], model.graph.output[0])
    ]
    for value in ends:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    graph = helper.make_graph(nodes, "qdq", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def real_ends(
    model: onnx.ModelProto, inputs: list[npt.NDArray[Any]], expected: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Input and expected output of `to_qdq`'s form: the codes' float32 values, which are exact."""
    operands = dict(zip(model.graph.node[0].input, inputs, strict=True))
    _, x_scale, x_zero, _, _, _, y_scale, y_zero = list(operands)[:8]
    ends = ((inputs[0], x_scale, x_zero), (expected, y_scale, y_zero))
    source, result = (
        (np.asarray(q).astype(np.float32) - np.float32(operands[zero])) * np.float32(operands[scale])
        for q, scale, zero in ends
    )
    return source, result
