"""Gives a Gemm the bias of a fully connected layer: one number per output, (N,), inside the operator.

    Gemm(x, W) + b, b of shape (N,) or (1, N)   →   Gemm(x, W, b)
    Gemm(x, W, b), b of shape (1, N)            →   the same with b of shape (N,)

PyTorch's exporters write the first or the second where a bias is added after a matrix product (StyleGAN2's
style layers).  The sum is the same; inside, it needs no rounding of its own and goes into an integer
accumulator.
"""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.frontend.new_values import add_constant, replace_node


def _as_row(value: ir.Value | None, outputs: int) -> ir.TensorProtocol | None:
    """The constant behind `value`, if it holds one number per output in a single row."""
    constant = value.const_value if value is not None else None
    if constant is None or tuple(constant.shape) not in ((outputs,), (1, outputs)):
        return None
    return constant


def _move_addition_in(graph: ir.Graph, gemm: ir.Node) -> bool:
    """Take over the Add that alone reads a Gemm without bias, where it adds such a row."""
    product = gemm.outputs[0]
    readers = list(product.uses())
    if len(readers) != 1 or product.is_graph_output() or gemm.attributes.get_float("beta", 1.0) != 1.0:
        return False
    if product.shape is None or product.shape.is_dynamic():
        return False
    addition = readers[0].node
    row = addition.inputs[1 - readers[0].idx] if addition.op_type == "Add" else None
    if _as_row(row, int(product.shape.numpy()[1])) is None or addition.outputs[0].shape != product.shape:
        return False
    gemm.resize_inputs(3)
    gemm.replace_input_with(2, row)
    replace_node(graph, addition, product)
    return True


def linear_bias(model: ir.Model) -> int:
    """Rewrite every such bias of `model`, in place; returns how many."""
    graph = model.graph
    rewritten = 0
    for node in list(graph):
        if node.op_type != "Gemm":
            continue
        if len(node.inputs) < 3 or node.inputs[2] is None:
            rewritten += _move_addition_in(graph, node)
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        constant = bias.const_value if bias is not None else None
        if bias is None or constant is None or len(constant.shape) != 2 or constant.shape[0] != 1:
            continue
        if constant.shape[1] != 1:  # one number for all outputs stays: Gemm spreads it
            row = constant.numpy()[0]
            node.replace_input_with(2, add_constant(graph, f"{bias.name}.row", row))
            rewritten += 1
    return rewritten
