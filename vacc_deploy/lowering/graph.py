"""The graph between ONNX and Relax: values with their physical forms, and the steps that make them.

Selection turns an ONNX graph into a list of `Step`s. A step reads values in the forms it names and makes
one value in one form. The layout pass then inserts conversions between forms and sizes the halos, and
emission asks every step for its kernel. The same list, written down, is the artifact's run stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import Target


class Form(str, Enum):
    """How a value lies in memory."""

    QUANTIZED = "uint8 plane"
    FLOAT_PLANE = "float plane"
    PLAIN = "plain"  # row-major, as ONNX sees it


@dataclass(frozen=True, slots=True)
class Quantization:
    """Scale and zero point of a quantised value as it is stored: uint8, a symmetric int8 shifted by 128."""

    scale: np.float32
    zero_point: int
    signed: bool  # the ONNX type was int8

    @property
    def onnx_zero_point(self) -> int:
        """The zero point that the ONNX file states."""
        return self.zero_point - 128 if self.signed else self.zero_point


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of the graph."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # numpy name of a plain value's type; the storage type for floats
    quantization: Quantization | None = None

    @property
    def picture_shape(self) -> tuple[int, int, int, int]:
        """The shape as N, C, H, W; a vector per item counts as a picture of one pixel."""
        if len(self.shape) == 4:
            return (self.shape[0], self.shape[1], self.shape[2], self.shape[3])
        if len(self.shape) == 2:
            return (self.shape[0], self.shape[1], 1, 1)
        raise ValueError(f"{self.name} of shape {self.shape} has no plane form")

    @property
    def float_type(self) -> Literal["float32", "float16"]:
        """The storage type of a float value."""
        return "float32" if self.dtype == "float32" else "float16"

    def plane(self, form: Form, halo: Halo) -> Plane:
        """The plane that holds this value."""
        n, c, h, w = self.picture_shape
        if form is Form.QUANTIZED:
            assert self.quantization is not None, self.name
            return Plane(n, c, h, w, "uint8", halo, self.quantization.zero_point)
        return Plane(n, c, h, w, self.float_type, halo)


Place: TypeAlias = tuple[str, Form]
"""A value's name and a form: one buffer."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as a step reads or makes it: in which form; for one that it reads, how far beyond its edges."""

    value: Value
    form: Form
    reach: Halo = field(default_factory=Halo)

    @property
    def place(self) -> Place:
        """The buffer that holds it."""
        return self.value.name, self.form

    @property
    def step(self) -> float | None:
        """The quantisation scale of codes, None for floats."""
        quantization = self.value.quantization
        return float(quantization.scale) if quantization and self.form is Form.QUANTIZED else None


def as_plane(layout: Plane | Value) -> Plane:
    """`layout`, which the step's own operands say is a plane."""
    assert isinstance(layout, Plane), layout
    return layout


class Step(Protocol):
    """One operator of the run stream."""

    @property
    def op(self) -> str:
        """The operator's name in the run stream (``conv2d``, ``add``, …)."""

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the ONNX nodes that this step computes, the one that it is known by first."""

    @property
    def inputs(self) -> Sequence[Operand]:
        """What it reads."""

    @property
    def output(self) -> Operand:
        """What it makes; `reach` is ignored."""

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The kernel for operands of these layouts: a `Plane`, or a `Value` for a plain operand."""


@dataclass(frozen=True, slots=True)
class GenericStep:
    """An ONNX node without a kernel of ours: Relax's own ONNX importer and code generator compute it."""

    node: Any  # onnx_ir.Node
    inputs: tuple[Operand, ...]
    outputs: tuple[Value, ...]
    constants: Mapping[str, npt.NDArray[Any]]  # of the node's inputs that never change

    @property
    def op(self) -> str:
        """The ONNX operator's name, as it is."""
        return str(self.node.op_type)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The one node."""
        return (str(self.node.name),)


@dataclass(slots=True)
class StepGraph:
    """The whole network: its boundary values and the steps in execution order.

    `dequantized` names the float tensors that are only another look at a quantised one (the outputs of
    DequantizeLinear); they are made when a step wants them as floats.
    """

    name: str
    inputs: list[Value]
    outputs: list[Value]
    steps: list[Step | GenericStep] = field(default_factory=list)
    dequantized: dict[str, Operand] = field(default_factory=dict)
