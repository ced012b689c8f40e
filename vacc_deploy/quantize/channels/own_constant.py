"""Give one node a constant operand of its own, in place of one that it may share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_value

Array = npt.NDArray[Any]


def own_constant(graph: ir.Graph, node: ir.Node, index: int, array: Array, purpose: str) -> None:
    """Make `array`, as float32, operand `index` of `node`, and of no other node.

    Args:
        graph: The graph that holds `node`.
        node: The node.
        index: Which operand; one past the last appends it.
        array: The new constant.
        purpose: Part of its name; a second constant for the same purpose takes the place of the first.
    """
    name = f"{node.name}_{purpose}{index}"
    value = constant_value(name, array.astype(np.float32))
    if name in graph.initializers:
        node.replace_input_with(index, None)
        del graph.initializers[name]
    graph.register_initializer(value)
    if index == len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
