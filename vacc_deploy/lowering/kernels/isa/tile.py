"""AMX: eight tile registers of 16 rows × 64 bytes, and the dot product of tiles.

`AmxTiles` emits the instructions. `EmulatedTiles` spells the same operations out in plain loops, so that the
control flow of an AMX kernel can be run, bit for bit, on a machine without AMX; it is for tests only.

The tile unit must be configured by the thread that uses it, and the process must have asked Linux for
permission (``arch_prctl(ARCH_REQ_XCOMP_PERM)``) before its first tile instruction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.function import scratch
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    address,
    cast,
    constant,
    effect,
    let,
    load,
    splat,
    store,
    take,
)

ROWS = 16
"""Rows of a full tile."""
ROW_BYTES = 64
"""Bytes of a full tile's row."""


@dataclass(frozen=True, slots=True)
class TileShape:
    """Configured size of one tile register, and what it holds: ``uint8``, ``int8`` or ``int32``."""

    rows: int
    row_bytes: int
    element: str


class Tiles(ABC):
    """Tile registers 0…7 with fixed shapes; construct inside the parallel loop."""

    def __init__(self, shapes: Sequence[TileShape]) -> None:
        self.shapes = tuple(shapes)

    @abstractmethod
    def zero(self, tile: int) -> None:
        """Clears a tile."""

    @abstractmethod
    def load(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:
        """Loads a tile's rows from `index`, ``index + step``, …; the bytes of one row adjoin."""

    @abstractmethod
    def dot(self, acc: int, a: int, b: int) -> None:
        """``acc[m, n] += Σ_k a[m, 4j+k] · b[j, 4n+k]``, uint8 × int8 into int32."""

    @abstractmethod
    def store(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:
        """Stores a tile of sums, row by row as in `load`."""

    @abstractmethod
    def release(self) -> None:
        """Frees the tile unit."""


class AmxTiles(Tiles):
    """The real thing. Only for targets that have it: LLVM aborts the process otherwise."""

    def __init__(self, shapes: Sequence[TileShape]) -> None:
        super().__init__(shapes)
        # The 64-byte configuration: palette 1, row bytes as uint16 from byte 16, rows as uint8 from byte 48.
        words = [1, 0, 0, 0] + [0] * 12
        for tile, shape in enumerate(self.shapes):
            words[4 + tile // 2] |= shape.row_bytes << 16 * (tile % 2)
            words[12 + tile // 4] |= shape.rows << 8 * (tile % 4)
        config = scratch((16,), "int32")
        for i, word in enumerate(words):
            store(config, (i,), constant(word, "int32"))
        effect("llvm.x86.ldtilecfg", address(config, (0,)))

    def zero(self, tile: int) -> None:  # noqa: D102
        effect("llvm.x86.tilezero", _number(tile))

    def load(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:  # noqa: D102
        stride = tirx.const(_stride_bytes(buffer, step), "int64")
        effect("llvm.x86.tileloadd64", _number(tile), address(buffer, index), stride)

    def dot(self, acc: int, a: int, b: int) -> None:  # noqa: D102
        effect("llvm.x86.tdpbusd", _number(acc), _number(a), _number(b))

    def store(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:  # noqa: D102
        stride = tirx.const(_stride_bytes(buffer, step), "int64")
        effect("llvm.x86.tilestored64", _number(tile), address(buffer, index), stride)

    def release(self) -> None:  # noqa: D102
        effect("llvm.x86.tilerelease")


class EmulatedTiles(Tiles):
    """The same, in loops that every target runs."""

    def __init__(self, shapes: Sequence[TileShape]) -> None:
        super().__init__(shapes)
        sizes = {"int32": ROWS * ROWS, "uint8": ROWS * ROW_BYTES, "int8": ROWS * ROW_BYTES}
        self._content = [scratch((sizes[shape.element],), shape.element) for shape in self.shapes]

    def zero(self, tile: int) -> None:  # noqa: D102
        with T.serial(0, ROWS * ROWS) as i:
            store(self._content[tile], (i,), constant(0, "int32"))

    def load(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:  # noqa: D102
        shape, memory = self.shapes[tile], _flat(buffer)
        start, stride = _offset(buffer, index), _offset(buffer, step)
        with T.serial(0, shape.rows) as row:
            value = load(memory, (start + row * stride,), shape.row_bytes)
            store(self._content[tile], (row * ROW_BYTES,), value)

    def dot(self, acc: int, a: int, b: int) -> None:  # noqa: D102
        sums, left, right = self._content[acc], self._content[a], self._content[b]
        with T.serial(0, self.shapes[a].rows) as m, T.serial(0, self.shapes[a].row_bytes // 4) as j:
            weights = let(load(right, (j * ROW_BYTES,), ROW_BYTES))
            total = load(sums, (m * ROWS,), ROWS)
            for k in range(4):
                x = cast(load(left, (m * ROW_BYTES + 4 * j + k,)), "int32")
                total = total + splat(x, ROWS) * cast(take(weights, range(k, ROW_BYTES, 4)), "int32")
            store(sums, (m * ROWS,), total)

    def store(self, tile: int, buffer: Buffer, index: Sequence[Expr], step: Sequence[int]) -> None:  # noqa: D102
        start, stride = _offset(buffer, index), _offset(buffer, step)
        with T.serial(0, self.shapes[tile].rows) as row:
            value = load(self._content[tile], (row * ROWS,), ROWS)
            store(_flat(buffer), (start + row * stride,), value)

    def release(self) -> None:  # noqa: D102
        pass


def _number(tile: int) -> Expr:
    return tirx.const(tile, "int8")


def _offset(buffer: Buffer, index: Sequence[Expr]) -> Expr:
    """The element of a dense buffer's memory that `index` stands for."""
    offset = index[0]
    for i, size in zip(index[1:], buffer.shape[1:], strict=True):
        offset = offset * int(size) + i
    return offset


def _stride_bytes(buffer: Buffer, step: Sequence[int]) -> int:
    return np.dtype(str(buffer.dtype)).itemsize * int(_offset(buffer, step))


def _flat(buffer: Buffer) -> Buffer:
    """The same memory with one axis: a tile's row may run on into the next pixel."""
    size = prod(int(extent) for extent in buffer.shape)
    return T.decl_buffer((size,), str(buffer.dtype), data=buffer.data, scope=buffer.scope(), layout=None)
