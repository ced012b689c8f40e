"""Planes as flat rows: what every element-wise and data-moving kernel is written over.

The interior of one row of one channel block is one contiguous run of ``width · block`` elements, whatever
the halo, so an element-wise kernel needs no pixel loop: it walks runs. `written_rows` opens the parallel loop
over the stored rows of the output and fills their halo; `vectors` walks one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.planes import StoredPlane
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    element_of,
    lanes_of,
    let,
    literal,
    splat,
    store,
)
from vacc_deploy.lowering.plane import Plane

LANES = 64
"""Elements that kernels handle at once: one cache line of codes; LLVM splits it into registers."""


@dataclass(frozen=True, slots=True)
class CodeNumbers:
    """What a kernel is told about a plane of codes when it runs, int32 each.

    Attributes:
        zero_point: The code of 0.
        low: Smallest code of a result.
        high: Largest code of a result.
    """

    zero_point: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class FlatPlane(StoredPlane):
    """A plane argument and the one-dimensional view of its memory.

    Attributes:
        codes: The numbers of a plane of codes; None for floats.
    """

    codes: CodeNumbers | None = None

    def at(self, n: Expr, block: Expr, y: Expr, x: Expr = 0) -> Expr:
        """Offset of pixel (y, x), halo pixels having negative coordinates, of one channel block."""
        plane = self.plane
        row = (n * plane.blocks + block) * plane.rows + y + plane.halo.top
        return (row * plane.columns + x + plane.halo.left) * plane.block


@dataclass(frozen=True, slots=True)
class Plain:
    """An argument that is no plane: a dense row-major array."""

    shape: tuple[int, ...]
    dtype: str


def plain_of(plane: Plane, dtype: str, shape: tuple[int, ...] | None = None) -> Plain:
    """The plain tensor that holds what `plane` holds, (N, C, H, W) or of another `shape` of equal size.

    Raises:
        ModelError: The sizes differ.
    """
    picture = (plane.batch, plane.channels, plane.height, plane.width)
    if shape is not None and math.prod(shape) != math.prod(picture):
        raise ModelError(f"a tensor of shape {shape} does not hold a plane of shape {picture}", where="pack")
    return Plain(picture if shape is None else shape, dtype)


def declare(**arguments: Plane | Plain | None) -> tuple[Any, ...]:
    """Declares the kernel's arguments, in this order, the output last.

    Where planes hold codes, one more argument stands before the output: `codes`, their numbers, which
    `codes.pack_codes` packs. So the code of a kernel depends on shapes only.

    Returns:
        A `FlatPlane` for every plane, a one-dimensional buffer for everything else, None for None.
    """
    given = {name: kind for name, kind in arguments.items() if kind is not None}
    coded = [name for name, kind in given.items() if isinstance(kind, Plane) and kind.dtype == "uint8"]
    *sources, output = given
    buffers = {name: argument(name, given[name].shape, given[name].dtype) for name in sources}
    packed: Buffer = argument("codes", (len(coded) + 2,), "int32") if coded else None
    buffers[output] = argument(output, given[output].shape, given[output].dtype)
    low, high = (let(packed[len(coded) + i]) for i in range(2)) if coded else (None, None)

    def view(name: str, kind: Plane | Plain) -> FlatPlane | Buffer:
        flat = T.decl_buffer((math.prod(kind.shape),), kind.dtype, data=buffers[name].data, layout=None)
        if not isinstance(kind, Plane):
            return flat
        if name not in coded:
            return FlatPlane(kind, flat)
        numbers = CodeNumbers(let(packed[coded.index(name)]), low, high)
        return FlatPlane(kind, flat, numbers, fill=cast(numbers.zero_point, "uint8"))

    return tuple(None if kind is None else view(name, kind) for name, kind in arguments.items())


@contextmanager
def written_rows(output: FlatPlane) -> Iterator[tuple[Expr, Expr, Expr]]:
    """A parallel loop over the rows of `output`; yields (picture, channel block, interior row).

    Halo rows and the halo at both ends of interior rows are filled here; the body writes the interior.
    """
    plane = output.plane
    height, top, bottom = plane.height, plane.halo.top, plane.halo.bottom
    with T.parallel(0, plane.batch * plane.blocks * plane.rows) as i:
        line = T.floordiv(i, plane.rows) if plane.rows > 1 else i
        n, block = (T.floordiv(line, plane.blocks), T.floormod(line, plane.blocks))
        y = T.floormod(i, plane.rows) - top
        if top + bottom == 0:
            fill_side_halo(output, n, block, y)
            yield n, block, y
        else:
            with T.If(tirx.all(y >= 0, y < height)):
                with T.Then():
                    fill_side_halo(output, n, block, y)
                    yield n, block, y
                with T.Else():
                    fill_run(output, output.at(n, block, y, -plane.halo.left), plane.columns * plane.block)


def fill_side_halo(output: FlatPlane, n: Expr, block: Expr, y: Expr) -> None:
    """Fills the halo pixels at both ends of interior row `y`."""
    plane = output.plane
    fill_run(output, output.at(n, block, y, -plane.halo.left), plane.halo.left * plane.block)
    fill_run(output, output.at(n, block, y, plane.width), plane.halo.right * plane.block)


def fill_run(output: FlatPlane, start: Expr, count: int) -> None:
    """Writes the plane's fill value to `count` elements."""

    def fill(at: Expr, channel: int, lanes: int) -> None:
        store(output.buffer, (start + at,), output.filling(lanes))

    vectors(count, output.plane.block, fill)


def vectors(count: int, block: int, body: Callable[[Expr, int, int], None], *, lanes: int = LANES) -> None:
    """Emits ``body(offset, channel, lanes)`` for a run of `count` elements.

    Args:
        count: A multiple of `block`.
        block: Channels per block of the plane that the run lies in.
        body: Emits the work on `lanes` elements from `offset` on, the first of which belongs to channel
            `channel` of the block. Vectors that span several pixels start at channel 0.
        lanes: Most elements at once, a power of two; the tail of a run takes smaller vectors.
    """
    if lanes < block:
        with T.serial(0, count // block) as pixel:
            for channel in range(0, block, lanes):
                body(pixel * block + channel, channel, lanes)
        return
    full, done = divmod(count, lanes)[0], 0
    if full == 1:
        body(0, 0, lanes)
    elif full:
        with T.serial(0, full) as i:
            body(i * lanes, 0, lanes)
    done = full * lanes
    while done < count:
        chunk = 1 << ((count - done).bit_length() - 1)
        body(done, 0, chunk)
        done += chunk


def only_live(value: Expr, output: FlatPlane, block: Expr, channel: int = 0) -> Expr:
    """`value` where lanes belong to channels that exist, the plane's fill value elsewhere.

    Args:
        value: Lanes of the plane's dtype.
        output: The plane that they are written to.
        block: Index of the channel block.
        channel: Channel of the block that the first lane belongs to.
    """
    plane = output.plane
    if plane.channels % plane.block == 0:
        return value
    element, lanes = element_of(value), lanes_of(value)
    counter = "uint8" if element == "uint8" else "int32"
    channels = literal([(channel + lane) % plane.block for lane in range(lanes)], counter)
    live = tirx.min(tirx.IntImm("int32", plane.channels) - block * plane.block, plane.block)
    return T.Select(channels < splat(cast(live, counter), lanes), value, output.filling(lanes))
