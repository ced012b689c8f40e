"""How an int8 convolution is cut into AMX tiles, and how its weights are packed for them.

One tile product multiplies 16 neighbouring output pixels × up to 64 bytes of a source row with 16 output
channels. The bytes that one row of the kernel window reads lie next to each other in a plane (window columns
times channels of the block), so they are cut into equal *segments* of at most 64 bytes: one per tap for a
block of 64 channels, one for all taps of a 3-channel input. The tile's row stride is the distance of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import pad_channels
from vacc_deploy.lowering.kernels.isa.function import argument
from vacc_deploy.lowering.kernels.isa.tile import ROW_BYTES, ROWS
from vacc_deploy.lowering.kernels.isa.vector import Buffer

Array: TypeAlias = npt.NDArray[Any]

LANES = ROW_BYTES // 4
"""Output channels of a tile."""
_LARGEST_WINDOW = 49  # steps per channel block that are unrolled


@dataclass(frozen=True, slots=True)
class Blocking:
    """How a convolution is cut into tiles.

    Attributes:
        channel_tiles: Output-channel tiles of a block, 1 or 2.
        pixel_starts: First pixel of each pixel tile of a block, from the block's first pixel.
        rows: Pixels of a pixel tile, 16 unless the picture is narrower.
        blocks: Blocks of one output row; the last one overlaps the one before it.
        segments: Pieces of one window row.
        segment_bytes: Bytes of a piece, at most 64.
    """

    channel_tiles: int
    pixel_starts: tuple[int, ...]
    rows: int
    blocks: int
    segments: int
    segment_bytes: int

    @property
    def span(self) -> int:
        """Pixels from the first to the last of a block."""
        return self.pixel_starts[-1] + self.rows


def choose_blocking(spec: QConv2dSpec) -> Blocking | None:
    """The blocking for this geometry, or None for windows too large to unroll."""
    out, (height, width) = spec.target, spec.window.kernel
    channel_tiles = 2 if channel_tiles_of(spec) % 2 == 0 else 1
    rows = min(ROWS, out.width)
    count = min(4 // channel_tiles, -(-out.width // ROWS))
    starts = tuple(min(ROWS * m, out.width - rows) for m in range(count))
    blocks = -(-out.width // (starts[-1] + rows))
    if spec.window.dilation[1] == 1:
        quads = width * spec.source.block // 4
        segments = next(n for n in range(-(-quads // 16), quads + 1) if quads % n == 0)
        segment_bytes = 4 * quads // segments
    else:
        segments, segment_bytes = width, spec.source.block
    if height * segments > _LARGEST_WINDOW:
        return None
    return Blocking(channel_tiles, starts, rows, blocks, segments, segment_bytes)


def channel_tiles_of(spec: QConv2dSpec) -> int:
    """Tiles of 16 output channels."""
    return -(-spec.target.channels // LANES)


def pack_amx(spec: QConv2dSpec, blocking: Blocking, weights: Array) -> Array:
    """Weights as B tiles: (group, input block, window row, segment, channel tile, 16, 64) int8."""
    source, (height, width) = spec.source, spec.window.kernel
    tiles, wide = channel_tiles_of(spec), blocking.channel_tiles
    padded = pad_channels(pad_channels(weights, 0, tiles * LANES), 1, source.blocks * source.block)
    bytes_of_row = padded.reshape(tiles, LANES, source.blocks, source.block, height, width)
    bytes_of_row = bytes_of_row.transpose(2, 4, 5, 3, 0, 1)  # input block, dy, dx, channel, tile, lane
    quads = blocking.segment_bytes // 4
    shape = (source.blocks, height, blocking.segments, quads, 4, tiles // wide, wide, LANES)
    ordered = bytes_of_row.reshape(shape).transpose(5, 0, 1, 2, 6, 3, 7, 4)
    packed = np.zeros((*ordered.shape[:5], ROWS, ROW_BYTES), np.int8)
    packed[..., :quads, :] = ordered.reshape(*ordered.shape[:6], ROW_BYTES)
    return packed


def weights_argument(name: str, spec: QConv2dSpec, blocking: Blocking) -> Buffer:
    """Declares the weights that `pack_amx` packs."""
    groups = channel_tiles_of(spec) // blocking.channel_tiles
    window = (spec.source.blocks, spec.window.kernel[0], blocking.segments)
    return argument(name, (groups, *window, blocking.channel_tiles, ROWS, ROW_BYTES), "int8")
