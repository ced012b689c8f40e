"""Select additions, subtractions and multiplications of pictures, with broadcasting and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Operand, Quantization, Value, as_plane
from vacc_deploy.lowering.kernels.elementwise import add, mul
from vacc_deploy.lowering.kernels.elementwise.binary import Scales
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import following_activation
from vacc_deploy.lowering.select.codes import code_range, following_codes, stored_codes, stored_range
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant operand as it is stored: uint8 codes with their quantisation, or floats."""

    array: Array  # (N, C, H, W)
    quantization: Quantization | None = None

    @property
    def step(self) -> float | None:
        """The quantisation scale of codes, None for floats."""
        return None if self.quantization is None else float(self.quantization.scale)

    def plane(self, dtype: str) -> Plane:
        """The plane that holds it; `dtype` is the result's."""
        n, c, h, w = self.array.shape
        if self.quantization is not None:
            return Plane(n, c, h, w, "uint8", fill=self.quantization.zero_point)
        return Plane(n, c, h, w, "float32" if dtype == "float32" else "float16")


@dataclass(frozen=True, slots=True)
class BinaryStep:
    """``a ∘ b`` on codes or on floats; one side may be a constant. Sums of floats may become codes."""

    op: Literal["add", "sub", "mul"]
    a: Operand | Constant
    b: Operand | Constant
    output: Operand
    nodes: tuple[str, ...]
    clamp: tuple[float, float]  # stored codes of a quantised result, reals of a float one

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The operands that are not constants."""
        return tuple(side for side in (self.a, self.b) if isinstance(side, Operand))

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The integer or the float kernel."""
        output, waiting = as_plane(output), iter(inputs)
        a, b = (
            side.plane(output.dtype) if isinstance(side, Constant) else as_plane(next(waiting))
            for side in (self.a, self.b)
        )
        which: Literal["a", "b"] | None = None
        if len(self.inputs) == 1:
            which = "a" if isinstance(self.a, Constant) else "b"
        constant = next((side.array for side in (self.a, self.b) if isinstance(side, Constant)), None)
        scales, (low, high) = self._scales(), self.clamp
        if self.op == "mul":
            product = mul.MulSpec(a, b, output, which, low, high)
            return mul.build(product, target, scales=scales, constant=constant)
        total = add.AddSpec(a, b, output, which, low, high, subtract=self.op == "sub")
        step = self.output.step if scales is None else None
        return add.build(total, target, scales=scales, step=step, constant=constant)

    def _scales(self) -> Scales | None:
        """Steps of both sides and the result; None for floats."""
        a, b, result = self.a.step, self.b.step, self.output.step
        return None if a is None or b is None or result is None else Scales(a, b, result)


BINARY_OPS: dict[str, Literal["add", "sub", "mul"]] = {"Add": "add", "Sub": "sub", "Mul": "mul"}


def select_integer_binary(node: ir.Node, view: GraphView) -> BinaryStep | None:
    """``DQ(a), DQ(b) → Add → [Relu | Clip] → Q``; either side may be a quantised constant."""
    group = view.group(node)
    if group is None or group.output is None or len(view.shape(node.outputs[0])) != 4:
        return None
    sides = [_integer_side(group, index, view) for index in range(2)]
    if not _broadcasts(sides, view.shape(node.outputs[0])):
        return None
    output = view.coded_output(group)
    names = view.take(view.group_nodes(group))
    return BinaryStep(BINARY_OPS[node.op_type], sides[0], sides[1], output, names, stored_range(group))


def select_float_binary(node: ir.Node, view: GraphView) -> BinaryStep | None:
    """``Add → [Relu | Clip] → [Q]`` on float pictures; codes follow sums of two only."""
    if not view.is_float_picture(node.outputs[0]):
        return None
    sides = [_float_side(operand, view) for operand in node.inputs]
    a, b = sides
    if a is None or b is None or not _broadcasts([a, b], view.shape(node.outputs[0])):
        return None
    op = BINARY_OPS[node.op_type]
    result, clamp, covered = following_activation(node.outputs[0], view)
    codes = following_codes(result, view) if op != "mul" and _alike(a, b, view.float_value(result)) else None
    if codes is not None:
        quantize, output = codes
        names = view.take([node, *covered, quantize])
        return BinaryStep(op, a, b, output, names, code_range(clamp.low, clamp.high, output))
    names = view.take([node, *covered])
    return BinaryStep(op, a, b, view.float_plane(result), names, (clamp.low, clamp.high))


def _alike(a: Operand | Constant, b: Operand | Constant, result: Value) -> bool:
    """Whether both sides are tensors of the type that the result would have before it is quantised."""
    return all(isinstance(side, Operand) and side.value.float_type == result.float_type for side in (a, b))


def _integer_side(group: Group, index: int, view: GraphView) -> Operand | Constant:
    codes, value = group.operands[index], group.node.inputs[index]
    assert value is not None
    if codes.constant is None:
        return view.coded_input(group, index)
    quantization = view.coded(codes, codes.constant.shape).value.quantization
    return Constant(_four_dimensional(stored_codes(codes.constant)), quantization)


def _float_side(value: ir.Value | None, view: GraphView) -> Operand | Constant | None:
    constant = view.folded(value)
    if constant is not None:
        return Constant(_four_dimensional(constant.astype(view.storage))) if constant.ndim <= 4 else None
    return view.float_plane(value) if value is not None and view.is_float_picture(value) else None


def _four_dimensional(array: Array) -> Array:
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def _broadcasts(sides: Sequence[Operand | Constant], output: tuple[int, ...]) -> bool:
    """Whether each side is full, per channel, per pixel or a single value, and not all are constants."""
    if all(isinstance(side, Constant) for side in sides):
        return False
    shapes = [side.array.shape if isinstance(side, Constant) else side.value.shape for side in sides]
    return all(
        len(shape) == 4
        and shape[0] in (1, output[0])
        and shape[1] in (1, output[1])
        and shape[2:] in (output[2:], (1, 1))
        for shape in shapes
    )
