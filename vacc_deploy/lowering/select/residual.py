"""Find the addition that alone reads a convolution's quantised result, so that one kernel does both."""

from __future__ import annotations

from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.qdq_groups import Group


def following_addition(group: Group, view: GraphView) -> tuple[Group, int] | None:
    """The residual addition behind a convolution, and which of its operands is the other one.

    ::

        Conv ► Q ► DQ ► Add ► [Relu] ► Q          fused: t = requantise(acc), then the integer addition
                 r ► DQ ─┘
    """
    if group.quantize is None or group.output is None:
        return None
    look = view.sole_consumer(group.quantize.outputs[0])
    if look is None or look.op_type != "DequantizeLinear":
        return None
    node = view.sole_consumer(look.outputs[0])
    addition = view.group(node) if node is not None and node.op_type == "Add" else None
    if addition is None:
        return None
    names = [codes.name for codes in addition.operands]
    if group.output.name not in names or names[0] == names[1]:
        return None
    other = 1 - names.index(group.output.name)
    shapes = [view.shape(value) for value in addition.node.inputs if value is not None]
    if addition.operands[other].constant is not None or shapes[0] != shapes[1]:
        return None
    return addition, other
