"""Adding constants to a graph."""

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
