"""Attributes of ONNX nodes."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir


def attribute_of(node: ir.Node, name: str, default: Any) -> Any:
    """An attribute's value, `default` where the node does not have it."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value
