"""An ordinary convolution as part of a kernel, and how its work is cut into register blocks.

A transposed convolution is several `Section`s that write interleaved pixels; an ordinary one is a single
section. `direct` emits the code of a section for any kind of number.
"""

from __future__ import annotations

from dataclasses import dataclass

from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.vector import Expr
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Plane

_SCRATCH_BYTES = 256 << 10  # of widened input rows: a quarter of a second-level cache
_MIN_ITEMS = 8  # parallel iterations worth having, for an even share on a few threads


@dataclass(frozen=True, slots=True)
class Section:
    """A convolution of `rows` × `columns` outputs.

    Attributes:
        rows: Output rows computed.
        columns: Output columns computed.
        window: What slides over the input.
        step: (vertical, horizontal) distance of outputs in the output plane.
        offset: (row, column) of the first output in the output plane.
        groups: Equal parts of the channels that are convolved apart.
    """

    rows: int
    columns: int
    window: Window
    step: tuple[int, int] = (1, 1)
    offset: tuple[int, int] = (0, 0)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class SteppedPlane(PlaneBuffer):
    """A plane's buffer seen by a section: output (i, j) lies at ``offset + (i, j)·step``."""

    section: Section

    def index(self, n: Expr, block: Expr, y: Expr, x: Expr, channel: Expr = 0) -> tuple[Expr, ...]:
        """Buffer index of channel `channel` of channel block `block` at the section's output (y, x)."""
        (down, right), (top, left) = self.section.step, self.section.offset
        row, column = y * down + (top + self.plane.halo.top), x * right + (left + self.plane.halo.left)
        return (n, block, row, column, channel)


def stepped(plane: PlaneBuffer, section: Section) -> SteppedPlane:
    """A plane that a section writes or adds, as it sees it."""
    return SteppedPlane(plane.plane, plane.buffer, section)


@dataclass(frozen=True, slots=True)
class Registers:
    """What bounds a register block.

    Attributes:
        lanes: Output channels per vector.
        vectors: Most vectors of output channels.
        sums: Most sums, by number of vectors.
    """

    lanes: int
    vectors: int
    sums: dict[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a section's work is cut.

    Attributes:
        lanes: Output channels per vector.
        vectors: Vectors of output channels per register block.
        parts: Register blocks across the output channels of one channel group.
        pixels: Pixels per register block, along a row.
        rows: Rows per register block (more than 1 where rows are short).
        blocks: Register blocks along a row; the last one starts early rather than being shorter.
        blocks_per_chunk: Register blocks whose input is prepared at once.
        splits: Into how many parallel parts the output channels are cut.
    """

    lanes: int
    vectors: int
    parts: int
    pixels: int
    rows: int
    blocks: int
    blocks_per_chunk: int
    splits: int


def cut_section(section: Section, x: Plane, y: Plane, registers: Registers) -> Cut:
    """The cut of `section` with the fewest instructions.

    Output channels of a group that do not fill its last vector are only allowed in the last group.
    """
    lanes = registers.lanes
    total = -(-(y.channels // section.groups) // lanes)
    stored = max(1, y.blocks * y.block // lanes)

    def cost(shape: tuple[int, int]) -> tuple[float, int]:
        """Half cycles per input channel and tap of a row, with two multiplications and two loads per cycle.

        Fewer than 8 sums wait for each other; loads get in the way a little even where they are few.
        """
        vectors, pixels = shape
        blocks = -(-section.columns // pixels) * -(-total // vectors)
        loads = vectors + pixels
        return blocks * (max(pixels * vectors, loads, 8) + 0.3 * loads), -vectors * pixels

    def fits(vectors: int) -> bool:
        """Whether register blocks of so many vectors write within their group and the plane."""
        return total % vectors == 0 or (section.groups == 1 and -(-total // vectors) * vectors <= stored)

    vectors, pixels = min(
        (
            (vectors, pixels)
            for vectors in range(1, min(registers.vectors, total) + 1)
            if fits(vectors)
            for pixels in range(1, min(registers.sums[vectors] // vectors, section.columns) + 1)
        ),
        key=cost,
    )
    parts, most = -(-total // vectors), registers.sums[vectors] // vectors
    rows = 1
    if 2 * section.columns <= most:
        rows = max(r for r in range(1, most // section.columns + 1) if section.rows % r == 0)
        pixels = section.columns if rows > 1 else pixels
    blocks = -(-section.columns // pixels)
    rows_in = (rows - 1) * section.window.stride[0] + section.window.span[0]
    columns_in = _SCRATCH_BYTES // (4 * x.blocks * x.block * max(1, rows_in))
    per_chunk = max(1, min(blocks, columns_in // (pixels * section.window.stride[1])))
    items, all_parts = y.batch * (section.rows // rows), section.groups * parts
    splits = 1
    if items < _MIN_ITEMS:
        enough = [s for s in range(1, all_parts + 1) if all_parts % s == 0 and s * items >= _MIN_ITEMS]
        splits = enough[0] if enough else all_parts
    return Cut(lanes, vectors, parts, pixels, rows, blocks, per_chunk, splits)
