"""Floats as a direct convolution sums them, and the inputs that it widens first."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.source import FloatSource
from vacc_deploy.lowering.kernels.convolution.products import Inputs, Multiplicand, Products
from vacc_deploy.lowering.kernels.convolution.section import Registers
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import scratch
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, let, splat, store
from vacc_deploy.lowering.plane import Plane, StorageType

Array: TypeAlias = npt.NDArray[Any]

_VECTORS = 2  # most vectors of outputs in a register block


class FloatProducts(Products[FloatSource]):
    """float32 sums of float16 or float32 inputs and weights; products by FMA where the target has it."""

    depth = 1
    element = "float32"

    def __init__(self, simd: FloatSimd, y: Plane, weights: StorageType) -> None:
        self.simd = simd
        self.weight_dtype = simd.weight_dtype(weights)
        lanes = min(simd.lanes, y.block)
        self.weight_elements = lanes
        # One register for the activation, one per weight vector, one spare. Few vectors of outputs make
        # long rows of pixels, which read the weights less often.
        sums = {v: simd.registers - v - 2 for v in range(1, _VECTORS + 1)}
        self.registers = Registers(lanes, _VECTORS, sums)

    def pack(self, weights: Array) -> Array:  # noqa: D102
        return np.ascontiguousarray(weights.reshape(*weights.shape[:-3], -1)).astype(self.weight_dtype)

    def prepare(self, x: FloatSource, shape: tuple[int, int]) -> Inputs:  # noqa: D102
        return WidenedRows(x, shape, self.registers.lanes)

    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Multiplicand:  # noqa: D102
        return let(self.simd.load(buffer, index, self.weight_elements))

    def add_product(self, acc: Expr, activation: Multiplicand, weights: Multiplicand) -> Expr:  # noqa: D102
        return acc + activation * weights


class WidenedRows(Inputs):
    """Inputs copied to float32: widening costs once per window instead of once per tap and output vector."""

    def __init__(self, x: FloatSource, shape: tuple[int, int], lanes: int) -> None:
        self.x, self.lanes = x, lanes
        self.rows = shape[0]
        self.wide = scratch((shape[0], x.plane.blocks, shape[1], x.plane.block), "float32")

    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:  # noqa: D102
        plane = self.x.plane
        lanes = min(self.x.simd.lanes, plane.block)
        with T.serial(0, self.rows) as r, T.serial(0, plane.blocks) as b:
            channels = range(0, plane.block, lanes)
            factors = {channel: self.x.factors(n, b, channel, lanes) for channel in channels}
            with T.serial(0, columns) as c:
                for channel in channels:
                    pixel = self.x.widened((n, b, top + r, left + c, channel), lanes, factors[channel])
                    store(self.wide, (r, b, c, channel), pixel)

    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Multiplicand:  # noqa: D102
        return let(splat(self.wide[row, block, column, channel], self.lanes))
