"""Addressing planes: interior coordinates, rows in parallel, and the halo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, load, splat, store
from vacc_deploy.lowering.plane import Plane


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """A plane and the TIR buffer that holds it.

    Attributes:
        plane: Its layout.
        buffer: Its memory.
        fill: What its halo holds, where that is known only when the kernel runs; else ``plane.fill``.
    """

    plane: Plane
    buffer: Buffer
    fill: Expr | None = field(default=None, kw_only=True)

    def filling(self, lanes: int) -> Expr:
        """`lanes` elements of what the halo holds."""
        if self.fill is None:
            return constant(self.plane.fill, self.plane.dtype, lanes)
        return splat(self.fill, lanes)


@dataclass(frozen=True, slots=True)
class PlaneBuffer(StoredPlane):
    """A plane whose buffer has the plane's five axes.

    Coordinates are interior ones: (0, 0) is the first pixel of the picture, and negative ones are its halo.
    """

    def index(self, n: Expr, block: Expr, y: Expr, x: Expr, channel: Expr = 0) -> tuple[Expr, ...]:
        """Buffer index of channel `channel` of channel block `block` at pixel (y, x) of picture `n`."""
        return (n, block, y + self.plane.halo.top, x + self.plane.halo.left, channel)

    def load(self, n: Expr, block: Expr, y: Expr, x: Expr, channel: Expr = 0, *, lanes: int = 1) -> Expr:
        """`lanes` channels of one pixel (and of the pixels to its right, where they exceed the block)."""
        return load(self.buffer, self.index(n, block, y, x, channel), lanes)

    def store(self, n: Expr, block: Expr, y: Expr, x: Expr, channel: Expr, value: Expr) -> None:
        """Writes a vector of channels of one pixel."""
        store(self.buffer, self.index(n, block, y, x, channel), value)


def plane_argument(name: str, plane: Plane, *, fill: Expr | None = None) -> PlaneBuffer:
    """Declares the next kernel argument: a plane, perhaps with a `fill` of run time."""
    return PlaneBuffer(plane, argument(name, plane.shape, plane.dtype), fill=fill)


@contextmanager
def parallel_rows(batch: int, rows: int) -> Iterator[tuple[Expr, Expr]]:
    """A parallel loop over `rows` rows of each of `batch` pictures; yields (picture, row).

    TVM gives every thread one contiguous strip of iterations.
    """
    with T.parallel(0, batch * rows) as i:
        yield (0, i) if batch == 1 else (T.floordiv(i, rows), T.floormod(i, rows))


def write_side_halo(target: PlaneBuffer, n: Expr, block: Expr, y: Expr) -> None:
    """Fills the halo pixels left and right of interior row `y` of one channel block."""
    plane = target.plane
    value = target.filling(plane.block)
    for x in (*range(-plane.halo.left, 0), *range(plane.width, plane.width + plane.halo.right)):
        target.store(n, block, y, x, 0, value)


def write_row_halo(target: PlaneBuffer, n: Expr, block: Expr, y: Expr) -> None:
    """Fills the halo beside interior row `y`, above it if it is the first, and below it if it is the last.

    Called for every row, this is the whole halo, without a parallel loop of its own.
    """
    plane = target.plane
    write_side_halo(target, n, block, y)
    value = target.filling(plane.block)
    for edge, beyond in (
        (0, range(-plane.halo.top, 0)),
        (plane.height - 1, range(plane.height, plane.height + plane.halo.bottom)),
    ):
        if beyond:
            with T.If(y == edge), T.Then():
                for line in beyond:
                    with T.serial(0, plane.columns) as x:
                        target.store(n, block, line, x - plane.halo.left, 0, value)


def write_end_halo(target: PlaneBuffer) -> None:
    """Fills the halo rows above and below the picture, corners included; opens its own parallel loop."""
    plane = target.plane
    top, bottom = plane.halo.top, plane.halo.bottom
    if top + bottom == 0:
        return
    value = target.filling(plane.block)
    with T.parallel(0, plane.batch * plane.blocks) as i:
        for y in (*range(top), *range(top + plane.height, plane.rows)):
            with T.serial(0, plane.columns) as x:
                store(
                    target.buffer, (T.floordiv(i, plane.blocks), T.floormod(i, plane.blocks), y, x, 0), value
                )
