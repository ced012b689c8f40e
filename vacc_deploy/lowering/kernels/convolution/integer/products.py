"""int8 weights times uint8 codes as a direct convolution sums them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.products import Inputs, Multiplicand, Products
from vacc_deploy.lowering.kernels.convolution.section import Registers
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr

Array: TypeAlias = npt.NDArray[Any]


class CodeProducts(Products[PlaneBuffer]):
    """Exact int32 sums of uint8 codes times int8 weights, four channels at a time."""

    depth = 4
    element = "int32"

    def __init__(self, simd: Simd) -> None:
        self.simd = simd
        self.weight_dtype = simd.weight_dtype
        self.weight_elements = simd.weight_elements
        # Sets without a dot product need two registers per operand and one for the product.
        sums, most = (24, 4) if simd.registers == 32 else (8, 2)
        self.registers = Registers(simd.lanes, most, dict.fromkeys(range(1, most + 1), sums))

    def pack(self, weights: Array) -> Array:  # noqa: D102
        packed = self.simd.pack_dot4(weights)
        return np.ascontiguousarray(packed.reshape(*packed.shape[:-2], -1))

    def prepare(self, x: PlaneBuffer, shape: tuple[int, int]) -> Inputs:  # noqa: D102
        return CodesInPlace(self.simd, x)

    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Multiplicand:  # noqa: D102
        return self.simd.load_weights(buffer, index)

    def add_product(self, acc: Expr, activation: Multiplicand, weights: Multiplicand) -> Expr:  # noqa: D102
        return self.simd.dot4(acc, activation, weights)


class CodesInPlace(Inputs):
    """Codes are multiplied as they lie."""

    def __init__(self, simd: Simd, x: PlaneBuffer) -> None:
        self.simd, self.x = simd, x

    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:  # noqa: D102
        self.n, self.top, self.left = n, top, left

    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Multiplicand:  # noqa: D102
        place = self.x.index(self.n, block, self.top + row, self.left + column, channel)
        return self.simd.spread4(self.x.buffer, place)
