"""A digest of what a network computes: its nodes, weights and interface, not its metadata."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import onnx_ir as ir


def model_digest(model: ir.Model) -> str:
    """sha256 over the graph of `model` in order: names, operators, attributes, weights, shapes.

    Producer, doc strings and metadata do not enter, so re-exporting an unchanged network keeps it.
    """
    sha = hashlib.sha256()

    def put(*items: Any) -> None:
        sha.update(json.dumps(items, ensure_ascii=False, default=str).encode() + b"\n")

    graph = model.graph
    put("opset", sorted(model.opset_imports.items()))
    for role, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            put(role, value.name, str(value.dtype), str(value.shape))
    for name in sorted(graph.initializers):
        tensor = graph.initializers[name].const_value
        if tensor is None:
            continue
        put("weight", name, str(tensor.dtype), list(tensor.shape.numpy()))
        sha.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for node in graph:
        put("node", node.domain, node.op_type, node.name)
        put([None if v is None else v.name for v in node.inputs], [v.name for v in node.outputs])
        for key in sorted(node.attributes):
            attribute = node.attributes[key]
            content: Any = attribute.value
            if isinstance(content, ir.TensorProtocol):
                sha.update(np.ascontiguousarray(content.numpy()).tobytes())
                content = [str(content.dtype), list(content.shape.numpy())]
            put(key, content if isinstance(content, str | int | float) else [str(item) for item in content])
    return sha.hexdigest()
