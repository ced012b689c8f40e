"""Resizing whose result size is a matter of opinion: refused, since stages would disagree about it."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from vacc_deploy.errors import ModelError


def require_settled_sizes(model: ir.Model, where: str) -> None:
    """Refuse a Resize by scales whose size depends on how it is rounded.

    ONNX takes ``floor(size · scale)`` exactly; PyTorch and ONNX Runtime round the product to float32 first.
    For 10 pixels and a scale of 1.3 that is 12 and 13.

    Raises:
        ModelError: Names the node and both sizes.
    """
    for node in model.graph:
        scales = node.inputs[2] if node.op_type == "Resize" and len(node.inputs) > 2 else None
        source = node.inputs[0] if node.inputs else None
        if scales is None or scales.const_value is None or source is None or source.shape is None:
            continue
        factors = scales.const_value.numpy().reshape(-1)
        axes = node.attributes.get_ints("axes") or range(len(source.shape))
        for axis, factor in zip(axes, factors, strict=False):
            size = int(source.shape.numpy()[axis])
            exact, rounded = math.floor(size * float(factor)), int(np.float32(size) * np.float32(factor))
            if exact != rounded:
                raise ModelError(
                    f"{size} pixels times {factor:g} are {exact} in ONNX and {rounded} in PyTorch",
                    where=f"{where}, node {node.name}",
                    why="the scale is stored as float32, a little below the number that was meant",
                    hint="export it with a size instead of a scale: interpolate(…, size=…)",
                )
