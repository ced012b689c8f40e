"""Which layers run in int8 and which tensors carry codes, worked out from what each layer asks for.

Rules:

1. A layer that is asked to stay in fp16, or that int8 does not cover, runs in float.
2. A tensor carries codes when a layer that runs in int8 reads it.
3. A convolution or matrix product in int8 whose result nobody reads as codes hands out fp16 straight
   from its accumulators.
4. Any other layer whose result nobody reads as codes runs in float: int8 would only cost accuracy.
5. Movement layers follow their readers, and share one scale with what they move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vacc_deploy.quantize.layers import Layer


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
    while True:
        running = [layer for layer in layers if layer.name not in why]
        wanted = set(coded_outputs)
        for layer in running:
            wanted.update(layer.inputs)
        idle = [layer for layer in running if layer.kind != "mac" and layer.output not in wanted]
        if not idle:
            break
        for layer in idle:
            why[layer.name] = "its result is only read in fp16"
    root: dict[str, str] = {}
    for layer in layers:
        for name in layer.inputs:
            root.setdefault(name, name)
        # In float, too: the values are the same, and calibration has seen them before they moved only.
        root[layer.output] = root[layer.inputs[0]] if layer.kind == "movement" else layer.output
    int8 = frozenset(layer.name for layer in layers if layer.name not in why)
    return Plan(int8, frozenset(wanted), why, root)
