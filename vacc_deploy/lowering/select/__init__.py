"""Partition an ONNX graph: every node becomes part of a step of ours, or a generic step that Relax computes."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.lowering.convert import ConvertStep
from vacc_deploy.lowering.graph import Form, GenericStep, Operand, Step, StepGraph, Value
from vacc_deploy.lowering.select import binary, conv  # noqa: F401 - fill the registry
from vacc_deploy.lowering.select.registry import SELECTORS
from vacc_deploy.lowering.view import GraphView

__all__ = ["select"]


def select(graph: ir.Graph, name: str, storage: str) -> StepGraph:
    """The steps of a float or quantised ONNX graph with static shapes, in execution order.

    A step stands where the last of its nodes stood, so that everything it reads exists by then.
    """
    view = GraphView(graph, storage)
    result = StepGraph(
        name,
        inputs=[view.float_value(value) for value in graph.inputs],
        outputs=[view.float_value(value) for value in graph.outputs],
    )
    placed: list[tuple[int, Step | GenericStep]] = []
    for node in graph:
        if view.is_taken(node) or all(view.is_folded(output) for output in node.outputs):
            continue
        if node.op_type == "DequantizeLinear" and _is_another_look(node, view, result):
            continue
        step = _select_one(node, view)
        placed.append((view.position(node), step))
    placed.sort(key=lambda item: item[0])
    result.steps = [step for _, step in placed]
    return result


def _select_one(node: ir.Node, view: GraphView) -> Step | GenericStep:
    for candidate in SELECTORS.get(node.op_type, []):
        step = candidate(node, view)
        if step is not None:
            return step
    view.take([node])
    if node.op_type == "QuantizeLinear":
        quantization = view.quantization(node)
        source, target = node.inputs[0], node.outputs[0]
        if quantization is not None and source is not None and len(view.shape(source)) in (2, 4):
            assert target.name is not None
            value = Value(target.name, view.shape(source), view.storage, quantization)
            return ConvertStep(view.plain(source), Operand(value, Form.QUANTIZED), (str(node.name),))
    return _generic(node, view)


def _is_another_look(node: ir.Node, view: GraphView, result: StepGraph) -> bool:
    """Record a DequantizeLinear of a plane, which is made only if a step wants its floats."""
    output = node.outputs[0]
    source = view.quantized_input(output)
    if source is None or output.name is None:
        return False
    view.take([node])
    result.dequantized[output.name] = Operand(source, Form.QUANTIZED)
    return True


def _generic(node: ir.Node, view: GraphView) -> GenericStep:
    inputs: dict[str, Operand] = {}
    constants = {}
    for value in node.inputs:
        if value is None or value.name is None:
            continue
        folded = view.dequantized_constant(value)
        if folded is not None:
            constants[value.name] = folded
        else:
            inputs[value.name] = view.plain(value)
    outputs = tuple(view.float_value(value) for value in node.outputs if value.name)
    return GenericStep(node, tuple(inputs.values()), outputs, constants)
