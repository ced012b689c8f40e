"""Rewrites a Split to one Slice per part, which int8 covers and kernels compute where its parts lie.

Split(x, sizes, axis)  →  Slice(x, 0, a, axis), Slice(x, a, a + b, axis), …
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import onnx_ir as ir

from vacc_deploy.frontend.new_values import add_constant


def split_slices(model: ir.Model) -> int:
    """Rewrite every Split whose parts have known sizes, in place; returns how many."""
    graph = model.graph
    rewritten = 0
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Split" else None
        shapes = [part.shape for part in node.outputs]
        if source is None or source.shape is None or any(s is None or s.is_dynamic() for s in shapes):
            continue
        axis = node.attributes.get_int("axis", 0) % len(source.shape)
        ends = list(accumulate(int(shape.numpy()[axis]) for shape in shapes if shape is not None))
        slices = []
        for index, (part, first, end) in enumerate(zip(node.outputs, [0, *ends], ends, strict=False)):
            bounds = [
                add_constant(graph, f"{node.name}.{role}", np.array([number], np.int64))
                for role, number in (("first", first), ("end", end), ("axis", axis))
            ]
            made = ir.node("Slice", [source, *bounds], name=f"{node.name}.{index}")
            made.outputs[0].shape, made.outputs[0].type = part.shape, part.type
            slices.append(made)
        names = [part.name for part in node.outputs]
        parts = [made.outputs[0] for made in slices]
        ir.convenience.replace_nodes_and_values(graph, node, [node], slices, node.outputs, parts)
        for part, name in zip(parts, names, strict=True):
            part.name = name
        rewritten += 1
    return rewritten
