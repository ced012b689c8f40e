"""Constants of an onnx_ir graph: reading one, and making one."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[Any]


def constant_of(value: ir.Value | None) -> Array | None:
    """The array behind `value` if it is an initialiser or a Constant node's, else None."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def constant_value(name: str, array: Array) -> ir.Value:
    """A value that holds `array`, of its shape and type; a graph has to register it as an initialiser."""
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    return value
