"""Write a small ONNX network node by node, with ONNX's own shape inference after every node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class NetworkBuilder:
    """Nodes, constants and static shapes of a network under construction.

    Args:
        seed: Of the generator that draws weights.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self.readers: dict[str, int] = {}  # activation → how often it is read
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def add_input(self, shape: tuple[int, ...]) -> str:
        """A float32 network input of (N, C, H, W)."""
        name = f"input{len(self.inputs)}"
        self.inputs.append(name)
        self.shapes[name] = shape
        self.readers[name] = 0
        return name

    def constant(self, array: Any) -> str:
        """An initializer's name."""
        name = f"c{len(self._initializers)}"
        self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; returns the name of its result."""
        name = f"{op.lower()}{len(self._nodes)}"
        result = f"{name}.y"
        node = helper.make_node(op, inputs, [result], name=name, **attributes)
        self.shapes[result] = self._shape_of(node)
        self._nodes.append(node)
        self.readers[result] = 0
        for value in inputs:
            if value in self.readers:
                self.readers[value] += 1
        return result

    def _shape_of(self, node: onnx.NodeProto) -> tuple[int, ...]:
        initializers = [self._initializers[name] for name in node.input if name in self._initializers]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])
            for name in dict.fromkeys(node.input)
            if name in self.shapes
        ]
        result = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
        model = _model([node], inputs, [result], initializers)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        return tuple(dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim)

    def model(self, outputs: list[str]) -> ir.Model:
        """The finished network, checked."""
        graph_inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in self.inputs
        ]
        graph_outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in outputs
        ]
        model = _model(self._nodes, graph_inputs, graph_outputs, list(self._initializers.values()))
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        return ir.from_proto(model)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
