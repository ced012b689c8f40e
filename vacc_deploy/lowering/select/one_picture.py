"""Operators of one picture: codes where the reference computes codes, else floats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.select.codes import stored_range
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class OnePicture:
    """What an operator of one picture reads and makes, both in one form.

    Attributes:
        source: The picture.
        output: The result.
        nodes: Names of the nodes that the step covers.
        clamp: Smallest and largest result, a fused activation included: stored codes, or reals.
    """

    source: Operand
    output: Operand
    nodes: tuple[str, ...]
    clamp: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class OnePictureStep:
    """A step that reads one picture.

    Attributes:
        source: The picture.
        output: The result.
        nodes: Names of the ONNX nodes that it covers, the one that it is known by first.
    """

    source: Operand
    output: Operand
    nodes: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The picture."""
        return (self.source,)


def one_picture(node: ir.Node, view: GraphView, *, keeps_scale: bool) -> OnePicture | None:
    """The operands of a node with a picture and one result; takes its nodes.

    Args:
        node: The operator.
        view: The graph.
        keeps_scale: Whether it moves or compares codes without computing, so that scale and zero point of
            source and result must be the same.

    Returns:
        None where the operands are no pictures, or a scale changes that may not.
    """
    picture, result = node.inputs[0], node.outputs[0]
    if picture is None or len(node.outputs) != 1:
        return None
    if len(view.shape(picture)) != 4 or len(view.shape(result)) != 4:
        return None
    group = view.group(node)
    if group is not None:
        source, output = view.coded_input(group, 0), view.coded_output(group)
        if keeps_scale and source.value.quantization != output.value.quantization:
            return None
        return OnePicture(source, output, view.take(view.group_nodes(group)), stored_range(group))
    if view.is_float_picture(picture) and view.is_float_picture(result):
        return OnePicture(view.float_plane(picture), view.float_plane(result), view.take([node]))
    return None
