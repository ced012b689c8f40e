"""Names nodes after the weights they use.

A TorchScript file forgets which module a node came from when it is saved, but keeps the names of its
parameters.  So that a network has the same layer names whichever way it arrives:

    a node with the weight ``conv2.0.weight``  is called  ``conv2.0``
    the second node with that weight                      ``conv2.0_1``
    any other node                                        ``Relu_7``: the eighth of its kind
"""

from __future__ import annotations

from collections import Counter

import onnx

_PARAMETER_ENDINGS = (".weight", ".weight_orig", ".bias")


def _module_of(parameter: str) -> str | None:
    for ending in _PARAMETER_ENDINGS:
        if parameter.endswith(ending):
            return parameter.removesuffix(ending)
    return None


def name_after_weights(model: onnx.ModelProto) -> None:
    """Rename all nodes and inner values of `model`, in place; inputs and outputs keep their names."""
    graph = model.graph
    parameters = {tensor.name for tensor in graph.initializer}
    fixed = {value.name for value in [*graph.input, *graph.output]} | parameters
    renamed: dict[str, str] = {}
    used: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for node in graph.node:
        modules = (_module_of(name) for name in node.input if name in parameters)
        module = next((name for name in modules if name is not None), None)
        if module is None:
            node.name = f"{node.op_type}_{kinds[node.op_type]}"
            kinds[node.op_type] += 1
        else:
            node.name = f"{module}_{used[module]}" if used[module] else module
            used[module] += 1
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for index, name in enumerate(node.output):
            if name and name not in fixed:
                renamed[name] = f"{node.name}.output" + (f"_{index}" if index else "")
                node.output[index] = renamed[name]
    del graph.value_info[:]  # they speak of the old names
