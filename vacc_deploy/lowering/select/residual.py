"""Find the addition that alone reads a convolution's quantised result, so that one kernel does both."""

from __future__ import annotations

from dataclasses import dataclass

from vacc_deploy.lowering.graph import Operand
from vacc_deploy.lowering.select.codes import following_group, stored_range
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.add import AddFactors, add_factors
from vacc_deploy.runtime.reference.qdq_groups import Group


@dataclass(frozen=True, slots=True)
class Addition:
    """A residual that the convolution's kernel adds after its own requantisation."""

    other: Operand
    clamp: tuple[int, int]  # of the sum, as stored
    factors: AddFactors


def following_addition(group: Group, view: GraphView) -> tuple[Group, int] | None:
    """The residual addition behind a convolution, and which of its operands is the other one.

    ::

        Conv ► Q ► DQ ► Add ► [Relu] ► Q          fused: t = requantise(acc), then the integer addition
                 r ► DQ ─┘
    """
    addition = following_group(group, view)
    if addition is None or addition.node.op_type != "Add" or group.output is None:
        return None
    names = [codes.name for codes in addition.operands]
    other = 1 - names.index(group.output.name)
    shapes = [view.shape(value) for value in addition.node.inputs if value is not None]
    if names[0] == names[1] or addition.operands[other].constant is not None or shapes[0] != shapes[1]:
        return None
    return addition, other


def read_addition(group: Group, addition: Group, other: int, view: GraphView) -> Addition:
    """What the kernel needs to know of a fused addition."""
    assert group.output is not None and addition.output is not None
    factors = add_factors(
        float(group.output.scale), float(addition.operands[other].scale), float(addition.output.scale)
    )
    return Addition(view.coded_input(addition, other), stored_range(addition), factors)
