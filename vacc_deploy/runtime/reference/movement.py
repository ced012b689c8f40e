"""Operators that move codes or choose among them: shuffles, pads, slices, maxima, nearest neighbours."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference import pad, pixel_shuffle, pool, resize
from vacc_deploy.runtime.reference.attribute_of import attribute_of
from vacc_deploy.runtime.reference.qdq_groups import Codes

Array = npt.NDArray[Any]


def move(node: ir.Node, x: Codes, q: Array) -> Array:
    """The codes `q` of `x`, moved or chosen as `node` does, on the scale that they had."""
    op = node.op_type
    if op == "DepthToSpace":
        return pixel_shuffle.pixel_shuffle(
            q, attribute_of(node, "blocksize", 1), attribute_of(node, "mode", "DCR")
        )
    if op == "SpaceToDepth":
        return pixel_shuffle.pixel_unshuffle(q, attribute_of(node, "blocksize", 1))
    if op == "MaxPool":
        return pool.max_pool2d(
            q,
            tuple(attribute_of(node, "kernel_shape", ())),
            strides=tuple(attribute_of(node, "strides", (1, 1))),
            pads=tuple(attribute_of(node, "pads", (0, 0, 0, 0))),
            dilations=tuple(attribute_of(node, "dilations", (1, 1))),
            ceil_mode=bool(attribute_of(node, "ceil_mode", 0)),
        )
    if op == "Pad":
        amounts = np.asarray(constant_of(node.inputs[1])).tolist()
        return pad.pad(q, amounts, mode=attribute_of(node, "mode", "constant"), fill=x.zero_point)
    if op == "Transpose":
        return q.transpose(attribute_of(node, "perm", tuple(reversed(range(q.ndim)))))
    if op == "Slice":
        return _slice(node, q)
    if op == "Resize":
        rows, columns = (
            resize.nearest_indices(
                size,
                out_size,
                scale,
                resize_coordinates(node),
                attribute_of(node, "nearest_mode", "round_prefer_floor"),
            )
            for size, out_size, scale in resize_axes(node)
        )
        return resize.resize_nearest(q, rows, columns)
    shape = node.outputs[0].shape
    assert shape is not None  # the frontend makes every shape static
    return q.reshape(tuple(shape.numpy()))


def _slice(node: ir.Node, q: Array) -> Array:
    operands = [np.asarray(constant_of(v)).tolist() for v in node.inputs[1:] if v is not None]
    starts, ends = operands[:2]
    axes = operands[2] if len(operands) > 2 else range(len(starts))
    steps = operands[3] if len(operands) > 3 else [1] * len(starts)
    index: list[slice] = [slice(None)] * q.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop = None if step < 0 and end < -q.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return q[tuple(index)]


def resize_axes(node: ir.Node) -> list[tuple[int, int, float]]:
    """Input size, output size and scale of a Resize's two spatial axes."""
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    assert source.shape is not None
    assert result.shape is not None
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    axes = []
    for axis in (2, 3):
        size, out_size = int(source.shape.numpy()[axis]), int(result.shape.numpy()[axis])
        given = scales is not None and scales.size == 4
        axes.append(
            (size, out_size, float(scales[axis]) if given and scales is not None else out_size / size)
        )
    return axes


def resize_coordinates(node: ir.Node) -> resize.Coordinates:
    """How a Resize places its samples."""
    mode = attribute_of(node, "coordinate_transformation_mode", "half_pixel")
    return cast(resize.Coordinates, mode)
