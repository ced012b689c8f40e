"""Which networks can be tried on crops of pictures instead of whole ones."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.layers import find_layers, static_shape

_PICTURE_SIZED = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "MaxPool",
        "Mul",
        "PRelu",
        "Pad",
        "Relu",
        "Sigmoid",
        "SpaceToDepth",
        "Sub",
        "Tanh",
    }
)
_DEAR_MACS = 100e9  # of one whole picture


def runs_on_crops(model: ir.Model) -> bool:
    """Whether the network gives a crop of its answer for a crop of its input, borders aside.

    InstanceNormalization divides by the spread of what it sees, a crop's instead of the picture's: another
    answer, but the same arithmetic on values of the same size. It counts where whole pictures would take
    minutes.
    """
    for node in model.graph:
        if node.op_type == "Resize":
            if len(node.inputs) < 3 or constant_of(node.inputs[2]) is None:
                return False
        elif node.op_type not in _PICTURE_SIZED and node.op_type != "InstanceNormalization":
            return False
    if len(model.graph.inputs) != 1 or len(static_shape(model.graph.inputs[0])) != 4:
        return False
    return not has_own_statistics(model) or sum(layer.macs for layer in find_layers(model)) > _DEAR_MACS


def has_own_statistics(model: ir.Model) -> bool:
    """Whether the network normalises a picture by its own mean and spread."""
    return any(node.op_type == "InstanceNormalization" for node in model.graph)
