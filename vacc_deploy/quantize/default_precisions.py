"""Which layers run in int8 before anything is measured: those that may, but for a few small delicate ones."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.quantize.layers import Layer, static_shape
from vacc_deploy.quantize.settings import CalibrationSettings, Precision
from vacc_deploy.quantize.table import LayerEntry

_SMALL_SHARE = 0.01
_GATES = ("Sigmoid", "HardSigmoid")


def picture_tensors(model: ir.Model, layers: list[Layer]) -> frozenset[str]:
    """Tensors that hold a picture: clipping them darkens whites and shifts colours.

    Network inputs and outputs, whatever arithmetic or movement layers connect with them, and every
    tensor of at most three channels.
    """
    pictures = {str(v.name) for v in (*model.graph.inputs, *model.graph.outputs)}
    for layer in layers:
        shape = layer.node.outputs[0].shape
        if shape is not None and len(shape) == 4 and isinstance(shape[1], int) and shape[1] <= 3:
            pictures.add(layer.output)
    while True:
        linked = {
            name
            for layer in layers
            if layer.kind in ("arithmetic", "movement") and layer.op_type != "Concat"
            for name in (*layer.inputs, layer.output)
            if pictures & {layer.output}
        }
        if linked <= pictures:
            return frozenset(pictures)
        pictures |= linked


def layer_entries(
    layers: list[Layer], settings: CalibrationSettings, pictures: frozenset[str]
) -> dict[str, LayerEntry]:
    """The table's layers before any search: unsupported, chosen by the user, or int8.

    With pictures protected, a convolution or matrix product that reads a picture or makes one, and costs
    at most 1 % of the multiply-accumulates, stays in fp16: eight bits of the picture itself, and rounded
    weights right before the result, are what costs most (LESRCNN x2 loses 0.14 dB with the last
    convolution in int8 and 0.06 dB without, VDSR 0.4 dB of its 0.6 to its int8 input). So does one that
    makes a single vector: its few numbers steer whole channels (GPEN-256 has 31.1 dB fidelity with styles
    and demodulation in int8, and 33.0 without). So do gates, whose error scales everything that they let
    through, and sums of two tensors: in int8 both summands are rounded to codes before they are added and
    the sum after it, block after block of a residual network (LESRCNN x2 loses 0.09 dB with its sums in int8
    and 0.045 without). What else has no multiply-accumulates follows its readers: see `plan`.
    """
    total = max(sum(layer.macs for layer in layers), 1)
    gates = gate_layers(layers, _SMALL_SHARE * total) if settings.protect_images else frozenset()
    entries = {}
    for layer in layers:
        precision: Precision
        choice = settings.choices.get(layer.name)
        share = layer.macs / total
        if layer.why_float is not None:
            precision, why = "fp16", f"unsupported: {layer.why_float}"
        elif choice is not None:
            precision, why = choice.precision, choice.why
        elif share <= _SMALL_SHARE and (delicate := _delicate(layer, pictures, gates)):
            precision, why = "fp16", f"default: {delicate}, {100 * share:.2f} % of the MACs"
        else:
            precision, why = "int8", "default"
        entries[layer.name] = LayerEntry(layer.op_type, precision, why, layer.macs)
    return entries


def _delicate(layer: Layer, pictures: frozenset[str], gates: frozenset[str]) -> str:
    """Why a layer with few multiply-accumulates stays in fp16; empty if it may run in int8."""
    if layer.name in gates:
        return "makes a gate"
    if not pictures:
        return ""
    if layer.op_type == "Add" and len(layer.inputs) == 2 and layer.output not in pictures:
        return "adds two tensors"
    if layer.kind != "mac":
        return ""
    if pictures & {*layer.inputs}:
        return "reads the picture"
    if layer.output in pictures:
        return "makes the picture"
    shape = static_shape(layer.node.outputs[0])
    return "makes a vector" if len(shape) == 2 and shape[0] == 1 else ""


def gate_layers(layers: list[Layer], most_macs: float) -> frozenset[str]:
    """Names of the sigmoids behind layers of at most `most_macs` multiply-accumulates, and of those layers.

    An attention branch ends so: in SPARNet a convolution to one channel, 0.00 % of the multiply-accumulates.
    """
    makers = {layer.output: layer for layer in layers if layer.kind == "mac" and layer.macs <= most_macs}
    return frozenset(
        name
        for layer in layers
        if layer.kind == "table" and layer.op_type in _GATES and layer.inputs[0] in makers
        for name in (layer.name, makers[layer.inputs[0]].name)
    )
