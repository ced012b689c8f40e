"""The tables of 256 codes of a quantised network: of a unary operator, and from one scale to another."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference import table
from vacc_deploy.runtime.reference.attribute_of import attribute_of
from vacc_deploy.runtime.reference.qdq_groups import Codes

Array = npt.NDArray[Any]


def unary_table(node: ir.Node, x: Codes, y: Codes) -> Array:
    """The table of a unary operator: (256,), or (C, 256) for a PRelu with one slope per channel."""
    functions: list[table.Function] = []
    if node.op_type == "PRelu":
        slopes = constant_of(node.inputs[1])
        functions = [table.leaky_relu(float(s)) for s in np.asarray(slopes).reshape(-1)]
    else:
        functions = [_unary(node)]
    tables = [_table(function, x, y) for function in functions]
    return tables[0] if len(tables) == 1 else np.stack(tables)


def _unary(node: ir.Node) -> table.Function:
    if node.op_type == "Clip":
        limits = [constant_of(v) for v in (*node.inputs[1:3], None, None)][:2]
        low = -np.inf if limits[0] is None or not limits[0].size else float(limits[0].reshape(()))
        high = np.inf if limits[1] is None or not limits[1].size else float(limits[1].reshape(()))
        return table.clip(low, high)
    if node.op_type == "LeakyRelu":
        return table.leaky_relu(attribute_of(node, "alpha", 0.01))
    if node.op_type == "HardSigmoid":
        return table.hard_sigmoid(attribute_of(node, "alpha", 0.2), attribute_of(node, "beta", 0.5))
    return {"Relu": table.relu, "Sigmoid": table.sigmoid, "Tanh": cast(table.Function, np.tanh)}[node.op_type]


def change_of_scale(x: Codes, y: Codes) -> Array | None:
    """The requantisation table from `x` to `y`, none where they are the same."""
    if (float(x.scale), x.zero_point, x.dtype) == (float(y.scale), y.zero_point, y.dtype):
        return None
    return _table(table.identity, x, y)


def _table(function: table.Function, x: Codes, y: Codes) -> Array:
    return table.build_table(
        function,
        scale=float(x.scale),
        zero_point=x.zero_point,
        dtype=x.dtype,
        output_scale=float(y.scale),
        output_zero_point=y.zero_point,
        output_dtype=y.dtype,
    )
