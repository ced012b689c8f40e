"""Which selector looks at which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from vacc_deploy.lowering.graph import Step
from vacc_deploy.lowering.view import GraphView

Selector = Callable[[ir.Node, GraphView], Step | None]
"""Looks at a node and its surroundings; returns the step that computes it and marks the nodes that the
step covers as taken, or returns None to leave the node to Relax."""

SELECTORS: dict[str, list[Selector]] = {}


def selector(*operators: str, ahead: bool = False) -> Callable[[Selector], Selector]:
    """Register a selector for ONNX operators; those registered first are asked first.

    Args:
        operators: Of the nodes that it looks at.
        ahead: Whether it is asked before those that were registered earlier.
    """

    def register(function: Selector) -> Selector:
        for operator in operators:
            asked = SELECTORS.setdefault(operator, [])
            asked.insert(0 if ahead else len(asked), function)
        return function

    return register
