"""How an int8 Winograd convolution is cut into tiles and chunks of them, and how its weights are packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import pad_channels
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import STEP, Form
from vacc_deploy.lowering.kernels.isa.simd import Simd

Array: TypeAlias = npt.NDArray[Any]

UNROLL = 4
"""Pairs of channels of one iteration of the innermost loop."""
HEAVY_WEIGHTS = 2 << 20
"""Bytes of transformed weights that no second-level cache holds."""
FAR_WEIGHTS = 24 << 20
"""Bytes of transformed weights that no cache holds."""
_SHARED_TILES = 8 << 20  # bytes of transformed inputs that a third-level cache holds beside heavy weights


@dataclass(frozen=True, slots=True)
class Chunk:
    """How many tiles go through the three stages together, and the register tile of their products.

    Attributes:
        tiles: Winograd tiles of one pass; their transforms should stay in the second-level cache.
        rows: Tiles of a register tile.
        vectors: Vectors of output channels of a register tile.
        heavy: The transformed weights do not fit the second-level cache, but the transformed picture fits the
            third: all tiles are transformed first, for all threads, then the threads divide (channel group,
            chunk) pairs, channels first.
        shares: Into how many parts the input channels are cut whose sums are brought back one by one and only
            then added up, because the whole sum would be too large.
    """

    tiles: int
    rows: int
    vectors: int
    heavy: bool = False
    shares: int = 1


@dataclass(frozen=True, slots=True)
class Tiling:
    """A convolution by one of the forms.

    Attributes:
        form: The algorithm.
        spec: The convolution that one result of the form is; its target is as large as the tiles must cover.
        simd: The instruction set.
    """

    form: Form
    spec: QConv2dSpec
    simd: Simd

    @property
    def vectors(self) -> int:
        """Vectors of output channels."""
        return -(-self.spec.target.channels // self.simd.lanes)

    @property
    def channels(self) -> int:
        """Output channels computed, padding included."""
        return self.vectors * self.simd.lanes

    @property
    def per_phase(self) -> int:
        """Input channels, rounded up to whole int16 vectors."""
        return -(-self.spec.source.channels // (2 * self.simd.lanes)) * 2 * self.simd.lanes

    @property
    def depth(self) -> int:
        """Terms of a product: the channels of every phase."""
        return self.per_phase * len(self.form.phases)

    @property
    def columns(self) -> int:
        """Tiles of a row."""
        return -(-self.spec.target.width // STEP)

    @property
    def tiles(self) -> int:
        """Tiles of a picture."""
        return self.columns * -(-self.spec.target.height // STEP)

    @property
    def weight_rows(self) -> int:
        """Matrices of transformed weights: one for every position of every result."""
        return self.form.results * self.form.side**2

    @property
    def weight_bytes(self) -> int:
        """Size of the transformed weights."""
        return self.weight_rows * self.depth * self.channels * 2

    def pays(self, fewest_tiles: Sequence[tuple[int, int]]) -> bool:
        """Whether this is faster than the definition.

        Pictures and channels must be large enough for a tile and for whole vectors, and products here, which
        are of 16 bits, fewer than 8-bit ones are denser.

        Args:
            fewest_tiles: (bytes, tiles), the largest first: transformed weights of so many bytes pay for at
                least so many tiles, since they come from beyond the caches in every inference.
        """
        source, target = self.spec.source, self.spec.target
        whole = source.block >= 2 * self.simd.lanes and target.channels >= self.simd.lanes
        density = 2 if self.simd.weight_dtype == "int8" else 1  # of the definition's products
        fewest = next(fewest for size, fewest in fewest_tiles if self.weight_bytes >= size)
        fits = whole and min(target.size) >= STEP
        return fits and self.form.gain > density and self.tiles >= fewest

    def chunk(self) -> Chunk:
        """How the work is cut."""
        wide = ((4, 4), (3, 4), (5, 4), (2, 8), (1, 16))
        choices = wide if self.simd.registers == 32 else ((2, 4), (4, 2), (1, 4))
        tiles = self.tiles
        vectors, rows = next((v, rows) for v, rows in choices if self.vectors % v == 0)
        rows = min(rows, tiles)
        moved_bytes = tiles * self.form.side**2 * self.depth * 2
        heavy = self.weight_bytes >= HEAVY_WEIGHTS and moved_bytes <= _SHARED_TILES
        # As many tiles as share one pass over the weights, but several chunks for the threads to divide.
        most = 64 if heavy else min(64 if self.weight_bytes >= FAR_WEIGHTS else 32, max(8, tiles // 4))
        sizes = [
            size for size in range(rows, most + 1, rows) if size <= tiles and 2 * size >= min(most, tiles)
        ]
        best = min(sizes or [rows], key=lambda size: (-(-tiles // size) * size, -size))
        return Chunk(best, rows, vectors, heavy)

    def pack(self, chunk: Chunk, filters: Sequence[Sequence[Array]]) -> Array:
        """Transformed weights: (group, weight row, 2 input channels, vector of the group · lanes · 2), int16.

        Args:
            chunk: How the work is cut.
            filters: int8 (C_out, C_in, taps, taps) of every phase of every result.
        """
        groups, width = self.vectors // chunk.vectors, chunk.vectors * self.simd.lanes * 2
        positions, pairs = self.form.side**2, self.per_phase // 2
        packed = np.empty((groups, self.weight_rows, self.depth // 2, width), np.int16)
        for result, phases in enumerate(filters):
            rows = slice(result * positions, (result + 1) * positions)
            for phase, taps in enumerate(phases):
                ordered, terms = self._ordered(chunk, taps), slice(phase * pairs, (phase + 1) * pairs)
                for group in range(groups):  # one after the other, in the caches
                    packed[group, rows, terms] = self.form.transform_taps(ordered[group])
        return packed

    def _ordered(self, chunk: Chunk, taps: Array) -> Array:
        """Taps (C_out, C_in, taps, taps) as (group, taps, taps, 2 input channels, vector · lanes · 2)."""
        padded = pad_channels(pad_channels(taps, 0, self.channels), 1, self.per_phase)
        groups, pairs = self.vectors // chunk.vectors, self.per_phase // 2
        split = padded.reshape(groups, chunk.vectors, self.simd.lanes, pairs, 2, *taps.shape[2:])
        return split.transpose(0, 5, 6, 3, 1, 2, 4).reshape(groups, *taps.shape[2:], pairs, -1)
