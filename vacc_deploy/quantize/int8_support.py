"""Which ONNX nodes have an int8 form, and the reason where one has none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")


def reason_against_int8(node: ir.Node) -> str | None:
    """Why `node` has to stay in float, or none if it has an int8 form."""
    for value in (*node.inputs[:1], *node.outputs):
        if value is not None and value.dtype not in (ir.DataType.FLOAT, None):
            return f"{value.name} is not a float tensor"
    check = _CHECKS.get(node.op_type)
    return check(node) if check else None


def _rank(value: ir.Value | None) -> int:
    return len(value.shape) if value is not None and value.shape is not None else -1


def _constant_weights(node: ir.Node) -> str | None:
    weight = constant_of(node.inputs[1])
    if weight is None:
        return "its weights are computed at run time"
    if node.op_type in ("Conv", "ConvTranspose") and weight.ndim != 4:
        return "only two-dimensional convolutions have an int8 form"
    if node.op_type == "MatMul" and weight.ndim != 2:
        return "its constant operand is not a matrix"
    if len(node.inputs) > 2 and node.inputs[2] is not None and constant_of(node.inputs[2]) is None:
        return "its bias is computed at run time"
    if node.op_type == "Gemm":
        bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
        if node.attributes.get_int("transA", 0) != 0 or node.attributes.get_float("alpha", 1.0) != 1.0:
            return "Gemm with transA or alpha has no int8 form"
        if bias is not None and (bias.ndim > 1 or node.attributes.get_float("beta", 1.0) != 1.0):
            return "Gemm with a matrix bias or beta has no int8 form"
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "auto_pad has no int8 form; the frontend writes pads out"
    return None


def _same_or_per_channel(node: ir.Node) -> str | None:
    """Operands of one 4-D shape, or a second operand that is constant per channel or per tensor."""
    out = node.outputs[0].shape
    if out is None or len(out) != 4:
        return "only picture-shaped operands have an int8 form"
    for value in node.inputs:
        if value is None or value.shape is None:
            return "an operand's shape is not known"
        shape = (1,) * (4 - len(value.shape)) + tuple(value.shape.numpy())
        constant = constant_of(value)
        if constant is not None:
            if constant.size != 1 and (constant.size != shape[1] or shape[1] != out[1]):
                return "a constant operand varies over the picture"
            if not np.all(np.isfinite(constant)):
                return "a constant operand is not finite"
        elif tuple(shape) != tuple(out.numpy()) and tuple(shape) != (shape[0], out[1], 1, 1):
            return "an operand is broadcast in a way that int8 does not cover"
    if all(constant_of(v) is not None for v in node.inputs):
        return "both operands are constant"
    return None


def _concat(node: ir.Node) -> str | None:
    if _rank(node.outputs[0]) != 4 or node.attributes.get_int("axis") not in (1, -3):
        return "only concatenation of channels has an int8 form"
    if any(constant_of(v) is not None for v in node.inputs):
        return "a constant operand is concatenated"
    return None


def _resize(node: ir.Node) -> str | None:
    get = node.attributes.get_string
    if get("mode", "nearest") not in ("nearest", "linear") or node.attributes.get_int("antialias", 0) != 0:
        return "only nearest and bilinear resizing have an int8 form"
    if get("coordinate_transformation_mode", "half_pixel") not in _COORDINATES:
        return "its coordinate mode has no int8 form"
    source, result = node.inputs[0], node.outputs[0]
    if _rank(source) != 4 or _rank(result) != 4 or source is None:
        return "only picture-shaped tensors have an int8 form"
    assert source.shape is not None
    assert result.shape is not None
    if list(source.shape)[:2] != list(result.shape)[:2]:
        return "it resizes channels"
    return None


def _picture(node: ir.Node) -> str | None:
    return None if _rank(node.inputs[0]) == 4 else "only picture-shaped tensors have an int8 form"


def _pool(node: ir.Node) -> str | None:
    if len(node.outputs) != 1:
        return "pooling with indices has no int8 form"
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "auto_pad has no int8 form; the frontend writes pads out"
    if node.op_type == "AveragePool" and any(d != 1 for d in node.attributes.get_ints("dilations", [1])):
        return "dilated average pooling has no int8 form"
    return _picture(node)


def _pad(node: ir.Node) -> str | None:
    if any(constant_of(v) is None for v in node.inputs[1:] if v is not None):
        return "its amounts are computed at run time"
    if node.attributes.get_string("mode", "constant") not in ("constant", "reflect", "edge"):
        return "its mode has no int8 form"
    fill = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if fill is not None and fill.size and float(fill.reshape(-1)[0]) != 0.0:
        return "padding with something other than 0 has no int8 form"
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return "padding along chosen axes has no int8 form"
    return None


def _prelu(node: ir.Node) -> str | None:
    slope = constant_of(node.inputs[1])
    if slope is None:
        return "its slope is computed at run time"
    channels = node.outputs[0].shape[1] if node.outputs[0].shape is not None else None
    per_channel = slope.ndim >= 3 and slope.size == slope.shape[-3] == channels
    return None if slope.size == 1 or per_channel else "its slope varies over the picture"


def _constant_operands(node: ir.Node) -> str | None:
    if any(constant_of(v) is None for v in node.inputs[1:] if v is not None):
        return "its parameters are computed at run time"
    return None


_CHECKS = {
    "Conv": _constant_weights,
    "ConvTranspose": _constant_weights,
    "MatMul": _constant_weights,
    "Gemm": _constant_weights,
    "Add": _same_or_per_channel,
    "Sub": _same_or_per_channel,
    "Mul": _same_or_per_channel,
    "Concat": _concat,
    "Resize": _resize,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _picture,
    "Pad": _pad,
    "PRelu": _prelu,
    "DepthToSpace": _picture,
    "SpaceToDepth": _picture,
    "Clip": _constant_operands,
    "Reshape": _constant_operands,
    "Slice": _constant_operands,
    "Squeeze": _constant_operands,
    "Unsqueeze": _constant_operands,
}
