"""Rewrites filters that treat channels as a batch (StyleGAN2's upfirdn2d) to depthwise convolutions.

    before:  (1,C,H,W) → (B,H,W,c) → [zeros between the pixels] → Pad → (C,1,H,W) → Conv → (1,C,H',W')
    after:   Conv with one group per channel and the padding inside, or ConvTranspose for inserted zeros

Padding happens with the channels last (B = 1, c = C, as GPEN's code has it) or with every channel as a
picture of its own (B = C, c = 1, as most StyleGAN2 code has it).

Inserting up−1 zeros after every pixel, padding by (before, after) and filtering with k is the transposed
convolution with the reversed k, stride up, cropped by K−1−before at the start and K−up−after at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from vacc_deploy.frontend.new_values import add_constant

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Filter:
    """A matched filter.

    Args:
        source: (1, C, H, W) input.
        kernel: (kH, kW) weights.
        before: Zeros added at top and left.
        after: Zeros added at bottom and right.
        up: Distance between pixels after inserting zeros; 1 inserts none.
        result: The Reshape that makes the result (1, C, H', W') again.
    """

    source: ir.Value
    kernel: NDArray[Any]
    before: tuple[int, int]
    after: tuple[int, int]
    up: int
    result: ir.Node


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is None or value.shape is None or value.shape.is_dynamic():
        return ()
    return tuple(int(size) for size in value.shape.numpy())


def _numbers(value: ir.Value | None) -> list[int]:
    return [] if value is None or value.const_value is None else value.const_value.numpy().tolist()


def _maker(value: ir.Value | None, kind: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == kind else None


def _zero_pads(node: ir.Node | None) -> list[int]:
    """Pads of a Pad that adds zeros, else an empty list."""
    if node is None or node.attributes.get_string("mode", "constant") != "constant":
        return []
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    if fill is not None and (fill.const_value is None or float(fill.const_value.numpy().item()) != 0.0):
        return []
    return _numbers(node.inputs[1])


def _skip_whole_slices(value: ir.Value | None) -> ir.Value | None:
    while (node := _maker(value, "Slice")) is not None and _shape(node.inputs[0]) == _shape(value):
        value = node.inputs[0]
    return value


def _keeps_order(node: ir.Node) -> bool:
    """Whether a node changes nothing but the shape; a Transpose does not if it moves only axes of size 1."""
    if node.op_type == "Transpose":
        sizes, order = _shape(node.inputs[0]), node.attributes.get_ints("perm") or ()
        moved = [axis for axis in order if sizes and sizes[axis] > 1]
        return moved == sorted(moved) and bool(order)
    return node.op_type == "Reshape"


def _before_reshapes(value: ir.Value | None) -> ir.Value | None:
    while value is not None and (node := value.producer()) is not None and _keeps_order(node):
        value = node.inputs[0]
    return value


def _transposed_from(value: ir.Value | None, order: tuple[int, ...]) -> ir.Value | None:
    node = _maker(value, "Transpose")
    if node is None or tuple(node.attributes.get_ints("perm") or ()) != order:
        return None
    return node.inputs[0]


def _plain(conv: ir.Node) -> bool:
    """Whether a convolution neither pads, strides nor dilates."""
    values = conv.attributes
    ones = [*(values.get_ints("strides") or (1,)), *(values.get_ints("dilations") or (1,))]
    padded = any(values.get_ints("pads") or ()) or values.get_string("auto_pad", "NOTSET") != "NOTSET"
    return set(ones) == {1} and not padded and len([v for v in conv.inputs if v is not None]) == 2


def _inserted_zeros(value: ir.Value | None) -> tuple[ir.Value | None, int]:
    """Match zeros inserted between the pixels of a (B, H, W, c) value.

    Returns:
        What was there before, the same elements in the same order but in any shape, and the distance.
    """
    outer = _maker(value, "Reshape")
    pad = _maker(outer.inputs[0], "Pad") if outer is not None else None
    pads, spread = _zero_pads(pad), _shape(pad.inputs[0]) if pad is not None else ()
    if pad is None or len(pads) != 12 or spread[2:5:2] != (1, 1):
        return value, 1
    up = pads[8] + 1
    made = (spread[0], spread[1] * up, spread[3] * up, spread[5])
    if pads != [0] * 8 + [up - 1, 0, up - 1, 0] or _shape(value) != made:
        return value, 1
    inner = _maker(pad.inputs[0], "Reshape")
    return (inner.inputs[0], up) if inner is not None else (value, 1)


def _result(conv: ir.Node, channels: int) -> ir.Node | None:
    """The node that makes the result of `conv` (1, C, H', W') again, if nothing else reads it."""
    wanted = (1, channels, *_shape(conv.outputs[0])[2:])
    node = conv
    while _shape(node.outputs[0]) != wanted:
        uses = list(node.outputs[0].uses())
        if len(uses) != 1 or not _keeps_order(uses[0].node) or node.outputs[0].is_graph_output():
            return None
        node = uses[0].node
    return node if node is not conv else None


def match(conv: ir.Node) -> Filter | None:
    """The filter that ends in `conv`, or None if it is an ordinary convolution."""
    weight = conv.inputs[1].const_value if conv.op_type == "Conv" and conv.inputs[1] is not None else None
    if weight is None or tuple(weight.shape.numpy())[:2] != (1, 1) or not _plain(conv):
        return None
    stacked = _shape(conv.inputs[0])
    result = _result(conv, stacked[0]) if len(stacked) == 4 else None
    if result is None:
        return None
    channels = stacked[0]
    kernel = weight.numpy()[0, 0]
    opened = _skip_whole_slices(_before_reshapes(conv.inputs[0]))
    channels_first = _skip_whole_slices(_transposed_from(opened, _TO_NCHW))
    pad = _maker(opened if channels_first is None else channels_first, "Pad")
    pads = _zero_pads(pad)
    if pad is not None and len(pads) == 8 and min(pads) >= 0 and not any(pads[i] for i in (0, 3, 4, 7)):
        flat, (batch, height, width, last) = pad.inputs[0], _shape(pad.inputs[0])
        inserted, up = _inserted_zeros(flat)
        source = _transposed_from(inserted, _TO_NHWC) if batch == 1 else _before_reshapes(inserted)
        wanted = (1, batch * last, height // up, width // up)
        if source is not None and wanted[1] == channels and _shape(source) == wanted:
            return Filter(source, kernel, (pads[1], pads[2]), (pads[5], pads[6]), up, result)
    if opened is not None and _shape(opened) == (1, channels, *stacked[2:]):
        return Filter(opened, kernel, (0, 0), (0, 0), 1, result)
    return None


def _replacement(graph: ir.Graph, conv: ir.Node, found: Filter) -> ir.Node | None:
    channels = _shape(found.source)[1]
    kernel, before, after = found.kernel, found.before, found.after
    options: dict[str, Any] = {"group": channels, "kernel_shape": list(kernel.shape)}
    if found.up == 1:
        kind = "Conv"
    else:
        kind, kernel = "ConvTranspose", kernel[::-1, ::-1]
        size = kernel.shape
        before = (size[0] - 1 - before[0], size[1] - 1 - before[1])
        after = (size[0] - found.up - after[0], size[1] - found.up - after[1])
        options["strides"] = [found.up, found.up]
        if min(*before, *after) < 0:
            return None
    options["pads"] = [*before, *after]
    weight = np.broadcast_to(kernel, (channels, 1, *kernel.shape))
    name = conv.name or "filter"
    node = ir.node(kind, [found.source, add_constant(graph, f"{name}.weight", weight)], options, name=name)
    node.outputs[0].shape, node.outputs[0].type = found.result.outputs[0].shape, found.result.outputs[0].type
    return node


def depthwise_filter(model: ir.Model) -> int:
    """Rewrite every such filter of `model`, in place; returns how many.  Dead nodes are left to clean up."""
    graph = model.graph
    rewritten = 0
    for conv in list(graph):
        found = match(conv)
        node = _replacement(graph, conv, found) if found is not None else None
        if found is None or node is None:
            continue
        old = found.result.outputs[0]
        name = old.name
        graph.insert_after(found.result, node)
        ir.convenience.replace_all_uses_with(old, node.outputs[0], replace_graph_outputs=True)
        old.name, node.outputs[0].name = f"{name}.before", name
        rewritten += 1
    return rewritten
