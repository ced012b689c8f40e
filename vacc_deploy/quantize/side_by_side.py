"""A float network and its quantised twin, run layer by layer on the same pictures.

At every layer three results are at hand: what the float network computes, what the quantised layer
makes of the float input (*single*), and what it makes of everything quantised before it (*entire*).
Bias correction, the choice of thresholds and `vdeploy diff` are written on top of this walk.

Quantisation is simulated in float32: codes times scale, which is exact up to the rounding of sums.
Only tensors that a later layer reads are kept. The float network, which waits for nothing, is one layer
ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.channels.rearrange import rearranged
from vacc_deploy.quantize.layers import Layer, find_layers
from vacc_deploy.quantize.observe.feeds import input_type
from vacc_deploy.quantize.plan import plan_for
from vacc_deploy.quantize.quantized_constants import output_axis, quantize_constant, table_weights
from vacc_deploy.quantize.scheme import QuantParams
from vacc_deploy.quantize.sessions import node_runner
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry
from vacc_deploy.runtime.reference.fixed_point import dequantize, round_trip

Array = npt.NDArray[Any]
Batch = list[Array]  # one array per picture
T = TypeVar("T")


def fake_quantize(x: Array, params: QuantParams) -> Array:
    """`x` as its codes stand for it, float32."""
    return round_trip(x, params.scale, params.zero_point, params.dtype)


@dataclass(slots=True)
class Step:
    """One layer of the walk; the streams are lists with one array per picture.

    Attributes:
        layer: The layer.
        int8: Whether it runs in int8.
        reference: Its float output from float inputs, before the fused activation.
        float_inputs: Its inputs in the float network.
        result: What the layer makes of the quantised inputs by the table as it will stay, before the fused
            activation; empty until somebody has computed it. The walk does so itself at the latest.

    All are emptied when the walk moves on: what comes next needs their memory.
    """

    layer: Layer
    int8: bool
    reference: Batch
    float_inputs: dict[str, Batch]
    result: Batch


class SideBySide:
    """The walk. Iterate over it; each `Step` is handed out before the quantised stream moves on.

    Args:
        model: Float model.
        table: Thresholds and precisions; entries may be replaced while the walk is under way, they take
            effect for layers that were not handed out yet.
        feeds: A few pictures (or crops), kept in memory.
        threads: Threads of ONNX Runtime, and pictures that are worked on at the same time.
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
        self.coded_stream: dict[str, Batch] = {}
        self._pool = ThreadPoolExecutor(threads)  # its threads end with the walk
        self._rounded: dict[str, tuple[QuantParams, Batch]] = {}  # what the present layer has read so far
        self._makers = {layer.output: layer for layer in self.layers}
        for graph_input in model.graph.inputs:
            name = str(graph_input.name)
            self.coded_stream[name] = [np.asarray(feed[name], input_type(graph_input)) for feed in feeds]
        self._last_reader: dict[str, int] = {}
        for index, layer in enumerate(self.layers):
            for value in layer.node.inputs:
                if value is not None and value.name:
                    self._last_reader[value.name] = index

    def __iter__(self) -> Iterator[Step]:
        for index, step in enumerate(one_ahead(self._float_steps())):
            layer = step.layer
            yield step
            if not step.result:
                step.result = self.run_planned(layer, self.inputs_of(layer))
            self._rounded.clear()
            self.coded_stream[layer.output] = self.in_parallel(partial(activate, layer), step.result)
            self._drop_read(self.coded_stream, index)
            step.reference.clear()
            step.float_inputs.clear()
            step.result.clear()

    def _float_steps(self) -> Iterator[Step]:
        """The steps with what the float network computes; it needs nothing of the quantised one."""
        stream = dict(self.coded_stream)
        for index, layer in enumerate(self.layers):
            inputs = {name: stream[name] for name in layer.inputs}
            reference = self.run_float(layer, inputs)
            stream[layer.output] = self.in_parallel(partial(activate, layer), reference)
            self._drop_read(stream, index)
            yield Step(layer, layer.name in self.plan.int8, reference, inputs, [])

    def _drop_read(self, stream: dict[str, Batch], index: int) -> None:
        """Let go of the tensors that no layer after number `index` reads."""
        for name in [name for name in stream if self._last_reader.get(name, -1) <= index]:
            del stream[name]

    def in_parallel(self, function: Callable[..., T], *arguments: Sequence[Any]) -> list[T]:
        """`function` of each element of `arguments`, several at a time; results in their order.

        A single call is made at once: it may be part of another one that is made in parallel.
        """
        if len(arguments[0]) == 1:
            return [function(*(only for (only,) in arguments))]
        return list(self._pool.map(function, *arguments))

    def with_entry(self, tensor: str, entry: TensorEntry) -> SideBySide:
        """This walk as it stands, with another threshold of `tensor`: to try it, beside others if need be."""
        trial = copy(self)
        trial.table = replace(self.table, tensors={**self.table.tensors, tensor: entry})
        return trial

    def inputs_of(self, layer: Layer, *, only: int | None = None) -> dict[str, Batch]:
        """The layer's inputs in the quantised network as it reads them; of picture number `only` alone."""
        int8 = layer.name in self.plan.int8
        return {name: self.read(name, int8=int8, only=only) for name in layer.inputs}

    def params(self, name: str) -> QuantParams:
        """Scale and zero point of a tensor by the table as it now is."""
        return self.table.params(self.plan.root.get(name, name))

    def read(self, name: str, *, int8: bool, only: int | None = None) -> Batch:
        """Tensor `name` of the quantised network as a reader in int8 or float gets it."""
        chosen = slice(None) if only is None else slice(only, only + 1)
        maker = self._makers.get(name)
        made_in_int8 = maker is not None and maker.name in self.plan.int8
        if name not in self.plan.quantized or not (int8 or made_in_int8):
            return self.coded_stream[name][chosen]
        params = self.params(name)
        known = self._rounded.get(name)
        if known is not None and known[0] == params:
            return known[1][chosen]
        rounded = self.in_parallel(partial(fake_quantize, params=params), self.coded_stream[name][chosen])
        if only is None:
            self._rounded[name] = params, rounded
        return rounded

    def run_planned(self, layer: Layer, inputs: dict[str, Batch]) -> Batch:
        """The form of `layer` that the quantised network has, on `inputs`, before its fused activation."""
        run = self.run_quantized if layer.name in self.plan.int8 else self.run_float
        return run(layer, inputs)

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

        def run_picture(*arrays: Array) -> Array:
            return run(dict(zip(layer.inputs, arrays, strict=True)))

        return self.in_parallel(run_picture, *(stream[name] for name in layer.inputs))


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """`items`, the next one being made, in a thread of its own, while the present one is in use."""
    with ThreadPoolExecutor(1) as maker:
        upcoming = maker.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = maker.submit(next, items, None)
            yield item


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
