"""A float network and its quantised twin, run layer by layer on the same pictures.

At every layer three results are at hand: what the float network computes, what the quantised layer
makes of the float input (*single*), and what it makes of everything quantised before it (*entire*).
Bias correction, the choice of thresholds and `vdeploy diff` are written on top of this walk.

Quantisation is simulated in float32: codes times scale, which is exact up to the rounding of sums.
Only tensors that a later layer reads are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.channels.rearrange import rearranged
from vacc_deploy.quantize.int8_support import constant_of
from vacc_deploy.quantize.layers import Layer, find_layers
from vacc_deploy.quantize.qdq import plan_for
from vacc_deploy.quantize.quantized_constants import output_axis, quantize_constant, table_weights
from vacc_deploy.quantize.scheme import QuantParams, quant_params
from vacc_deploy.quantize.sessions import open_session
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.runtime.reference.fixed_point import dequantize, quantize

Array = npt.NDArray[Any]
Batch = list[Array]  # one array per picture


def fake_quantize(x: Array, params: QuantParams) -> Array:
    """`x` as its codes stand for it, float32."""
    codes = quantize(x, params.scale, params.zero_point, params.dtype)
    return dequantize(codes, params.scale, params.zero_point)


@dataclass(slots=True)
class Step:
    """One layer of the walk; the streams are lists with one array per picture.

    Attributes:
        layer: The layer.
        int8: Whether it runs in int8.
        reference: Its float output from float inputs, before the fused activation.
        float_inputs: Its inputs in the float network.

    Both are emptied when the walk moves on: what comes next needs their memory.
    """

    layer: Layer
    int8: bool
    reference: Batch
    float_inputs: dict[str, Batch]


class SideBySide:
    """The walk. Iterate over it; each `Step` is handed out before the quantised stream moves on.

    Args:
        model: Float model.
        table: Thresholds and precisions; entries may be replaced while the walk is under way, they take
            effect for layers that were not handed out yet.
        feeds: A few pictures (or crops), kept in memory.
        threads: Threads of ONNX Runtime.
    """

    def __init__(
        self,
        model: ir.Model,
        table: CalibrationTable,
        feeds: Sequence[dict[str, Array]],
        *,
        threads: int = 2,
    ) -> None:
        self.model = rearranged(model, table)
        self.table = table
        self.threads = threads
        self.layers = find_layers(self.model)
        self.plan = plan_for(self.layers, table, [str(v.name) for v in model.graph.outputs])
        self.float_stream: dict[str, Batch] = {}
        self.coded_stream: dict[str, Batch] = {}
        self._makers = {layer.output: layer for layer in self.layers}
        for graph_input in model.graph.inputs:
            name = str(graph_input.name)
            self.float_stream[name] = [np.asarray(feed[name], np.float32) for feed in feeds]
            self.coded_stream[name] = self.float_stream[name]
        self._last_reader: dict[str, int] = {}
        for index, layer in enumerate(self.layers):
            for value in layer.node.inputs:
                if value is not None and value.name:
                    self._last_reader[value.name] = index

    def __iter__(self) -> Iterator[Step]:
        outputs = {str(v.name) for v in self.model.graph.outputs}
        for index, layer in enumerate(self.layers):
            int8 = layer.name in self.plan.int8
            step = Step(
                layer,
                int8,
                self._run(layer, self.float_stream, None),
                {name: self.float_stream[name] for name in layer.inputs},
            )
            yield step
            inputs = self.inputs_of(layer)
            coded = self.run_quantized(layer, inputs) if int8 else self._run(layer, inputs, None)
            self.float_stream[layer.output] = [activate(layer, x) for x in step.reference]
            self.coded_stream[layer.output] = [activate(layer, x) for x in coded]
            for name in [n for n in self.float_stream if n not in outputs]:
                if self._last_reader.get(name, -1) <= index:
                    del self.float_stream[name], self.coded_stream[name]
            step.reference.clear()
            step.float_inputs.clear()
            del inputs, coded

    def inputs_of(self, layer: Layer, limit: int | None = None) -> dict[str, Batch]:
        """The layer's inputs in the quantised network as it reads them; of the first `limit` pictures."""
        return {
            name: self.read(name, int8=layer.name in self.plan.int8, limit=limit) for name in layer.inputs
        }

    def params(self, name: str) -> QuantParams:
        """Scale and zero point of a tensor by the table as it now is."""
        entry = self.table.tensors[self.plan.root.get(name, name)]
        return quant_params(entry.kept, self.table.settings["scheme"])

    def read(self, name: str, *, int8: bool, limit: int | None = None) -> Batch:
        """Tensor `name` of the quantised network as a reader in int8 or float gets it."""
        maker = self._makers.get(name)
        made_in_int8 = maker is not None and maker.name in self.plan.int8
        if name in self.plan.quantized and (int8 or made_in_int8):
            params = self.params(name)
            return [fake_quantize(x, params) for x in self.coded_stream[name][:limit]]
        return self.coded_stream[name][:limit]

    def run_quantized(self, layer: Layer, inputs: dict[str, Batch]) -> Batch:
        """The int8 form of `layer` on `inputs`: float32 values before its fused activation."""
        return self._run(layer, inputs, self.constants(layer))

    def constants(self, layer: Layer) -> dict[int, Array]:
        """Operand number → the value that its codes stand for, for the constant operands of an int8 layer."""
        settings = self.table.settings
        if layer.kind == "mac":
            weight = table_weights(layer, self.params(layer.inputs[0]), self.table)
            shape = [1] * weight.codes.ndim
            shape[output_axis(layer.node)] = -1
            operands = {1: weight.codes.astype(np.float32) * weight.scales.reshape(shape)}
            if weight.bias is not None:
                operands[2] = weight.bias.astype(np.float32) * weight.bias_scales
            return operands
        if layer.op_type not in ("Add", "Sub", "Mul"):
            return {}
        operands = {}
        for index, value in enumerate(layer.node.inputs):
            held = constant_of(value)
            if held is not None:
                codes, params = quantize_constant(held, settings["scheme"])
                operands[index] = dequantize(codes, params.scale, params.zero_point)
        return operands

    def run_float(self, layer: Layer, inputs: dict[str, Batch]) -> Batch:
        """The float form of `layer` on `inputs`, before its fused activation."""
        return self._run(layer, inputs, None)

    def _run(self, layer: Layer, stream: dict[str, Batch], operands: dict[int, Array] | None) -> Batch:
        run = node_runner(self.model, layer.node, operands or {}, self.threads)
        count = len(stream[layer.inputs[0]]) if layer.inputs else 0
        return [run({name: stream[name][i] for name in layer.inputs}) for i in range(count)]


def activate(layer: Layer, x: Array) -> Array:
    """The fused Relu or Clip of `layer` applied to `x`."""
    if layer.activation is None:
        return x
    if layer.activation.op_type == "Relu":
        return np.maximum(x, 0)
    low, high = [constant_of(v) for v in (*layer.activation.inputs[1:3], None, None)][:2]
    return np.clip(
        x,
        -np.inf if low is None or not low.size else low.reshape(()),
        np.inf if high is None or not high.size else high.reshape(()),
    ).astype(np.float32)


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
            constant = ir.Value(name=f"operand{index}", const_value=ir.tensor(array, name=f"operand{index}"))
            constant.shape, constant.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
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
