"""Functions that a model defines itself (exporters write modules as such), replaced by their nodes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx.inliner

from vacc_deploy.errors import ModelError

_MAX_NODES = 25_000  # as many as the largest file that is read may hold without functions
_MAX_DEPTH = 64  # of functions that call functions

_Key = tuple[str, str]  # domain, name


def inline_functions(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model without functions of its own; itself if it has none.

    Args:
        model: Any model.
        where: Its file, for messages.

    Raises:
        ModelError: Functions call each other in a circle, or make more nodes than any network has.
    """
    if not model.functions:
        return model
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    sizes: dict[_Key, int] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        """Nodes after inlining; each function is counted once, however often it is called."""
        if depth > _MAX_DEPTH:
            raise _refused(f"functions call each other more than {_MAX_DEPTH} levels deep", where)
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], depth + 1)
            total += sizes.get(key, 1)
            if total > _MAX_NODES:
                raise _refused(f"functions make more than {_MAX_NODES} nodes", where)
        return total

    size(model.graph.node, 0)
    return onnx.inliner.inline_local_functions(model)


def _refused(what: str, where: str) -> ModelError:
    return ModelError(
        f"the model's own {what}", where=where, hint="export the network without functions of its own"
    )
