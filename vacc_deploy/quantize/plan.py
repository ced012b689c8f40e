"""Which layers run in int8 and which tensors carry codes, worked out from what each layer asks for.

Rules:

1. A layer that is asked to stay in fp16, or that int8 does not cover, runs in float.
2. A tensor carries codes when a layer that runs in int8 reads it.
3. A convolution or matrix product in int8 whose result nobody reads as codes hands out fp16 straight
   from its accumulators.
4. Any other layer whose result nobody reads as codes runs in float: int8 would only cost accuracy.
5. So does a layer whose operands are all at hand in fp16, where codes of them would be rounded once more:
   arithmetic or a table one of whose operands was never codes (an operator without an int8 form made it, or
   another layer by this rule), and a table with several readers, all of which would read the error. The
   LeakyRelu behind an InstanceNormalization is one, so is whatever scales, shifts and activates GPEN's
   convolutions.
6. Movement layers follow their readers, and share one scale with what they move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.table import CalibrationTable


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome.

    Attributes:
        int8: Names of the layers that run in int8.
        quantized: Names of the tensors that carry codes.
        why_float: For every layer that runs in float, the reason.
        root: For every tensor, the tensor whose scale it uses (itself, unless a movement layer made it).
    """

    int8: frozenset[str]
    quantized: frozenset[str]
    why_float: Mapping[str, str]
    root: Mapping[str, str]


def plan_for(layers: list[Layer], table: CalibrationTable, outputs: Sequence[str]) -> Plan:
    """The plan that `table` implies for `layers` of a network with these output names."""
    keep_float = {name: entry.why for name, entry in table.layers.items() if entry.precision == "fp16"}
    coded = frozenset(outputs) if table.settings.get("coded_outputs") else frozenset()
    makers = {layer.output for layer in layers if layer.why_float is None}
    return make_plan(layers, keep_float, coded_outputs=coded & makers)


def make_plan(
    layers: list[Layer], keep_float: Mapping[str, str], *, coded_outputs: frozenset[str] = frozenset()
) -> Plan:
    """The plan for `layers`.

    Args:
        layers: From `find_layers`, in graph order.
        keep_float: Layers asked to stay in fp16, with the reason.
        coded_outputs: Graph outputs that leave the network as codes.

    Returns:
        The plan.
    """
    why: dict[str, str] = {}
    for layer in layers:
        if layer.why_float is not None:
            why[layer.name] = layer.why_float
        elif layer.name in keep_float:
            why[layer.name] = keep_float[layer.name]
    root: dict[str, str] = {}
    for layer in layers:
        for name in layer.inputs:
            root.setdefault(name, name)
        # In float, too: the values are the same, and calibration has seen them before they moved only.
        root[layer.output] = root[layer.inputs[0]] if layer.kind == "movement" else layer.output
    readers = Counter(root[name] for layer in layers if layer.kind != "movement" for name in layer.inputs)
    unrounded = {layer.output for layer in layers if layer.kind == "float"}
    while True:
        running = [layer for layer in layers if layer.name not in why]
        wanted = set(coded_outputs)
        for layer in running:
            wanted.update(layer.inputs)
        at_hand = _at_hand(layers, why, root, readers)
        settled = len(why)
        for layer in running:
            operands = {root[name] for name in layer.inputs}
            if layer.kind != "mac" and layer.output not in wanted:
                why[layer.name] = "its result is only read in fp16"
            elif operands <= at_hand and (
                (layer.kind in ("arithmetic", "table") and operands & unrounded)
                or (layer.kind == "table" and readers[layer.output] > 1)
            ):
                why[layer.name] = "what it reads is at hand in fp16"
                unrounded.add(layer.output)
        if len(why) == settled:
            break
    int8 = frozenset(layer.name for layer in layers if layer.name not in why)
    return Plan(int8, frozenset(wanted), why, root)


def _at_hand(
    layers: list[Layer], why: Mapping[str, str], root: Mapping[str, str], readers: Mapping[str, int]
) -> set[str]:
    """Tensors that fp16 readers get without codes.

    Those made in float, by convolutions with one reader, and by a table with one reader on such a tensor.
    """
    found: set[str] = set()
    for layer in layers:
        alone = readers[layer.output] == 1
        follows = layer.kind == "table" and root[layer.inputs[0]] in found
        if layer.kind != "movement" and (layer.name in why or (alone and (layer.kind == "mac" or follows))):
            found.add(layer.output)
    return found
