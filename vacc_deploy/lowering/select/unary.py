"""Select unary operators: 256-entry tables on codes, functions on floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.elementwise import prelu, table, unary
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import read_activation
from vacc_deploy.lowering.select.codes import following_group, stored_codes
from vacc_deploy.lowering.select.one_picture import OnePictureStep
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.code_tables import unary_table
from vacc_deploy.runtime.reference.operator_kinds import TABLE_OPS
from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TableStep(OnePictureStep):
    """Every code replaced by an entry of one table."""

    table: Array  # (256,) uint8, stored code to stored code
    op: str = "table"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The look-up kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        return table.build(table.TableSpec(source, output), target, self.table)


@dataclass(frozen=True, slots=True)
class PReluStep(OnePictureStep):
    """``x`` times its channel's slope where it is negative, on codes or on floats."""

    slopes: Array  # (C,) float32
    op: str = "prelu"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The per-channel kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        spec = prelu.PReluSpec(source, output)
        return prelu.build(spec, target, self.slopes, self.source.step, self.output.step)


@dataclass(frozen=True, slots=True)
class FunctionStep(OnePictureStep):
    """A function of one float."""

    function: str  # ONNX operator
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def op(self) -> str:
        """The function's name."""
        return self.function.lower()

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The function's kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        return unary.build(unary.UnarySpec(source, output, self.function, self.alpha, self.beta), target)


def select_table(node: ir.Node, view: GraphView) -> TableStep | PReluStep | None:
    """``DQ → function → Q``."""
    group = view.group(node)
    if group is None or group.output is None:
        return None
    source, output = view.coded_input(group, 0), view.coded_output(group)
    names = view.take(view.group_nodes(group))
    entries = stored_table(group)
    if entries.ndim == 1:
        return TableStep(source, output, names, entries)
    activation = read_activation(node, view)
    assert activation is not None and activation.slope is not None  # tables per channel are PRelu's
    return PReluStep(source, output, names, activation.slope)


def select_function(node: ir.Node, view: GraphView) -> FunctionStep | PReluStep | None:
    """A function of a float picture."""
    picture = node.inputs[0]
    if picture is None or not view.is_float_picture(picture):
        return None
    source, output = view.float_plane(picture), view.float_plane(node.outputs[0])
    if node.op_type in ("Clip", "PRelu"):
        activation = read_activation(node, view)
        if activation is None:
            return None
        if node.op_type == "Clip":
            return FunctionStep(source, output, view.take([node]), "Clip", activation.low, activation.high)
        assert activation.slope is not None
        slopes = np.broadcast_to(activation.slope, (source.value.shape[1],)).copy()
        return PReluStep(source, output, view.take([node]), slopes)
    if node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") != "none":
        return None
    alpha, beta = _DEFAULTS.get(node.op_type, (0.0, 0.0))
    alpha = float(node.attributes.get_float("alpha", alpha) or 0.0)
    beta = float(node.attributes.get_float("beta", beta) or 0.0)
    return FunctionStep(source, output, view.take([node]), node.op_type, alpha, beta)


_DEFAULTS = {"LeakyRelu": (0.01, 0.0), "Elu": (1.0, 0.0), "HardSigmoid": (0.2, 0.5)}


def stored_table(group: Group) -> Array:
    """The table of a unary group, from stored code to stored code; (C, 256) for slopes per channel."""
    assert group.output is not None
    return stored_codes(unary_table(group.node, group.operands[0], group.output))


def following_table(group: Group, view: GraphView) -> Group | None:
    """The unary operator with one table that alone reads a group's codes."""
    found = following_group(group, view)
    if found is None or found.node.op_type not in TABLE_OPS or stored_table(found).ndim != 1:
        return None
    return found
