"""Operators that move pixels without computing: they work on codes where scale and zero point stay."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class Moved:
    """Source and result of a data movement, in one form."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...]


def moved_output(node: ir.Node, view: GraphView) -> Moved | None:
    """The operands of a data-moving node: codes where scale and zero point stay, else floats.

    Takes the nodes. None if the input or output is not a picture.
    """
    picture, result = node.inputs[0], node.outputs[0]
    if picture is None or len(view.shape(picture)) != 4 or len(view.shape(result)) != 4:
        return None
    group = view.group(node)
    if group is not None:
        source, output = view.coded_input(group, 0), view.coded_output(group)
        if source.value.quantization == output.value.quantization:
            return Moved(source, output, view.take(view.group_nodes(group)))
        return None
    if view.is_float_picture(picture) and view.is_float_picture(result):
        return Moved(view.float_plane(picture), view.float_plane(result), view.take([node]))
    return None
