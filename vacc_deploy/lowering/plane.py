"""The physical layout of a picture-shaped tensor inside a compiled network.

Every 4-D activation that our kernels touch is a *plane*: NHWC in channel blocks with a halo,

    (N, channel_blocks, top + H + bottom, left + W + right, block)

One block of 64 uint8 channels is one cache line and one row of an AMX tile, so a convolution tap is
only an address offset and no im2col exists. The halo holds what the consumers' padding reads: the zero
point (`fill`) of a quantised tensor, 0 of a float one. Whoever writes a plane also writes its halo,
because Relax's memory planner reuses buffers.

Quantised activations are stored as uint8 whatever the scheme: a symmetric int8 value q lies in memory
as q + 128 with zero point 128. One storage type serves both schemes and is what VNNI and AMX multiply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StorageType = Literal["uint8", "float16", "float32"]


def block_of(channels: int) -> int:
    """Channels per block for a tensor of `channels` channels: 4, 16, 32 or 64."""
    for block in (4, 16, 32):
        if channels <= block:
            return block
    return 64


@dataclass(frozen=True, slots=True)
class Halo:
    """Border pixels around a plane's interior."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def union(self, other: Halo) -> Halo:
        """The smallest halo that covers both."""
        return Halo(
            max(self.top, other.top),
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def covers(self, other: Halo) -> bool:
        """Whether no side of `other` is wider."""
        return self.union(other) == self


@dataclass(frozen=True, slots=True)
class Plane:
    """Shape, storage type and halo of one activation; see the module's docstring for the layout."""

    batch: int
    channels: int
    height: int
    width: int
    dtype: StorageType
    halo: Halo = Halo()
    fill: int = 0  # value of halo pixels and unused channels: the zero point, or 0 for floats

    @property
    def size(self) -> tuple[int, int]:
        """The picture's (height, width)."""
        return (self.height, self.width)

    @property
    def block(self) -> int:
        """Channels per block."""
        return block_of(self.channels)

    @property
    def blocks(self) -> int:
        """Number of channel blocks."""
        return -(-self.channels // self.block)

    @property
    def rows(self) -> int:
        """Stored rows, halo included."""
        return self.halo.top + self.height + self.halo.bottom

    @property
    def columns(self) -> int:
        """Stored columns, halo included."""
        return self.halo.left + self.width + self.halo.right

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """The buffer's shape, (N, blocks, rows, columns, block)."""
        return (self.batch, self.blocks, self.rows, self.columns, self.block)
