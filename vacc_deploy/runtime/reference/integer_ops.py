"""Run one group of a quantised network in integers, by the arithmetic of the operator files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.runtime.reference import (
    add,
    concat,
    conv2d,
    conv_transpose2d,
    fixed_point,
    matmul,
    mul,
    pad,
    pixel_shuffle,
    pool,
    resize,
    table,
)
from vacc_deploy.runtime.reference.operator_kinds import MAC_OPS, MOVEMENT_OPS, TABLE_OPS
from vacc_deploy.runtime.reference.qdq_groups import Codes, Group

Array = npt.NDArray[Any]


def run_group(group: Group, operands: list[Array]) -> Array:
    """The codes of a group's result, or float16 for a group that ends at its accumulators.

    Args:
        group: From `qdq_groups.find_groups`.
        operands: One array of codes per entry of ``group.operands``.
    """
    op = group.node.op_type
    if op in MAC_OPS:
        return _finish(group, _accumulate(group, operands))
    assert group.output is not None  # only matrix products may end in float
    if op in TABLE_OPS:
        return table.look_up(operands[0], unary_table(group.node, group.operands[0], group.output))
    if op in MOVEMENT_OPS or (op == "Resize" and _attribute(group.node, "mode", "nearest") == "nearest"):
        moved = _move(group.node, group.operands[0], operands[0])
        change = _change_of_scale(group.operands[0], group.output)
        return moved if change is None else table.look_up(moved, change)
    return _ARITHMETIC[op](group, operands).astype(group.output.dtype)


def _accumulate(group: Group, operands: list[Array]) -> Array:
    node, x = group.node, group.operands[0]
    bias = operands[2] if len(operands) > 2 else None
    if node.op_type in ("MatMul", "Gemm"):
        weight = operands[1].T if _attribute(node, "transB", 0) else operands[1]
        return matmul.accumulate(
            operands[0], weight, bias, zero_point=x.zero_point, b_zero_point=group.operands[1].zero_point
        )
    geometry: dict[str, Any] = {
        "zero_point": x.zero_point,
        "strides": tuple(_attribute(node, "strides", (1, 1))),
        "pads": tuple(_attribute(node, "pads", (0, 0, 0, 0))),
        "dilations": tuple(_attribute(node, "dilations", (1, 1))),
        "groups": _attribute(node, "group", 1),
    }
    if node.op_type == "Conv":
        return conv2d.accumulate(operands[0], operands[1], bias, **geometry)
    geometry["output_padding"] = tuple(_attribute(node, "output_padding", (0, 0)))
    return conv_transpose2d.accumulate(operands[0], operands[1], bias, **geometry)


def _finish(group: Group, acc: Array) -> Array:
    node, x, weight = group.node, group.operands[0], group.operands[1]
    axis = -1 if node.op_type in ("MatMul", "Gemm") else 1
    scales = weight.scale
    if node.op_type == "ConvTranspose" and scales.size > 1:
        scales = np.tile(scales, _attribute(node, "group", 1))
    if group.output is None:
        product = np.float32(x.scale) * scales.astype(np.float32)
        return fixed_point.to_half(acc, fixed_point.per_channel(product, acc.ndim, axis))
    m = fixed_point.multiplier(x.scale, scales, group.output.scale)
    m = fixed_point.per_channel(m, acc.ndim, axis)
    return fixed_point.requantize(
        acc, m, group.output.zero_point, group.lo, group.hi, dtype=group.output.dtype
    )


def unary_table(node: ir.Node, x: Codes, y: Codes) -> Array:
    """The table of a unary operator: (256,), or (C, 256) for a PRelu with one slope per channel."""
    functions: list[table.Function] = []
    if node.op_type == "PRelu":
        slopes = constant_of(node.inputs[1])
        functions = [table.leaky_relu(float(s)) for s in np.asarray(slopes).reshape(-1)]
    else:
        functions = [_unary(node)]
    tables = [
        table.build_table(
            function,
            scale=float(x.scale),
            zero_point=x.zero_point,
            dtype=x.dtype,
            output_scale=float(y.scale),
            output_zero_point=y.zero_point,
            output_dtype=y.dtype,
        )
        for function in functions
    ]
    return tables[0] if len(tables) == 1 else np.stack(tables)


def _unary(node: ir.Node) -> table.Function:
    if node.op_type == "Clip":
        limits = [constant_of(v) for v in (*node.inputs[1:3], None, None)][:2]
        low = -np.inf if limits[0] is None or not limits[0].size else float(limits[0].reshape(()))
        high = np.inf if limits[1] is None or not limits[1].size else float(limits[1].reshape(()))
        return table.clip(low, high)
    if node.op_type == "LeakyRelu":
        return table.leaky_relu(_attribute(node, "alpha", 0.01))
    if node.op_type == "HardSigmoid":
        return table.hard_sigmoid(_attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5))
    return {"Relu": table.relu, "Sigmoid": table.sigmoid, "Tanh": cast(table.Function, np.tanh)}[node.op_type]


def _change_of_scale(x: Codes, y: Codes) -> Array | None:
    """The requantisation table from `x` to `y`, none where they are the same."""
    if (float(x.scale), x.zero_point, x.dtype) == (float(y.scale), y.zero_point, y.dtype):
        return None
    return table.requantize_table(
        scale=float(x.scale),
        zero_point=x.zero_point,
        dtype=x.dtype,
        output_scale=float(y.scale),
        output_zero_point=y.zero_point,
        output_dtype=y.dtype,
    )


def _move(node: ir.Node, x: Codes, q: Array) -> Array:
    op = node.op_type
    if op == "DepthToSpace":
        return pixel_shuffle.pixel_shuffle(
            q, _attribute(node, "blocksize", 1), _attribute(node, "mode", "DCR")
        )
    if op == "SpaceToDepth":
        return pixel_shuffle.pixel_unshuffle(q, _attribute(node, "blocksize", 1))
    if op == "MaxPool":
        return pool.max_pool2d(
            q,
            tuple(_attribute(node, "kernel_shape", ())),
            strides=tuple(_attribute(node, "strides", (1, 1))),
            pads=tuple(_attribute(node, "pads", (0, 0, 0, 0))),
            dilations=tuple(_attribute(node, "dilations", (1, 1))),
            ceil_mode=bool(_attribute(node, "ceil_mode", 0)),
        )
    if op == "Pad":
        amounts = np.asarray(constant_of(node.inputs[1])).tolist()
        return pad.pad(q, amounts, mode=_attribute(node, "mode", "constant"), fill=x.zero_point)
    if op == "Transpose":
        return q.transpose(_attribute(node, "perm", tuple(reversed(range(q.ndim)))))
    if op == "Slice":
        return _slice(node, q)
    if op == "Resize":
        rows, columns = (
            resize.nearest_indices(
                size,
                out_size,
                scale,
                _coordinates(node),
                _attribute(node, "nearest_mode", "round_prefer_floor"),
            )
            for size, out_size, scale in _axes(node)
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


def _axes(node: ir.Node) -> list[tuple[int, int, float]]:
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


def _coordinates(node: ir.Node) -> resize.Coordinates:
    mode = _attribute(node, "coordinate_transformation_mode", "half_pixel")
    return cast(resize.Coordinates, mode)


def _add(group: Group, operands: list[Array]) -> Array:
    (a, b), y = group.operands, cast(Codes, group.output)
    factors = add.add_factors(
        float(a.scale), float(b.scale), float(y.scale), subtract=group.node.op_type == "Sub"
    )
    return add.add(
        operands[0],
        operands[1],
        factors,
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        output_zero_point=y.zero_point,
        lo=group.lo,
        hi=group.hi,
    )


def _mul(group: Group, operands: list[Array]) -> Array:
    (a, b), y = group.operands, cast(Codes, group.output)
    return mul.mul(
        operands[0],
        operands[1],
        fixed_point.multiplier(a.scale, b.scale, y.scale),
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        output_zero_point=y.zero_point,
        lo=group.lo,
        hi=group.hi,
    )


def _concat(group: Group, operands: list[Array]) -> Array:
    tables = [_change_of_scale(x, cast(Codes, group.output)) for x in group.operands]
    return concat.concat(operands, tables, _attribute(group.node, "axis", 1))


def _average(group: Group, operands: list[Array]) -> Array:
    x, y, node = group.operands[0], cast(Codes, group.output), group.node
    whole = node.op_type == "GlobalAveragePool"
    kernel = operands[0].shape[2:] if whole else tuple(_attribute(node, "kernel_shape", ()))
    return pool.average_pool2d(
        operands[0],
        (kernel[0], kernel[1]),
        scale=float(x.scale),
        output_scale=float(y.scale),
        zero_point=x.zero_point,
        output_zero_point=y.zero_point,
        strides=tuple(_attribute(node, "strides", (1, 1))),
        pads=tuple(_attribute(node, "pads", (0, 0, 0, 0))),
        ceil_mode=bool(_attribute(node, "ceil_mode", 0)),
        count_include_pad=bool(_attribute(node, "count_include_pad", 0)),
        lo=group.lo,
        hi=group.hi,
    )


def _resize_linear(group: Group, operands: list[Array]) -> Array:
    x, y = group.operands[0], cast(Codes, group.output)
    rows, columns = (
        resize.linear_taps(size, out_size, scale, _coordinates(group.node))
        for size, out_size, scale in _axes(group.node)
    )
    return resize.resize_bilinear(
        operands[0],
        rows,
        columns,
        scale=float(x.scale),
        output_scale=float(y.scale),
        zero_point=x.zero_point,
        output_zero_point=y.zero_point,
        lo=group.lo,
        hi=group.hi,
    )


_ARITHMETIC: dict[str, Callable[[Group, list[Array]], Array]] = {
    "Add": _add,
    "Sub": _add,
    "Mul": _mul,
    "Concat": _concat,
    "AveragePool": _average,
    "GlobalAveragePool": _average,
    "Resize": _resize_linear,
}


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value
