"""Select additions, subtractions and multiplications of pictures, with broadcasting and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Form, Operand, Quantization, Value
from vacc_deploy.lowering.kernels import add, mul
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Clamp, following_clamp
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant operand as it is stored: uint8 codes with their quantisation, or floats."""

    array: Array  # (N, C, H, W)
    quantization: Quantization | None = None

    def plane(self, dtype: str) -> Plane:
        """The plane that holds it."""
        n, c, h, w = self.array.shape
        if self.quantization is not None:
            return Plane(n, c, h, w, "uint8", fill=self.quantization.zero_point)
        return Plane(n, c, h, w, "float32" if dtype == "float32" else "float16")


@dataclass(frozen=True, slots=True)
class BinaryStep:
    """``a ∘ b`` on codes or on floats; one side may be a constant."""

    op: Literal["add", "sub", "mul"]
    a: Operand | Constant
    b: Operand | Constant
    output: Operand
    nodes: tuple[str, ...]
    clamp: Clamp

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The operands that are not constants."""
        return tuple(side for side in (self.a, self.b) if isinstance(side, Operand))

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The integer or the float kernel."""
        assert isinstance(output, Plane)
        waiting = list(inputs)
        planes, scales, constant, which = [], [], None, None
        for name, side in (("a", self.a), ("b", self.b)):
            if isinstance(side, Constant):
                plane, quantization = side.plane(output.dtype), side.quantization
                constant, which = side.array, name
            else:
                plane, quantization = waiting.pop(0), side.value.quantization
            assert isinstance(plane, Plane)
            planes.append(plane)
            scales.append(None if quantization is None else float(quantization.scale))
        low, high = self.clamp.low, self.clamp.high
        output_scale = None
        if output.dtype == "uint8":
            assert self.output.value.quantization is not None
            low, high = self.clamp.codes(self.output.value.quantization)
            output_scale = float(self.output.value.quantization.scale)
        else:
            scales = [None, None]
        numbers = {
            "a_scale": scales[0], "b_scale": scales[1], "output_scale": output_scale, "constant": constant
        }  # fmt: skip
        if self.op == "mul":
            return mul.build(mul.MulSpec(*planes, output, which, low, high), target, **numbers)
        spec = add.AddSpec(*planes, output, which, low, high, subtract=self.op == "sub")
        return add.build(spec, target, **numbers)


_OPS: dict[str, Literal["add", "sub", "mul"]] = {"Add": "add", "Sub": "sub", "Mul": "mul"}


@selector(*_OPS)
def select_integer_binary(node: ir.Node, view: GraphView) -> BinaryStep | None:
    """``DQ(a), DQ(b) → Add → [Relu | Clip] → Q``; either side may be a quantised constant."""
    result, clamp, covered = following_clamp(node.outputs[0], view)
    quantized = view.quantized_output(result)
    if quantized is None:
        return None
    quantize_node, value = quantized
    sides = [_integer_side(operand, view) for operand in node.inputs]
    if any(side is None for side in sides) or not _broadcasts(sides, value.shape):
        return None
    nodes = [node, *covered, quantize_node]
    view.take(nodes)
    return _step(node, sides, Operand(value, Form.QUANTIZED), nodes, clamp)


@selector(*_OPS)
def select_float_binary(node: ir.Node, view: GraphView) -> BinaryStep | None:
    """``Add → [Relu | Clip]`` on float pictures."""
    if not view.is_float_picture(node.outputs[0]):
        return None
    result, clamp, covered = following_clamp(node.outputs[0], view)
    value = view.float_value(result)
    sides = [_float_side(operand, view) for operand in node.inputs]
    if any(side is None for side in sides) or not _broadcasts(sides, value.shape):
        return None
    nodes = [node, *covered]
    view.take(nodes)
    return _step(node, sides, Operand(value, Form.FLOAT_PLANE), nodes, clamp)


def _step(
    node: ir.Node, sides: Sequence[Operand | Constant | None], output: Operand, nodes: list[ir.Node], clamp: Clamp
) -> BinaryStep:
    a, b = sides
    assert a is not None and b is not None
    return BinaryStep(_OPS[node.op_type], a, b, output, tuple(str(member.name) for member in nodes), clamp)


def _integer_side(value: ir.Value | None, view: GraphView) -> Operand | Constant | None:
    source = view.quantized_input(value)
    if source is not None:
        return Operand(source, Form.QUANTIZED) if len(source.shape) == 4 else None
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        return None
    codes, quantization = view.constant(node.inputs[0]), view.quantization(node)
    if codes is None or quantization is None or codes.ndim > 4:
        return None
    stored = (codes.astype(np.int16) + 128 * quantization.signed).astype(np.uint8)
    return Constant(_four_dimensional(stored), quantization)


def _float_side(value: ir.Value | None, view: GraphView) -> Operand | Constant | None:
    constant = view.dequantized_constant(value)
    if constant is not None:
        return Constant(_four_dimensional(constant.astype(view.storage))) if constant.ndim <= 4 else None
    if value is None or not view.is_float_picture(value):
        return None
    return Operand(view.float_value(value), Form.FLOAT_PLANE)


def _four_dimensional(array: Array) -> Array:
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def _broadcasts(sides: Sequence[Operand | Constant | None], output: tuple[int, ...]) -> bool:
    """Whether each side is full, per channel, per pixel or a single value, and not all are constants."""
    shapes = []
    for side in sides:
        if side is None:
            return False
        shapes.append(side.array.shape if isinstance(side, Constant) else side.value.shape)
    if all(isinstance(side, Constant) for side in sides):
        return False
    return all(
        shape[0] in (1, output[0]) and shape[1] in (1, output[1]) and shape[2:] in (output[2:], (1, 1))
        for shape in shapes
    )
