"""Refuses operators that ONNX does not know, before anything tries to infer shapes through them."""

from __future__ import annotations

import onnx

from vacc_deploy.errors import ModelError
from vacc_deploy.onnx_declarations import node_label, operator_name

_MOST_NAMED = 5


def require_known_operators(model: onnx.ModelProto, where: str) -> None:
    """Check that every node is an operator of the ONNX standard.

    Args:
        model: The model, with the functions that it defines itself inlined.
        where: Its file, for messages.

    Raises:
        ModelError: Some are of another domain (``com.microsoft``, a plug-in's), or misspelt.
    """
    unknown: dict[str, list[str]] = {}
    for node in model.graph.node:
        operator = operator_name(node)
        if not onnx.defs.has(operator):
            unknown.setdefault(operator, []).append(node_label(node))
    if unknown:
        shown = [
            f"{operator} (node {nodes[0]}" + (f" and {len(nodes) - 1} more)" if len(nodes) > 1 else ")")
            for operator, nodes in list(unknown.items())[:_MOST_NAMED]
        ]
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        raise ModelError(
            "the network has operators that ONNX does not know: " + ", ".join(shown) + more,
            where=where,
            hint="export the network with standard operators, or up to these nodes and do the rest yourself",
        )
