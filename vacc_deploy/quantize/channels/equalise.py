"""Give the channels of a tensor more equal ranges, without changing what the network computes.

A tensor has one scale, set by its loudest channels; a quiet channel then has few codes. Dividing channel c
by a factor f_c where the tensor is made, and multiplying by it where the tensor is read, are changes of
weights alone:

    Conv(w, b) ── Relu ── Conv(v)     →     Conv(w/f, b/f) ── Relu ── Conv(v·f)

This is exact wherever only operators that commute with a positive factor per channel lie between: Relu,
PRelu, pooling, resizing, additions. All tensors that such operators connect form a group and share the
factors; a group that anything else touches, or that reaches a network input or output, is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.channels.own_constant import own_constant
from vacc_deploy.quantize.quantized_constants import output_axis

Array = npt.NDArray[Any]
Factors = Mapping[str, Sequence[float]]  # by the name of a group

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_HOMOGENEOUS = frozenset(
    {"Add", "AveragePool", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "PRelu", "Relu", "Resize"}
    | {"Sub"}
)
_PICTURE_CHANNELS = 3  # tensors of so few channels hold pictures, whose channels are alike


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors whose channels can be scaled together.

    Attributes:
        name: The first of the tensors in graph order.
        makers: Convolutions that yield one of them.
        readers: Convolutions that read one of them.
    """

    name: str
    makers: tuple[ir.Node, ...]
    readers: tuple[ir.Node, ...]

    @property
    def read_tensors(self) -> list[str]:
        """Names of the tensors that convolutions read."""
        return list(dict.fromkeys(str(node.inputs[0].name) for node in self.readers if node.inputs[0]))


def find_groups(model: ir.Model) -> list[Group]:
    """The groups of `model` in graph order."""
    leader: dict[ir.Value, ir.Value] = {}
    closed = {*model.graph.inputs, *model.graph.outputs}

    def find(value: ir.Value) -> ir.Value:
        while value in leader:
            value = leader[value]
        return value

    def join(first: ir.Value, second: ir.Value) -> None:
        first, second = find(first), find(second)
        if first is not second:
            leader[second] = first

    for node in model.graph:
        if plain_convolution(node):
            continue
        if _commutes(node):
            for value in node.inputs:
                if value is not None and constant_of(value) is None:
                    join(value, node.outputs[0])
        else:
            closed.update(v for v in (*node.inputs, *node.outputs) if v is not None)
    closed = {find(value) for value in closed}
    makers: dict[ir.Value, list[ir.Node]] = {}
    readers: dict[ir.Value, list[ir.Node]] = {}
    names: dict[ir.Value, str] = {}
    for node in model.graph:
        for value in node.outputs:
            names.setdefault(find(value), str(value.name))
        if plain_convolution(node) and node.inputs[0] is not None:
            makers.setdefault(find(node.outputs[0]), []).append(node)
            readers.setdefault(find(node.inputs[0]), []).append(node)
    return [
        Group(name, tuple(makers[root]), tuple(readers[root]))
        for root, name in names.items()
        if root not in closed and root in makers and root in readers and channels_of(root) > _PICTURE_CHANNELS
    ]


def equalise(model: ir.Model, factors: Factors) -> ir.Model:
    """`model` with the channels of its groups divided by `factors`; itself if there are none.

    Raises:
        DataError: `factors` do not belong to this model.
    """
    if not factors:
        return model
    clone = model.clone()
    groups = {group.name: group for group in find_groups(clone)}
    for name, values in factors.items():
        group, factor = groups.get(name), np.asarray(values, np.float64)
        if (
            group is None
            or factor.shape != (channels_of(group.makers[0].outputs[0]),)
            or not np.all(factor > 0)
        ):
            raise DataError(
                "the calibration table equalises channels that this model does not have",
                where=name,
                hint="calibrate again, or delete the line",
            )
        for node in group.makers:
            _scale(clone.graph, node, 1, 1 / factor, output_axis(node))
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                _scale(clone.graph, node, 2, 1 / factor, 0)
        for node in group.readers:
            _scale(clone.graph, node, 1, factor, 1 - output_axis(node))
    return clone


def plain_convolution(node: ir.Node) -> bool:
    """Whether `node` is a convolution without groups, of constant weights."""
    if node.op_type not in _CONVOLUTIONS or node.domain:
        return False
    if (node.attributes.get_int("group", 1) or 1) != 1:
        return False
    return all(constant_of(value) is not None for value in node.inputs[1:] if value is not None)


def _commutes(node: ir.Node) -> bool:
    """Whether a positive factor per channel may be moved through `node`."""
    if node.op_type not in _HOMOGENEOUS or node.domain or len(node.outputs) != 1:
        return False
    operands = node.inputs if node.op_type in ("Add", "Sub") else node.inputs[:1]
    values = [*operands, node.outputs[0]]
    if any(value is None or constant_of(value) is not None for value in values):
        return False
    return (
        len({channels_of(value) for value in values if value is not None}) == 1 and channels_of(values[0]) > 0
    )


def channels_of(value: ir.Value | None) -> int:
    """Channels of a picture-shaped tensor, 0 for any other one."""
    if value is None or value.shape is None or len(value.shape) != 4:
        return 0
    channels = value.shape[1]
    return channels if isinstance(channels, int) else 0


def _scale(graph: ir.Graph, node: ir.Node, index: int, factor: Array, axis: int) -> None:
    """Multiply a constant operand of `node`, and of no other node, along `axis`."""
    old = node.inputs[index]
    array = constant_of(old)
    assert array is not None
    shape = [1] * array.ndim
    shape[axis] = -1
    own_constant(graph, node, index, array * factor.reshape(shape), "equalised")
