"""One ONNX node as a model of its own, for Relax's importer."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from vacc_deploy.lowering.graph import GenericStep, Value


def single_node_model(step: GenericStep) -> onnx.ModelProto:
    """One ONNX node as a model whose float inputs and outputs have the storage type.

    ::

        x (float16) ─ Cast ─► op in float32 ─ Cast ─► y (float16)      one rounding per operator
    """
    node = step.node
    operands = {operand.value.name: operand.value for operand in step.inputs}
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    names: list[str] = []
    declared: set[str] = set()
    for value in node.inputs:
        if value is None:
            names.append("")
        elif value.name in operands:
            stored = operands[value.name]
            names.append(_input_name(stored, nodes, declared))
        else:
            names.append(value.name)
            if value.name not in declared:
                initializers.append(onnx.numpy_helper.from_array(step.constants[value.name], value.name))
        declared.add(names[-1])
    attributes = [ir.to_proto(attribute) for attribute in node.attributes.values()]
    inner = onnx.helper.make_node(node.op_type, names, [], name=node.name, domain=node.domain)
    inner.attribute.extend(attributes)
    kept = {value.name: value for value in step.outputs}
    casts = []
    outputs = []
    for value in node.outputs:
        if value.name in kept and kept[value.name].dtype == "float16":
            inner.output.append(f"{value.name}.float32")
            casts.append(_cast(f"{value.name}.float32", value.name, onnx.TensorProto.FLOAT16))
        else:
            inner.output.append(value.name)
        if value.name in kept:
            outputs.append(_info(kept[value.name]))
    inputs = [_info(value) for value in operands.values()]
    graph = onnx.helper.make_graph([*nodes, inner, *casts], "generic", inputs, outputs, initializers)
    version = node.version or node.graph.opset_imports.get(node.domain, 18)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])


def _input_name(value: Value, nodes: list[onnx.NodeProto], declared: set[str]) -> str:
    if value.dtype != "float16":
        return value.name
    name = f"{value.name}.float32"
    if name not in declared:
        nodes.append(_cast(value.name, name, onnx.TensorProto.FLOAT))
    return name


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [target], to=to)


def _info(value: Value) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return onnx.helper.make_tensor_value_info(value.name, element, value.shape)
