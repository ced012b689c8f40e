"""Rewrites ``x[:, i]`` with a constant i, a Gather in ONNX, to a Slice, or to nothing where x is a copy.

    Gather(x, i, axis)                 →  Reshape(Slice(x, i, i+1, axis))
    Gather(Tile(x, n times), i, axis)  →  Reshape(x)        x has size 1 along the axis

StyleGAN2's code copies the style once per layer and then picks the copies one by one.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.frontend.new_values import add_constant


def _sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or value.shape.is_dynamic():
        return None
    return tuple(int(size) for size in value.shape.numpy())


def _one_index(node: ir.Node) -> int | None:
    """The single constant index that a Gather takes, if it takes one."""
    chosen = node.inputs[1].const_value if node.op_type == "Gather" and node.inputs[1] is not None else None
    return int(chosen.numpy().item()) if chosen is not None and chosen.size == 1 else None


def _copied_from(value: ir.Value, axis: int) -> ir.Value:
    """What `value` repeats along `axis` alone; `value` itself if it is no such copy."""
    tile = value.producer()
    if tile is None or tile.op_type != "Tile" or tile.inputs[1] is None or tile.inputs[1].const_value is None:
        return value
    source, times = tile.inputs[0], tile.inputs[1].const_value.numpy().tolist()
    sizes = _sizes(source)
    others_once = all(count == 1 for other, count in enumerate(times) if other != axis)
    return source if source is not None and sizes is not None and sizes[axis] == 1 and others_once else value


def constant_index(model: ir.Model, where: str) -> int:
    """Rewrite every such Gather of `model`, in place; returns how many.  Dead nodes are left to clean up.

    Raises:
        ModelError: An index lies outside its axis.
    """
    graph = model.graph
    rewritten = 0
    for node in list(graph):
        index, data = _one_index(node), node.inputs[0] if node.inputs else None
        sizes, result = _sizes(data), _sizes(node.outputs[0])
        if index is None or data is None or sizes is None or result is None or not sizes:
            continue
        axis = node.attributes.get_int("axis", 0) % len(sizes)
        if not -sizes[axis] <= index < sizes[axis]:
            raise ModelError(
                f"node '{node.name}' picks element {index} of an axis of {sizes[axis]}",
                where=where,
                hint="the file is damaged: export it again",
            )
        source = _copied_from(data, axis)
        created: list[ir.Node] = []
        if _sizes(source) == sizes and sizes[axis] > 1:
            first = index % sizes[axis]
            bounds = [
                add_constant(graph, f"{node.name}.{role}", np.array([number], np.int64))
                for role, number in (("first", first), ("end", first + 1), ("axis", axis))
            ]
            created.append(ir.node("Slice", [source, *bounds], name=f"{node.name}.slice"))
            source = created[0].outputs[0]
            source.name = f"{node.name}.slice.output"
        shape = add_constant(graph, f"{node.name}.shape", np.array(result, np.int64))
        created.append(ir.node("Reshape", [source, shape], name=str(node.name)))
        last = created[-1].outputs[0]
        old = node.outputs[0]
        name, last.shape, last.type = old.name, old.shape, old.type
        ir.convenience.replace_nodes_and_values(graph, node, [node], created, [old], [last])
        last.name = name
        rewritten += 1
    return rewritten
