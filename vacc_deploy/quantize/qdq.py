"""Write a network in standard QDQ form: ``quantized.onnx``.

Before, for a convolution with a ReLU in a symmetric network:

    x ── Conv(w, b) ── Relu ── y

After, when the layer and a reader of `y` run in int8:

    x ── Q ── DQ ── Conv(DQ(int8 w), DQ(int32 b)) ── Relu ── y ── Q ── DQ ──

The pair of a tensor stands once, behind whoever makes it. Layers that stay in float have no pair
around them; what they read is the float tensor where one exists for free (network inputs, results of
float layers), else the dequantised codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.config.suggest import hint_for
from vacc_deploy.errors import DataError
from vacc_deploy.onnx_constants import constant_of, constant_value
from vacc_deploy.quantize.channels.rearrange import rearranged
from vacc_deploy.quantize.digest import model_digest
from vacc_deploy.quantize.layers import Layer, find_layers
from vacc_deploy.quantize.plan import Plan, plan_for
from vacc_deploy.quantize.quantized_constants import QuantizedWeight, quantize_constant, table_weights
from vacc_deploy.quantize.scheme import QuantParams
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]


def quantize(model: ir.Model, table: CalibrationTable) -> ir.Model:
    """`model` with QuantizeLinear and DequantizeLinear wherever `table` asks for int8.

    A pure function: the same model and table give the same bytes when serialised.

    Args:
        model: The float model that was calibrated; it is left as it is.
        table: Thresholds and precisions, edited or not.

    Returns:
        A new model; ``metadata_props`` are kept.

    Raises:
        DataError: The table belongs to another model, names a layer that there is not, or lacks a tensor that
            int8 needs.
    """
    digest = model_digest(model)
    if table.model_digest != digest:
        raise DataError(
            "the calibration table belongs to another model",
            why=f"it was made for {table.model_digest[:12]}…, this model is {digest[:12]}…",
            hint="calibrate again, or compile the model that the table was made for",
        )
    clone = rearranged(model, table).clone()
    layers = find_layers(clone)
    names = {layer.name for layer in layers}
    for name in table.layers:
        if name not in names:
            raise DataError(
                f"the calibration table names a layer {name!r}, which the model has not",
                hint=hint_for(name, names),
            )
    plan = plan_for(layers, table, [v.name or "" for v in clone.graph.outputs])
    _Writer(clone, layers, plan, table).write()
    return clone


class _Writer:
    """One pass over a cloned graph."""

    def __init__(self, model: ir.Model, layers: list[Layer], plan: Plan, table: CalibrationTable) -> None:
        self.graph = model.graph
        self.layers = layers
        self.plan = plan
        self.table = table
        self.values: dict[str, ir.Value] = {}
        for value in (*self.graph.inputs, *(v for node in self.graph for v in node.outputs)):
            if value.name:
                self.values[value.name] = value

    def write(self) -> None:
        int8 = [layer for layer in self.layers if layer.name in self.plan.int8]
        for layer in int8:
            self._constants(layer)
        makers = {layer.output: layer for layer in int8}
        order = [v.name for v in self.graph.inputs] + [layer.output for layer in self.layers]
        for name in order:
            if name in self.plan.quantized:
                self._pair(str(name), makers.get(str(name)), int8)
        for name in list(self.graph.initializers):
            if not self.graph.initializers[name].uses():
                del self.graph.initializers[name]

    def params(self, name: str) -> QuantParams:
        return self.table.params(self.plan.root.get(name, name))

    def _pair(self, name: str, maker: Layer | None, int8: Sequence[Layer]) -> None:
        """Q and DQ behind tensor `name`; all its readers if int8 made it, else only the int8 ones."""
        value = self.values[name]
        params = self.params(name)
        users = list(value.uses())
        scale = self._initializer(f"{name}_scale", np.asarray(params.scale, np.float32))
        zero = self._initializer(f"{name}_zero_point", np.asarray(params.zero_point, params.dtype))
        codes = ir.node("QuantizeLinear", [value, scale, zero], name=f"{name}_QuantizeLinear")
        codes.outputs[0].name = f"{name}_quantized"
        codes.outputs[0].shape, codes.outputs[0].dtype = value.shape, ir.DataType[params.dtype.upper()]
        real = ir.node("DequantizeLinear", [codes.outputs[0], scale, zero], name=f"{name}_DequantizeLinear")
        result = real.outputs[0]
        result.name, result.shape, result.dtype = f"{name}_dequantized", value.shape, ir.DataType.FLOAT
        producer = value.producer()
        if producer is None:
            first = self.graph.node(0)
            self.graph.insert_before(first, [codes, real])
        else:
            self.graph.insert_after(producer, [codes, real])
        readers = {layer.node for layer in int8}
        for node, index in users:
            if maker is not None or node in readers:
                node.replace_input_with(index, result)
        if maker is not None and value.is_graph_output():
            value.name, result.name = f"{name}_float", name
            self.graph.outputs[[v is value for v in self.graph.outputs].index(True)] = result

    def _constants(self, layer: Layer) -> None:
        """Weights, bias and constant operands of one int8 layer, as codes behind a DequantizeLinear."""
        if layer.kind == "mac":
            self._replace_weights(layer, table_weights(layer, self.params(layer.inputs[0]), self.table))
        elif layer.op_type in ("Add", "Sub", "Mul"):
            for index, value in enumerate(layer.node.inputs):
                constant = constant_of(value)
                if constant is not None:
                    codes, params = quantize_constant(constant, self.table.settings["scheme"])
                    name = f"{layer.name}_operand{index}"
                    zero = np.asarray(params.zero_point, params.dtype)
                    scale = np.asarray(params.scale, np.float32)
                    layer.node.replace_input_with(
                        index, self._dequantized(layer, name, codes, scale, zero, None)
                    )

    def _replace_weights(self, layer: Layer, weight: QuantizedWeight) -> None:
        zero = np.zeros(weight.scales.shape, np.int8)
        operand = self._dequantized(
            layer, f"{layer.name}_weight", weight.codes, weight.scales, zero, weight.axis
        )
        layer.node.replace_input_with(1, operand)
        if weight.bias is None:
            return
        bias = self._dequantized(layer, f"{layer.name}_bias", weight.bias, weight.bias_scales, None, 0)
        if len(layer.node.inputs) < 3:
            layer.node.resize_inputs(3)
        layer.node.replace_input_with(2, bias)

    def _dequantized(
        self, layer: Layer, name: str, codes: Array, scale: Array, zero: Array | None, axis: int | None
    ) -> ir.Value:
        inputs = [self._initializer(f"{name}_quantized", codes), self._initializer(f"{name}_scale", scale)]
        if zero is not None:
            inputs.append(self._initializer(f"{name}_zero_point", zero))
        attributes = {} if axis is None else {"axis": axis}
        node = ir.node("DequantizeLinear", inputs, attributes, name=f"{name}_DequantizeLinear")
        result = node.outputs[0]
        result.name, result.dtype, result.shape = (
            f"{name}_dequantized",
            ir.DataType.FLOAT,
            ir.Shape(codes.shape),
        )
        self.graph.insert_before(layer.node, node)
        return result

    def _initializer(self, name: str, array: Array) -> ir.Value:
        value = constant_value(name, array)
        self.graph.register_initializer(value)
        return value
