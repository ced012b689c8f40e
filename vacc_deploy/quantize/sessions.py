"""ONNX Runtime sessions of models that are being worked on, of one size or of crops too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy import onnx_session
from vacc_deploy.onnx_constants import constant_of, constant_value

Array = npt.NDArray[Any]
Feed = dict[str, Array]
Run = Callable[[Feed], list[Array]]


def open_session(model: ir.Model, threads: int) -> Any:
    """An ONNX Runtime CPU session of any model that it can run, on so many threads."""
    return onnx_session.open_session(ir.to_proto(model).SerializeToString(), threads)


def without_sizes(model: ir.Model) -> ir.Model:
    """A copy of `model` that states no picture's height or width."""
    clone = model.clone()
    for value in clone.graph.inputs:
        if value.shape is not None and len(value.shape) == 4:
            value.shape = ir.Shape([*value.shape[:2], f"{value.name}_height", f"{value.name}_width"])
    for node in clone.graph:
        for value in node.outputs:
            if value.shape is not None:
                value.shape = ir.Shape([None] * len(value.shape))
    return clone


def runner(model: ir.Model, threads: int, *, any_size: bool = False) -> Run:
    """A function that runs `model` in ONNX Runtime: feed in, outputs in order.

    Args:
        model: Any model that ONNX Runtime can run.
        threads: Threads of ONNX Runtime.
        any_size: Take pictures of any size, for a network that `runs_on_crops`.
    """
    session = open_session(without_sizes(model) if any_size else model, threads)
    return lambda feed: list(session.run(None, feed))


def node_runner(
    model: ir.Model, node: ir.Node, operands: dict[int, Array], threads: int
) -> Callable[[dict[str, Array]], Array]:
    """A function that runs one node in float32 on arrays by input name.

    Args:
        model: The model that the node belongs to, for its opset.
        node: The node.
        operands: Constant operands to use instead of the node's own; an index past the last operand
            appends (a bias).
        threads: Threads of ONNX Runtime.
    """
    values: list[ir.Value | None] = []
    inputs: dict[str, ir.Value] = {}
    held: list[ir.Value] = []
    for index in range(max([len(node.inputs), *(i + 1 for i in operands)])):
        original = node.inputs[index] if index < len(node.inputs) else None
        array = operands.get(index)
        if array is None:
            array = constant_of(original)
        if array is not None:
            constant = constant_value(f"operand{index}", array)
            held.append(constant)
            values.append(constant)
        elif original is None:
            values.append(None)
        else:
            name = str(original.name)
            if name not in inputs:
                kind = ir.TensorType(original.dtype or ir.DataType.FLOAT)
                rank = len(original.shape) if original.shape is not None else 4
                inputs[name] = ir.Value(name=name, shape=ir.Shape([None] * rank), type=kind)
            values.append(inputs[name])
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    copy = ir.node(node.op_type, values, attributes, domain=node.domain, num_outputs=len(node.outputs))
    for index, result in enumerate(copy.outputs):
        result.name, result.dtype = f"result{index}", node.outputs[index].dtype or ir.DataType.FLOAT
    graph = ir.Graph(
        list(inputs.values()),
        copy.outputs[:1],
        nodes=[copy],
        initializers=held,
        opset_imports=dict(model.opset_imports),
    )
    graph.name = "layer"
    session = open_session(ir.Model(graph, ir_version=min(model.ir_version, 10)), threads)
    names = list(inputs)

    def run(arrays: dict[str, Array]) -> Array:
        result: Array = session.run(None, {name: arrays[name] for name in names})[0]
        return result

    return run
