"""Direct convolution: a block of pixels times a few vectors of output channels in registers.

A register block takes `Products.depth` input channels of one tap per step: one load of weights per vector,
one input value per pixel spread over all lanes, and a multiplication for each pair. A tap is only an address
offset. Blocks run along rows; the last one of a row overlaps its neighbour and computes some pixels twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.products import Inputs, Products, Source
from vacc_deploy.lowering.kernels.convolution.section import Cut, Section, cut_section
from vacc_deploy.lowering.kernels.isa.function import argument, read, register, write
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let
from vacc_deploy.lowering.plane import Plane

Array: TypeAlias = npt.NDArray[Any]
Finish: TypeAlias = Callable[[Expr, Expr, list[tuple[Expr, Expr, Expr]]], None]

_UNROLL = 4  # multiplications per sum in an iteration of the innermost loop


@dataclass(frozen=True, slots=True)
class DirectConvolution(Generic[Source]):
    """A section, its planes and its kind of numbers; everything that fixes packing and code."""

    section: Section
    x: Plane
    y: Plane
    products: Products[Source]

    @property
    def cut(self) -> Cut:
        """How the work is cut."""
        return cut_section(self.section, self.x, self.y, self.products.registers)

    @property
    def channels(self) -> int:
        """Output channels computed, padding included."""
        cut = self.cut
        return self.section.groups * cut.parts * cut.vectors * cut.lanes

    @property
    def _depth(self) -> int:
        """Multiplications per tap: input channels of a group by `Products.depth`, rounded up."""
        return -(-(self.x.channels // self.section.groups) // self.products.depth)

    @property
    def _shape(self) -> tuple[int, ...]:
        cut, section = self.cut, self.section
        width = cut.vectors * self.products.weight_elements
        if section.window.taps == 0:
            return (1, 1, 1, 1, width)
        return (section.groups * cut.parts, *section.window.kernel, self._depth, width)

    def pack(self, weights: Array) -> Array:
        """Weights (C_out, C_in/groups, kH, kW) in the order in which the code reads them."""
        cut, groups, depth = self.cut, self.section.groups, self.products.depth
        kernel = self.section.window.kernel
        if self.section.window.taps == 0:
            return np.zeros(self._shape, self.products.weight_dtype)
        outputs = cut.parts * cut.vectors * cut.lanes
        grouped = weights.reshape(groups, -1, *weights.shape[1:])
        padded = np.zeros((groups, outputs, self._depth * depth, *kernel), weights.dtype)
        padded[:, : grouped.shape[1], : grouped.shape[2]] = grouped
        split = padded.reshape(groups * cut.parts, cut.vectors, cut.lanes, self._depth, depth, *kernel)
        return self.products.pack(split.transpose(0, 5, 6, 3, 1, 2, 4)).reshape(self._shape)

    def weights_argument(self, name: str) -> Buffer:
        """Declares the packed weights."""
        return argument(name, self._shape, self.products.weight_dtype)

    def emit(self, x: Source, weights: Buffer, start: Callable[[Expr], Expr], finish: Finish) -> None:
        """Appends the parallel loop that computes the section.

        Args:
            x: Input.
            weights: Packed weights.
            start: Gives the initial sums of an output vector.
            finish: ``finish(n, vector, pixels)`` stores sums: ``pixels`` lists (row, column, sum).
        """
        section, window, cut = self.section, self.section.window, self.cut
        row_groups = section.rows // cut.rows
        per_split = section.groups * cut.parts // cut.splits
        chunk = cut.pixels * cut.blocks_per_chunk
        rows_in = (cut.rows - 1) * window.stride[0] + window.span[0]
        columns_in = (min(chunk, section.columns) - 1) * window.stride[1] + window.span[1]
        with T.parallel(0, cut.splits * self.y.batch * row_groups) as item:
            split = T.floordiv(item, self.y.batch * row_groups)
            n = T.floormod(T.floordiv(item, row_groups), self.y.batch)
            row = let(T.floormod(item, row_groups) * cut.rows)
            inputs = self.products.prepare(x, (max(1, rows_in), max(1, columns_in)))
            with T.serial(0, -(-cut.blocks // cut.blocks_per_chunk)) as c:
                first = let(T.min(c * chunk, section.columns - cut.pixels))
                wanted = T.min((c + 1) * chunk, section.columns) - first
                top, left = window.row(row, 0), window.column(first, 0)
                if window.taps:
                    inputs.load(n, top, left, (wanted - 1) * window.stride[1] + window.span[1])
                here = T.min(cut.blocks_per_chunk, cut.blocks - c * cut.blocks_per_chunk)
                with T.serial(0, per_split) as g, T.serial(0, here) as b:
                    block = (c * cut.blocks_per_chunk + b) * cut.pixels
                    column = let(T.min(block, section.columns - cut.pixels))
                    part = let(split * per_split + g)
                    sums = self._sum(inputs, weights, start, part, column - first)
                    for v in range(cut.vectors):
                        pixels = [(row + r, column + p, sums[r, p][v]) for r, p in sums]
                        finish(n, part * cut.vectors + v, pixels)

    def _sum(
        self, inputs: Inputs, weights: Buffer, start: Callable[[Expr], Expr], part: Expr, column: Expr
    ) -> dict[tuple[int, int], list[Expr]]:
        """The sums of one register block by (row, pixel), one per vector."""
        window, cut, products = self.section.window, self.cut, self.products
        lanes = cut.lanes
        sums = {
            (r, p): [register(products.element, lanes) for _ in range(cut.vectors)]
            for r in range(cut.rows)
            for p in range(cut.pixels)
        }
        for v in range(cut.vectors):
            initial = start(part * cut.vectors + v)
            for accumulators in sums.values():
                write(accumulators[v], initial, lanes)
        left = let(column * window.stride[1])

        def step(dy: Expr, dx: Expr, block: Expr, channel: Expr, k: Expr) -> None:
            filters = [
                products.weights(weights, (part, dy, dx, k, v * products.weight_elements))
                for v in range(cut.vectors)
            ]
            for (r, p), accumulators in sums.items():
                row = r * window.stride[0] + dy * window.dilation[0]
                pixel = left + p * window.stride[1] + dx * window.dilation[1]
                activation = inputs.spread(row, block, pixel, channel)
                for acc, taps in zip(accumulators, filters, strict=True):
                    write(acc, products.add_product(read(acc, lanes), activation, taps), lanes)

        if window.taps:
            with T.serial(0, window.kernel[0]) as dy, T.serial(0, window.kernel[1]) as dx:
                self._each_depth(part, lambda block, channel, k: step(dy, dx, block, channel, k))
        return {place: [read(acc, lanes) for acc in accumulators] for place, accumulators in sums.items()}

    def _each_depth(self, part: Expr, body: Callable[[Expr, Expr, Expr], None]) -> None:
        """Calls ``body(block, channel, k)`` in loops over the input channels that `part` sums, in order."""
        depth, size = self.products.depth, self.x.block
        channels = self.x.channels // self.section.groups

        def run(block: Expr, channel: Expr, k: Expr, steps: int) -> None:
            turns = steps // _UNROLL
            if turns:
                with T.serial(0, turns) as i:
                    for u in range(_UNROLL):
                        j = i * _UNROLL + u
                        body(block, channel + j * depth, k + j)
            for u in range(turns * _UNROLL, steps):
                body(block, channel + u * depth, k + u)

        begin: Expr = 0
        if self.section.groups > 1:
            begin = let(T.floordiv(part, self.cut.parts) * channels)
        if channels <= size and (self.section.groups == 1 or size % channels == 0):
            run(T.floordiv(begin, size), T.floormod(begin, size), 0, self._depth)
            return
        full, rest = divmod(channels, size)
        with T.serial(0, full) as block:
            run(T.floordiv(begin, size) + block, 0, block * (size // depth), size // depth)
        if rest:
            run(full, 0, full * (size // depth), -(-rest // depth))


def merged_groups(groups: int, x: Plane, y: Plane, products: Products[Any]) -> int:
    """Into how many groups a grouped convolution is cut, so that each one fills vectors and input blocks.

    Neighbouring groups are merged, with zeros for weights between them, until the merged group's outputs
    are whole vectors and its inputs whole blocks, or an aligned part of one.

    Args:
        groups: The operator's groups.
        x: Input plane.
        y: Output plane.
        products: The numbers that are summed.
    """
    inputs, outputs = x.channels // groups, y.channels // groups
    lanes, depth = products.registers.lanes, products.depth
    for merge in range(1, groups):
        wide = merge * inputs
        aligned = wide % x.block == 0 or (x.block % wide == 0 and wide % depth == 0)
        if groups % merge == 0 and merge * outputs % lanes == 0 and aligned:
            return groups // merge
    return 1


def block_diagonal(weights: Array, groups: int, merged: int) -> Array:
    """Weights (C_out, C_in/groups, kH, kW) of `groups` groups as those of `merged` ones, zeros between."""
    outputs, inputs = weights.shape[:2]
    each, ratio = outputs // groups, groups // merged
    result = np.zeros((outputs, inputs * ratio, *weights.shape[2:]), weights.dtype)
    for group in range(groups):
        place = group % ratio * inputs
        result[group * each : (group + 1) * each, place : place + inputs] = weights[
            group * each : (group + 1) * each
        ]
    return result


def zero_sums(products: Products[Any]) -> Callable[[Expr], Expr]:
    """Sums that start at nothing."""
    return lambda vector: constant(0, products.element, products.registers.lanes)
