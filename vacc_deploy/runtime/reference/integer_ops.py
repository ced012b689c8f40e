"""Run one group of a quantised network in integers, by the arithmetic of the operator files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference import (
    add,
    concat,
    conv2d,
    conv_transpose2d,
    fixed_point,
    matmul,
    mul,
    pool,
    resize,
    table,
)
from vacc_deploy.runtime.reference.attribute_of import attribute_of
from vacc_deploy.runtime.reference.code_tables import change_of_scale, unary_table
from vacc_deploy.runtime.reference.movement import move, resize_axes, resize_coordinates
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
    if op in MOVEMENT_OPS or (op == "Resize" and attribute_of(group.node, "mode", "nearest") == "nearest"):
        moved = move(group.node, group.operands[0], operands[0])
        change = change_of_scale(group.operands[0], group.output)
        return moved if change is None else table.look_up(moved, change)
    return _ARITHMETIC[op](group, operands).astype(group.output.dtype)


def _accumulate(group: Group, operands: list[Array]) -> Array:
    node, x = group.node, group.operands[0]
    bias = operands[2] if len(operands) > 2 else None
    if node.op_type in ("MatMul", "Gemm"):
        weight = operands[1].T if attribute_of(node, "transB", 0) else operands[1]
        return matmul.accumulate(
            operands[0], weight, bias, zero_point=x.zero_point, b_zero_point=group.operands[1].zero_point
        )
    geometry: dict[str, Any] = {
        "zero_point": x.zero_point,
        "strides": tuple(attribute_of(node, "strides", (1, 1))),
        "pads": tuple(attribute_of(node, "pads", (0, 0, 0, 0))),
        "dilations": tuple(attribute_of(node, "dilations", (1, 1))),
        "groups": attribute_of(node, "group", 1),
    }
    if node.op_type == "Conv":
        return conv2d.accumulate(operands[0], operands[1], bias, **geometry)
    geometry["output_padding"] = tuple(attribute_of(node, "output_padding", (0, 0)))
    return conv_transpose2d.accumulate(operands[0], operands[1], bias, **geometry)


def _finish(group: Group, acc: Array) -> Array:
    node, x, weight = group.node, group.operands[0], group.operands[1]
    axis = -1 if node.op_type in ("MatMul", "Gemm") else 1
    scales = weight.scale
    if node.op_type == "ConvTranspose" and scales.size > 1:
        scales = np.tile(scales, attribute_of(node, "group", 1))
    if group.output is None:
        product = np.float32(x.scale) * scales.astype(np.float32)
        return fixed_point.to_half(acc, fixed_point.per_channel(product, acc.ndim, axis))
    m = fixed_point.multiplier(x.scale, scales, group.output.scale)
    m = fixed_point.per_channel(m, acc.ndim, axis)
    return fixed_point.requantize(
        acc, m, group.output.zero_point, group.lo, group.hi, dtype=group.output.dtype
    )


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
    tables = [change_of_scale(x, cast(Codes, group.output)) for x in group.operands]
    return concat.concat(operands, tables, attribute_of(group.node, "axis", 1))


def _average(group: Group, operands: list[Array]) -> Array:
    x, y, node = group.operands[0], cast(Codes, group.output), group.node
    whole = node.op_type == "GlobalAveragePool"
    kernel = operands[0].shape[2:] if whole else tuple(attribute_of(node, "kernel_shape", ()))
    return pool.average_pool2d(
        operands[0],
        (kernel[0], kernel[1]),
        scale=float(x.scale),
        output_scale=float(y.scale),
        zero_point=x.zero_point,
        output_zero_point=y.zero_point,
        strides=tuple(attribute_of(node, "strides", (1, 1))),
        pads=tuple(attribute_of(node, "pads", (0, 0, 0, 0))),
        ceil_mode=bool(attribute_of(node, "ceil_mode", 0)),
        count_include_pad=bool(attribute_of(node, "count_include_pad", 0)),
        lo=group.lo,
        hi=group.hi,
    )


def _resize_linear(group: Group, operands: list[Array]) -> Array:
    x, y = group.operands[0], cast(Codes, group.output)
    rows, columns = (
        resize.linear_taps(size, out_size, scale, resize_coordinates(group.node))
        for size, out_size, scale in resize_axes(group.node)
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
