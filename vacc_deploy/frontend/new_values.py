"""Adding constants to a graph, and putting one value in the place of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Register `array` as an initialiser under `name`, made unique if it is taken."""
    unique, suffix = name, 0
    while unique in graph.initializers:
        suffix += 1
        unique = f"{name}_{suffix}"
    data = ir.tensor(np.ascontiguousarray(array), name=unique)
    value = ir.Value(
        name=unique, const_value=data, shape=ir.Shape(array.shape), type=ir.TensorType(data.dtype)
    )
    graph.initializers[unique] = value
    return value


def replace_node(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    """Remove `node`, of one output; `value` takes its output's readers and its name."""
    old = node.outputs[0]
    name = old.name
    ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    value.name = name
