"""Feed pictures of any size to a model of a fixed one, in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import RunError

# Input pixels that a tile shows beyond the part it contributes.  More than the reach of VDSR (20) and LESRCNN
# (about 24), so that their tiles join exactly.
MARGIN = 24


def run_tiled(
    run: Callable[[NDArray[np.float32]], NDArray[Any]],
    network_input: NDArray[np.float32],
    size: tuple[int, int],
    margin: int = MARGIN,
) -> NDArray[np.float32]:
    """Run a network of a fixed input size over a picture of another size.

    Tiles start at the picture's own edges, so zero padding happens where it would for the whole picture.
    A picture smaller than the tile is extended by its last row and column, and the result near there
    differs a little from the whole picture's.

    Args:
        run: (1, C, *size) to (1, C', s·size) for a whole number s.
        network_input: (1, C, H, W).
        size: (height, width) of a tile.
        margin: Overlap on each side, input pixels.

    Returns:
        float32 (1, C', s·H, s·W).

    Raises:
        RunError: The network does not keep the picture's geometry.
    """
    height, width = network_input.shape[2:]
    margin = min(margin, min(size) // 4)  # small tiles still advance
    below, beside = max(0, size[0] - height), max(0, size[1] - width)
    extended = np.pad(network_input, ((0, 0), (0, 0), (0, below), (0, beside)), mode="edge")
    result: NDArray[np.float32] | None = None
    scale = 1
    for top in _starts(extended.shape[2], size[0], margin):
        for left in _starts(extended.shape[3], size[1], margin):
            tile = run(extended[:, :, top : top + size[0], left : left + size[1]])
            if result is None:
                scale = _scale(tile, size)
                frame = (extended.shape[2] * scale, extended.shape[3] * scale)
                result = np.empty((*tile.shape[:2], *frame), np.float32)
            skip_y, skip_x = (margin if top else 0), (margin if left else 0)
            part = tile[:, :, skip_y * scale :, skip_x * scale :]
            y, x = (top + skip_y) * scale, (left + skip_x) * scale
            result[:, :, y : y + part.shape[2], x : x + part.shape[3]] = part
    if result is None:
        raise RunError("the picture is empty")
    return result[:, :, : height * scale, : width * scale]


def _starts(length: int, tile: int, margin: int) -> list[int]:
    """Tile positions along one axis; each tile overwrites the last `margin` pixels of the one before it."""
    step = max(1, tile - 2 * margin)
    starts = list(range(0, max(1, length - tile + 1), step))
    if starts[-1] + tile < length:
        starts.append(length - tile)
    return starts


def _scale(tile: NDArray[Any], size: tuple[int, int]) -> int:
    scale = int(tile.shape[2] // size[0])
    if tile.ndim != 4 or tile.shape[2:] != (size[0] * scale, size[1] * scale) or scale < 1:
        raise RunError(f"a network that maps {size} to {tile.shape[2:]} cannot run in tiles")
    return scale
