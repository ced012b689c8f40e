"""Keeps what Resize and Upsample meant before opset 11, which the version converter forgets.

They had no `coordinate_transformation_mode`: result pixel x read source position x / scale.  Since opset 11
the attribute's default is another rule, ``half_pixel``, and the converter writes no attribute.
"""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.errors import ModelError

FIRST_WITH_MODES = 11


def early_resize(model: ir.Model, where: str) -> None:
    """Write the rules of opset 10 and earlier into every Resize, in place.

    The nearest pixel was the one at or before the position when enlarging, at or behind it when reducing
    (the operator's own tests in ONNX 1.5, and ONNX Runtime to this day).

    Args:
        model: Converted from an opset before `FIRST_WITH_MODES`; constants are initialisers.
        where: The file, for messages.

    Raises:
        ModelError: A Resize to the nearest pixel enlarges one side and reduces another.
    """
    for node in model.graph:
        if node.op_type != "Resize":
            continue
        node.attributes["coordinate_transformation_mode"] = ir.AttrString(
            "coordinate_transformation_mode", "asymmetric"
        )
        if node.attributes.get_string("mode", "nearest") != "nearest":
            continue
        scales = node.inputs[2].const_value if len(node.inputs) > 2 and node.inputs[2] is not None else None
        factors = [] if scales is None else [float(factor) for factor in scales.numpy().reshape(-1)]
        reduces = any(factor < 1 for factor in factors)
        if reduces and any(factor > 1 for factor in factors):
            raise ModelError(
                "a Resize of an early opset enlarges one side and reduces another",
                where=f"{where}, node {node.name}",
                hint="export the model again with opset_version=11 or newer",
            )
        node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "ceil" if reduces else "floor")
