"""The two kinds of numbers that convolutions sum: floats, and int8 weights times uint8 codes.

A `Products` knows how weights are packed, how an input value comes into every lane, and what a step of the
sum is. `direct` builds a whole convolution from one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.convolution.section import Registers
from vacc_deploy.lowering.kernels.isa.function import scratch
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, let, splat, store
from vacc_deploy.lowering.plane import Plane, StorageType

Array: TypeAlias = npt.NDArray[Any]
Operand: TypeAlias = Any
"""A multiplicand in as many vectors as the instruction set needs."""


class Products(ABC):
    """One kind of number.

    Attributes:
        registers: What a register block may hold.
        depth: Input channels that one multiplication sums.
        element: Type of the sums.
        weight_dtype: Type of packed weights.
        weight_elements: Packed weights that one multiplication reads.
    """

    registers: Registers
    depth: int
    element: str
    weight_dtype: str
    weight_elements: int

    @abstractmethod
    def pack(self, weights: Array) -> Array:
        """Packs weights (…, vectors, lanes, depth) into (…, vectors·weight_elements)."""

    @abstractmethod
    def prepare(self, x: PlaneBuffer, shape: tuple[int, int]) -> Inputs:
        """Room for (rows, columns) of input; call it inside the parallel loop."""

    @abstractmethod
    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Operand:
        """Loads the weights of one multiplication."""

    @abstractmethod
    def add_product(self, acc: Expr, activation: Operand, weights: Operand) -> Expr:
        """The sum with one multiplication more."""


class Inputs(ABC):
    """The input pixels that a few register blocks read."""

    @abstractmethod
    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:
        """Moves the window to (top, left), in interior coordinates; only `columns` columns are needed."""

    @abstractmethod
    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Operand:
        """`depth` channels of one pixel of the window, in every lane."""


class FloatProducts(Products):
    """float32 sums of float16 or float32 inputs and weights; products by FMA where the target has it."""

    depth = 1
    element = "float32"

    def __init__(self, simd: FloatSimd, y: Plane, weights: StorageType, vectors: int = 2) -> None:
        self.simd = simd
        self.weight_dtype = simd.weight_dtype(weights)
        lanes = min(simd.lanes, y.block)
        self.weight_elements = lanes
        # One register for the activation, one per weight vector, one spare. Few vectors of outputs make
        # long rows of pixels, which read the weights less often.
        sums = {v: simd.registers - v - 2 for v in range(1, vectors + 1)}
        self.registers = Registers(lanes, vectors, sums)

    def pack(self, weights: Array) -> Array:  # noqa: D102
        return np.ascontiguousarray(weights.reshape(*weights.shape[:-3], -1)).astype(self.weight_dtype)

    def prepare(self, x: PlaneBuffer, shape: tuple[int, int]) -> Inputs:  # noqa: D102
        return WidenedRows(self.simd, x, shape, self.registers.lanes)

    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Operand:  # noqa: D102
        return let(self.simd.load(buffer, index, self.weight_elements))

    def add_product(self, acc: Expr, activation: Operand, weights: Operand) -> Expr:  # noqa: D102
        return acc + activation * weights


class WidenedRows(Inputs):
    """Inputs copied to float32: widening costs once per window instead of once per tap and output vector."""

    def __init__(self, simd: FloatSimd, x: PlaneBuffer, shape: tuple[int, int], lanes: int) -> None:
        self.simd, self.x, self.lanes = simd, x, lanes
        self.rows = shape[0]
        self.wide = scratch((shape[0], x.plane.blocks, shape[1], x.plane.block), "float32")

    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:  # noqa: D102
        plane = self.x.plane
        lanes = min(self.simd.lanes, plane.block)
        with T.serial(0, self.rows) as r, T.serial(0, plane.blocks) as b, T.serial(0, columns) as c:
            for channel in range(0, plane.block, lanes):
                place = self.x.index(n, b, top + r, left + c, channel)
                store(self.wide, (r, b, c, channel), self.simd.load(self.x.buffer, place, lanes))

    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Operand:  # noqa: D102
        return let(splat(self.wide[row, block, column, channel], self.lanes))


class CodeProducts(Products):
    """Exact int32 sums of uint8 codes times int8 weights, four channels at a time."""

    depth = 4
    element = "int32"

    def __init__(self, simd: Simd, vectors: int = 4) -> None:
        self.simd = simd
        self.weight_dtype = simd.weight_dtype
        self.weight_elements = simd.weight_elements
        # Sets without a dot product need two registers per operand and one for the product.
        sums, most = (24, vectors) if simd.registers == 32 else (8, vectors // 2)
        self.registers = Registers(simd.lanes, most, dict.fromkeys(range(1, most + 1), sums))

    def pack(self, weights: Array) -> Array:  # noqa: D102
        packed = self.simd.pack_dot4(weights)
        return np.ascontiguousarray(packed.reshape(*packed.shape[:-2], -1))

    def prepare(self, x: PlaneBuffer, shape: tuple[int, int]) -> Inputs:  # noqa: D102
        return CodesInPlace(self.simd, x)

    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Operand:  # noqa: D102
        return self.simd.load_weights(buffer, index)

    def add_product(self, acc: Expr, activation: Operand, weights: Operand) -> Expr:  # noqa: D102
        return self.simd.dot4(acc, activation, weights)


class CodesInPlace(Inputs):
    """Codes are multiplied as they lie."""

    def __init__(self, simd: Simd, x: PlaneBuffer) -> None:
        self.simd, self.x = simd, x

    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:  # noqa: D102
        self.n, self.top, self.left = n, top, left

    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Operand:  # noqa: D102
        place = self.x.index(self.n, block, self.top + row, self.left + column, channel)
        return self.simd.spread4(self.x.buffer, place)
