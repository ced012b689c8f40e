"""Simplifies an ONNX model and brings it into one normal form, so that equal networks give equal bytes."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
    TopologicalSortPass,
)

from vacc_deploy.errors import ModelError
from vacc_deploy.version import __version__
from vacc_deploy.without_torch import without_torch

with without_torch():
    import onnxsim

_IR_VERSION = 10  # what every ONNX Runtime and TVM of the last two years reads


def simplify(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Fold constants and remove what has no effect, without changing results.

    Raises:
        ModelError: The model is not valid ONNX.
    """
    properties = {item.key: item.value for item in model.metadata_props}
    try:
        simplified, _ = onnxsim.simplify(model, check_n=0)
    except Exception as error:
        raise ModelError(
            "the model cannot be simplified", where=where, why=str(error), hint="check it with onnx.checker"
        ) from error
    assert isinstance(simplified, onnx.ModelProto)
    del simplified.metadata_props[:]  # the simplifier logs its own doings there
    onnx.helper.set_model_props(simplified, properties)
    return simplified


def normalise(model: onnx.ModelProto) -> ir.Model:
    """One normal form: constants are initialisers in order of use, every node has a name of its own.

    Documentation strings, stack traces, value annotations other than shapes and exporter names are dropped:
    they hold paths and versions.  The model's own metadata properties stay.
    """
    graph_model = ir.serde.deserialize_model(model)
    passes = ir.passes.Sequential(
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        IdentityEliminationPass(),
        CommonSubexpressionEliminationPass(),
        DeduplicateInitializersPass(),
        RemoveUnusedNodesPass(),
        RemoveUnusedOpsetsPass(),
        TopologicalSortPass(),
    )
    passes(graph_model)
    _name_nodes(graph_model.graph)
    _sort_initializers(graph_model.graph)
    _drop_notes(graph_model)
    return graph_model


def _name_nodes(graph: ir.Graph) -> None:
    """Give every node a unique name; names that are unique already stay."""
    taken: set[str] = set()
    for index, node in enumerate(graph):
        name = node.name or f"{node.op_type}_{index}"
        if name in taken:
            suffix = 1
            while f"{name}_{suffix}" in taken:
                suffix += 1
            name = f"{name}_{suffix}"
        taken.add(name)
        node.name = name


def _sort_initializers(graph: ir.Graph) -> None:
    """Order the initialisers by first use, and name those that have the exporter's running numbers."""
    ordered: dict[str, ir.Value] = {}
    for node in graph:
        for position, value in enumerate(node.inputs):
            if value is None or not value.is_initializer() or value.name is None or value.name in ordered:
                continue
            ordered[value.name] = value
            if not _has_own_name(value.name):
                ordered.pop(value.name)
                value.name = f"{node.name}.input_{position}"
                ordered[value.name] = value
    graph.initializers.clear()
    for name, value in ordered.items():
        graph.initializers[name] = value


def _has_own_name(name: str) -> bool:
    """Whether a constant is called after a parameter, not numbered by an exporter (``onnx::Conv_243``)."""
    return not (name.startswith(("onnx::", "/", "val_", "_val", "_")) or name.rsplit("_", 1)[-1].isdigit())


def _drop_notes(model: ir.Model) -> None:
    model.ir_version = _IR_VERSION
    model.producer_name, model.producer_version = "vacc_deploy", __version__
    model.doc_string = model.domain = None
    model.model_version = None
    graph = model.graph
    graph.name, graph.doc_string = "main", None
    graph.metadata_props.clear()
    values = [*graph.inputs, *graph.initializers.values()]
    for node in graph:
        node.doc_string = None
        node.metadata_props.clear()
        values.extend(node.outputs)
    for value in values:
        value.doc_string = None
        value.metadata_props.clear()
