"""Select matrix products with constant weights: 1×1 convolutions of pictures of one pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.select.activation import following_activation
from vacc_deploy.lowering.select.float_conv import FloatConvStep
from vacc_deploy.lowering.select.integer_conv import IntegerConvStep, integer_result
from vacc_deploy.lowering.view import GraphView

Array = npt.NDArray[Any]

_POINT = Window((1, 1))


def select_integer_gemm(node: ir.Node, view: GraphView) -> IntegerConvStep | None:
    """``DQ(x) (N, K) · DQ(w) (K, M) → [Relu | Clip] → [Q]``."""
    group = view.group(node)
    if group is None or not _is_plain_product(node, view) or group.operands[1].constant is None:
        return None
    right = group.operands[1]
    if right.zero_point != 0 or right.constant is None:
        return None
    weight = _outputs_first(node, right.constant)
    scales = np.broadcast_to(right.scale.astype(np.float32).reshape(-1), weight.shape[:1])
    bias = group.operands[2].constant if len(group.operands) > 2 else None
    result = integer_result(group, scales, view)
    return IntegerConvStep(
        source=view.coded_input(group, 0),
        result=result,
        output=result.output,
        nodes=view.take(view.group_nodes(group)),
        window=_POINT,
        transposed=False,
        groups=1,
        weight=weight,
        bias=np.zeros(weight.shape[0], np.int32) if bias is None else bias.reshape(-1),
    )


def select_float_gemm(node: ir.Node, view: GraphView) -> FloatConvStep | None:
    """``x (N, K) · w (K, M) + b → [activation]`` of floats."""
    left, weight = node.inputs[0], view.folded(node.inputs[1])
    if left is None or weight is None or view.folded(left) is not None or not _is_plain_product(node, view):
        return None
    bias = view.folded(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    channels = view.shape(node.outputs[0])[1]
    if bias is not None and bias.size not in (1, channels):
        return None
    result, activation, covered = following_activation(node.outputs[0], view, slopes=True)
    return FloatConvStep(
        source=view.float_plane(left),
        output=view.float_plane(result),
        nodes=view.take([node, *covered]),
        window=_POINT,
        transposed=False,
        groups=1,
        weight=_outputs_first(node, weight.astype(np.float32)),
        bias=None
        if bias is None
        else np.broadcast_to(bias.astype(np.float32).reshape(-1), (channels,)).copy(),
        activation=activation,
    )


def _is_plain_product(node: ir.Node, view: GraphView) -> bool:
    """Whether a product is of an (N, K) matrix by a constant one, without scaling or transposed input."""
    left, right = node.inputs[0], node.inputs[1]
    if left is None or right is None or len(view.shape(left)) != 2 or len(view.shape(right)) != 2:
        return False
    attributes = node.attributes
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None  # beta scales the bias and nothing else
    scaled = attributes.get_float("alpha", 1.0) != 1.0
    scaled = scaled or (has_bias and attributes.get_float("beta", 1.0) != 1.0)
    return not scaled and not attributes.get_int("transA", 0)


def _outputs_first(node: ir.Node, weight: Array) -> Array:
    """The right-hand matrix as (M, K, 1, 1) weights."""
    rows = weight if node.attributes.get_int("transB", 0) else weight.T
    return np.ascontiguousarray(rows)[:, :, None, None]
