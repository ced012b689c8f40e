"""`graph.extra_ops` of the build YAML: operators that the vendor's compiler appends to a network."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.errors import ModelError


def append_softmax(model: ir.Model) -> None:
    """Replace output 0, the scores of (N, classes[, 1, 1]), by their softmax over the classes; in place.

    The output keeps its name, so that scripts find it.

    Raises:
        ModelError: The output has no class axis.
    """
    scores = model.graph.outputs[0]
    if scores.shape is None or len(scores.shape) < 2:
        raise ModelError(
            "graph.extra_ops softmax needs scores of shape (N, classes)",
            where=f"output {scores.name}",
            why=f"its shape is {scores.shape}",
            hint="remove graph.extra_ops from the build YAML",
        )
    name = scores.name
    scores.name = f"{name}_scores"
    node = ir.Node("", "Softmax", [scores], [ir.AttrInt64("axis", 1)], name="extra_ops_softmax")
    result = node.outputs[0]
    result.name, result.shape, result.type = name, scores.shape, scores.type
    model.graph.append(node)
    model.graph.outputs[0] = result
