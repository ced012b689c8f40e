"""Variants of operators that Relax's importer computes otherwise than ONNX says: refused by name."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.view import GraphView

Check = Callable[[ir.Node, GraphView], str | None]

_RESIZE_COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


def refuse_variant(node: ir.Node, view: GraphView) -> None:
    """Stops at a node that no kernel of ours took and that Relax would compute wrongly.

    Raises:
        ModelError: Says which variant it is.
    """
    check = _CHECKS.get(node.op_type)
    why = None if check is None else check(node, view)
    if why is not None:
        raise ModelError(
            f"this form of {node.op_type} is not supported",
            where=f"node {node.name}",
            why=why,
            hint="export the network with another form of it, or keep it out of the network",
        )


def _resize(node: ir.Node, view: GraphView) -> str | None:
    get = node.attributes.get_string
    mode = get("coordinate_transformation_mode", "half_pixel")
    if mode not in _RESIZE_COORDINATES:
        return f"coordinates are {mode}"
    if node.attributes.get_int("antialias", 0):
        return "it filters against aliasing"
    if node.attributes.get_int("exclude_outside", 0):
        return "it excludes what lies outside of the picture"
    scales = view.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    source, result = node.inputs[0], node.outputs[0]
    if scales is None or source is None or scales.size != len(view.shape(source)):
        return None
    for scale, before, after in zip(scales.tolist(), view.shape(source), view.shape(result), strict=True):
        if abs(scale * before - after) > 1e-4 * after:
            return f"{before} by {scale:g} is no whole size, so that sampling and size disagree"
    return None


def _only_first_output(node: ir.Node, view: GraphView) -> str | None:
    extra = [value for value in node.outputs[1:] if value.uses() or value.is_graph_output()]
    return "its statistics are used as outputs, which serves training" if extra else None


def _training(node: ir.Node, view: GraphView) -> str | None:
    flag = view.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    training = node.attributes.get_int("training_mode", 0) or (flag is not None and bool(flag))
    return "it is in training mode" if training else None


def _space_to_depth(node: ir.Node, view: GraphView) -> str | None:
    mode = node.attributes.get_string("mode", "DCR")
    return None if mode == "DCR" else f"its mode is {mode}"


def _average_pool(node: ir.Node, view: GraphView) -> str | None:
    dilated = any(step != 1 for step in node.attributes.get_ints("dilations") or ())
    return "its windows are dilated" if dilated else None


def _is_inf(node: ir.Node, view: GraphView) -> str | None:
    both = node.attributes.get_int("detect_negative", 1) and node.attributes.get_int("detect_positive", 1)
    return None if both else "it looks for one of the two infinities only"


_CHECKS: dict[str, Check] = {
    "IsInf": _is_inf,
    "AveragePool": _average_pool,
    "BatchNormalization": _training,
    "Dropout": _training,
    "GroupNormalization": _only_first_output,
    "LayerNormalization": _only_first_output,
    "Resize": _resize,
    "SpaceToDepth": _space_to_depth,
}
