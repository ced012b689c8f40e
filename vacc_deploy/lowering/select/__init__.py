"""Partition an ONNX graph: every node becomes part of a step of ours, or a step that Relax computes."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.lowering.convert import ConvertStep
from vacc_deploy.lowering.graph import GenericStep, Operand, Step, StepGraph
from vacc_deploy.lowering.select.codes import is_plane
from vacc_deploy.lowering.select.refusals import refuse_variant
from vacc_deploy.lowering.select.registry import SELECTORS
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.qdq_groups import codes_of

__all__ = ["select"]


def select(model: ir.Model, storage: str) -> StepGraph:
    """The steps of a float or quantised ONNX model with static shapes, in execution order.

    A step stands where the last of its nodes stood, so that everything it reads exists by then.
    """
    graph = model.graph
    view = GraphView(model, storage)
    result = StepGraph(
        str(graph.name or "main"),
        inputs=[view.float_value(value) for value in graph.inputs],
        outputs=[view.float_value(value) for value in graph.outputs],
    )
    placed: list[tuple[int, Step | GenericStep]] = []
    for node in graph:
        if view.is_taken(node) or all(view.folded(output) is not None for output in node.outputs):
            continue
        if node.op_type == "DequantizeLinear" and _is_another_look(node, view, result):
            continue
        step = _select_one(node, view)
        placed.append((view.position(node), step))
    placed.sort(key=lambda item: item[0])
    result.steps = [step for _, step in placed]
    return result


def _select_one(node: ir.Node, view: GraphView) -> Step | GenericStep:
    """The step of the first selector that has one, a conversion, or one that Relax computes.

    Raises:
        ModelError: Relax would compute this variant of the operator wrongly.
    """
    for candidate in SELECTORS.get(node.op_type, []):
        step = candidate(node, view)
        if step is not None:
            return step
    view.take([node])
    if node.op_type == "QuantizeLinear" and is_plane(node, view):
        source, output = node.inputs[0], node.outputs[0]
        assert source is not None
        coded = view.coded(codes_of(node, codes=output), view.shape(source))
        return ConvertStep(view.plain(source), coded, (str(node.name),))
    refuse_variant(node, view)
    return _generic(node, view)


def _is_another_look(node: ir.Node, view: GraphView, result: StepGraph) -> bool:
    """Record a DequantizeLinear of a plane, which is made only if a step wants its floats."""
    source = node.inputs[0]
    if source is None or not is_plane(node, view):
        return False
    view.take([node])
    result.dequantized[str(node.outputs[0].name)] = view.coded(
        codes_of(node, codes=source), view.shape(source)
    )
    return True


def _generic(node: ir.Node, view: GraphView) -> GenericStep:
    """A node as Relax computes it, on plain tensors."""
    inputs: dict[str, Operand] = {}
    constants = {}
    for value in node.inputs:
        if value is None or value.name is None:
            continue
        folded = view.folded(value)
        if folded is not None:
            constants[value.name] = folded
        else:
            inputs[value.name] = view.plain(value)
    outputs = tuple(view.float_value(value) for value in node.outputs if value.name)
    return GenericStep(node, tuple(inputs.values()), outputs, constants)
