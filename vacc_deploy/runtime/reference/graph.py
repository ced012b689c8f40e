"""Run a quantised ONNX network the way every compiled artifact must: the oracle of the whole product.

Groups (`qdq_groups`) run in integers, exactly. Everything else runs in float32 by ONNX Runtime, one
node at a time, and is rounded to float16 after every operator, which is what an fp16 section stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import RunError
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference.fixed_point import dequantize, per_channel, quantize
from vacc_deploy.runtime.reference.integer_ops import run_group
from vacc_deploy.runtime.reference.qdq_groups import Group, codes_of, find_groups

Array = npt.NDArray[Any]


def run_graph(
    model: ir.Model, inputs: Mapping[str, Array], *, keep: frozenset[str] = frozenset()
) -> dict[str, Array]:
    """The outputs of a quantised (or float) network for one input.

    Args:
        model: ``quantized.onnx`` as loaded by onnx-ir, static shapes.
        inputs: One float32 or float16 array per network input; rounded to float16 first.
        keep: Names of further values to return: codes (a QuantizeLinear's result) or float tensors.

    Returns:
        By name: float16 for float values, int8 or uint8 for codes.

    Raises:
        RunError: An input is missing or has the wrong shape.
    """
    runner = _Runner(model)
    for value in model.graph.inputs:
        name = value.name or ""
        if name not in inputs:
            raise RunError(f"input {name!r} is missing", hint=f"the network takes {_names(model)}")
        array = inputs[name]
        if value.shape is not None and array.shape != tuple(value.shape.numpy()):
            raise RunError(f"input {name!r} has shape {array.shape}", hint=f"it should be {value.shape}")
        runner.values[name] = _half(array)
    runner.run()
    wanted = [value.name or "" for value in model.graph.outputs] + sorted(keep)
    return {name: _as_stored(runner.values[name]) for name in wanted}


def _names(model: ir.Model) -> str:
    return ", ".join(str(value.name) for value in model.graph.inputs)


def _half(array: Array) -> Array:
    """float32 values that float16 can hold; other types pass."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def _as_stored(array: Array) -> Array:
    return array.astype(np.float16) if array.dtype.kind == "f" else array


class _Runner:
    """Values by name while the nodes run in order: float32 arrays for floats, codes for codes."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.groups = find_groups(model)
        self.values: dict[str, Array] = {}

    def run(self) -> None:
        inside = {n for g in self.groups.values() for n in (g.activation, g.quantize) if n is not None}
        for node in self.model.graph:
            group = self.groups.get(node)
            if group is not None:
                self._run_group(group)
            elif node.op_type == "QuantizeLinear":
                if node not in inside:
                    self._quantize(node)
            elif node.op_type == "DequantizeLinear":
                self._dequantize(node)
            elif node not in inside:
                self._run_float(node)

    def _run_group(self, group: Group) -> None:
        operands = [
            self.values[codes.name] if codes.constant is None else codes.constant for codes in group.operands
        ]
        result = run_group(group, operands)
        if group.output is None:
            self.values[group.node.outputs[0].name or ""] = result.astype(np.float32)
        else:
            self.values[group.output.name] = result

    def _quantize(self, node: ir.Node) -> None:
        codes = codes_of(node, codes=node.outputs[0])
        x = self._read(node.inputs[0])
        scale = per_channel(codes.scale, x.ndim, codes.axis)
        self.values[codes.name] = quantize(x, scale, codes.zero_point, codes.dtype)

    def _dequantize(self, node: ir.Node) -> None:
        """Only where somebody reads the float value: groups read the codes."""
        result = node.outputs[0]
        if not result.is_graph_output() and all(user in self.groups for user in result.consumers()):
            return
        codes = codes_of(node, codes=node.inputs[0])
        q = self._read(node.inputs[0])
        self.values[result.name or ""] = _half(
            dequantize(q, per_channel(codes.scale, q.ndim, codes.axis), codes.zero_point)
        )

    def _read(self, value: ir.Value | None) -> Array:
        held = constant_of(value)
        if held is not None:
            return held
        return self.values[(value.name if value is not None else "") or ""]

    def _run_float(self, node: ir.Node) -> None:
        import onnxruntime as ort

        feeds = {value.name or "": self._read(value) for value in node.inputs if value is not None}
        model = _single_node_model(self.model, node, feeds)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for value, array in zip(node.outputs, session.run(None, feeds), strict=True):
            self.values[value.name or ""] = _half(array)


def _single_node_model(model: ir.Model, node: ir.Node, feeds: Mapping[str, Array]) -> ir.Model:
    values = {
        name: ir.Value(
            name=name, shape=ir.Shape(a.shape), type=ir.TensorType(ir.DataType.from_numpy(a.dtype))
        )
        for name, a in feeds.items()
    }
    copy = ir.node(
        node.op_type,
        [None if v is None else values[v.name or ""] for v in node.inputs],
        {name: attribute.value for name, attribute in node.attributes.items()},
        domain=node.domain,
        num_outputs=len(node.outputs),
    )
    for result, original in zip(copy.outputs, node.outputs, strict=True):
        result.name, result.type = original.name, original.type or ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        list(values.values()), copy.outputs, nodes=[copy], opset_imports=dict(model.opset_imports), name="n"
    )
    return ir.Model(graph, ir_version=min(model.ir_version, 10))
