"""Select concatenations of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Quantization, Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import channels
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.table import requantize_table

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ConcatStep:
    """Pictures one behind the other along the channels; codes of another scale pass through a table."""

    inputs: tuple[Operand, ...]
    output: Operand
    nodes: tuple[str, ...]
    op: str = "concat"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The copying kernel."""
        planes, output = [as_plane(layout) for layout in inputs], as_plane(output)
        tables = self._tables()
        spec = channels.concat(
            planes, output, [index in tables for index in range(len(planes))] if tables else ()
        )
        return channels.build(spec, target, tables or None)

    def _tables(self) -> dict[int, Array]:
        result = self.output.value.quantization
        if result is None:
            return {}
        sources = [operand.value.quantization for operand in self.inputs]
        return {
            index: _change_of_scale(source, result)
            for index, source in enumerate(sources)
            if source is not None and source != result
        }


def _change_of_scale(source: Quantization, result: Quantization) -> Array:
    return requantize_table(
        scale=float(source.scale),
        zero_point=source.zero_point,
        dtype=np.uint8,
        output_scale=float(result.scale),
        output_zero_point=result.zero_point,
        output_dtype=np.uint8,
    )


def select_concat(node: ir.Node, view: GraphView) -> ConcatStep | None:
    """``DQ(a), DQ(b), … → Concat → Q``, or float pictures; along the channels."""
    if node.attributes.get_int("axis", 1) not in (1, -3) or len(view.shape(node.outputs[0])) != 4:
        return None
    group = view.group(node)
    if group is not None and group.output is not None and len(group.operands) == len(node.inputs):
        if any(codes.constant is not None for codes in group.operands):
            return None
        coded = tuple(view.coded_input(group, index) for index in range(len(node.inputs)))
        return ConcatStep(coded, view.coded_output(group), view.take(view.group_nodes(group)))
    floats = [value for value in node.inputs if value is not None and view.is_float_picture(value)]
    if len(floats) != len(node.inputs):
        return None
    operands = tuple(view.float_plane(value) for value in floats)
    return ConcatStep(operands, view.float_plane(node.outputs[0]), view.take([node]))
