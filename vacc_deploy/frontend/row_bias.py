"""Rewrites the constant bias of a Gemm from a row, (1, N), to the (N,) that a fully connected layer has.

PyTorch's exporter leaves the row where a bias is added after a matrix product (StyleGAN2's style layers);
the sum is the same, and only a bias of one number per output channel goes into an integer accumulator.
"""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.frontend.new_values import add_constant


def row_bias(model: ir.Model) -> int:
    """Rewrite every such bias of `model`, in place; returns how many."""
    rewritten = 0
    for node in list(model.graph):
        value = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None
        bias = value.const_value.numpy() if value is not None and value.const_value is not None else None
        if value is None or bias is None or bias.ndim != 2 or bias.shape[0] != 1 or bias.shape[1] == 1:
            continue
        node.replace_input_with(2, add_constant(model.graph, f"{value.name}.row", bias[0]))
        rewritten += 1
    return rewritten
