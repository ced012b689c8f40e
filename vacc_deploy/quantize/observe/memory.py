"""How much memory observing needs, estimated before it starts."""

from __future__ import annotations

import math

import onnx_ir as ir

from vacc_deploy.quantize.observe.histogram import BINS
from vacc_deploy.quantize.observe.observer import SAMPLE


def announced_bytes(model: ir.Model, tensors: int) -> int:
    """An upper estimate of what observing needs: weights thrice, live activations, histograms, samples.

    While the session opens, the weights are there as a message for ONNX Runtime, as its own copy and in its
    kernels' order.
    """
    live, largest = live_bytes(model)
    return 3 * weight_bytes(model) + 2 * live + 2 * largest + tensors * (BINS * 8 + 4 * SAMPLE)


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all constants."""
    return sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)


def live_bytes(model: ir.Model) -> tuple[int, int]:
    """The most bytes of activations that are alive at once, and the largest activation's, float32."""
    last: dict[ir.Value, int] = {}
    nodes = list(model.graph)
    for index, node in enumerate(nodes):
        for value in node.inputs:
            if value is not None:
                last[value] = index
    live = peak = sum(_bytes(v) for v in model.graph.inputs)
    largest = 0
    for index, node in enumerate(nodes):
        live += sum(_bytes(v) for v in node.outputs)
        peak = max(peak, live)
        largest = max([largest, *(_bytes(v) for v in node.outputs)])
        live -= sum(
            _bytes(v) for v in set(node.inputs) if v is not None and last[v] == index and v.producer()
        )
    return peak, largest


def _bytes(value: ir.Value) -> int:
    if value.shape is None or not all(isinstance(d, int) for d in value.shape):
        return 0
    return 4 * math.prod(value.shape.numpy())
