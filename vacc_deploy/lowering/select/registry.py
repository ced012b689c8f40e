"""Which selector looks at which ONNX operator, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import onnx_ir as ir

from vacc_deploy.lowering.graph import Step
from vacc_deploy.lowering.kernels.elementwise.float_functions import FUNCTIONS
from vacc_deploy.lowering.select.binary import BINARY_OPS, select_float_binary, select_integer_binary
from vacc_deploy.lowering.select.concat import select_concat
from vacc_deploy.lowering.select.float_conv import select_float_conv, select_modulated_conv
from vacc_deploy.lowering.select.gemm import select_float_gemm, select_integer_gemm
from vacc_deploy.lowering.select.instance_norm import select_instance_norm
from vacc_deploy.lowering.select.integer_conv import select_integer_conv
from vacc_deploy.lowering.select.pad import select_pad
from vacc_deploy.lowering.select.pool import select_global_pool, select_pool
from vacc_deploy.lowering.select.resize import select_resize
from vacc_deploy.lowering.select.shuffle import select_pixel_shuffle, select_space_to_depth
from vacc_deploy.lowering.select.slice import select_slice
from vacc_deploy.lowering.select.unary import select_function, select_table
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.operator_kinds import TABLE_OPS

Selector = Callable[[ir.Node, GraphView], Step | None]
"""Looks at a node and its surroundings; returns the step that computes it and marks the nodes that the
step covers as taken, or returns None to leave the node to the next one."""

_IN_ORDER: tuple[tuple[Selector, Iterable[str]], ...] = (
    # Integers first: a float selector does not ask whether the reference computes integers.
    (select_integer_conv, ("Conv", "ConvTranspose")),
    (select_integer_gemm, ("Gemm", "MatMul")),
    (select_integer_binary, BINARY_OPS),
    (select_table, TABLE_OPS),
    (select_modulated_conv, ("Mul",)),  # before the multiplication becomes a step of its own
    (select_float_conv, ("Conv", "ConvTranspose")),
    (select_float_gemm, ("Gemm", "MatMul")),
    (select_float_binary, BINARY_OPS),
    (select_function, ("PRelu", *FUNCTIONS)),
    # Codes or floats.
    (select_concat, ("Concat",)),
    (select_global_pool, ("GlobalAveragePool", "GlobalMaxPool")),
    (select_instance_norm, ("InstanceNormalization",)),
    (select_pad, ("Pad",)),
    (select_pixel_shuffle, ("DepthToSpace",)),
    (select_pool, ("AveragePool", "MaxPool")),
    (select_resize, ("Resize",)),
    (select_slice, ("Slice",)),
    (select_space_to_depth, ("SpaceToDepth",)),
)


def _by_operator() -> dict[str, list[Selector]]:
    asked: dict[str, list[Selector]] = {}
    for selector, operators in _IN_ORDER:
        for operator in operators:
            asked.setdefault(operator, []).append(selector)
    return asked


SELECTORS: Mapping[str, Sequence[Selector]] = _by_operator()
"""By ONNX operator, in the order in which they are asked; Relax computes what all of them leave."""
