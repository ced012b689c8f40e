"""The card's tiled float16 layout: blocks of 8 columns, 8 rows and 4 channels.

``(N, W/8, H/8, C/4, 256)``; within a block the channel is outermost, then the row, then the column. Sides
that are not multiples are filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_SIDE, _CHANNELS = 8, 4
_BLOCK = _SIDE * _SIDE * _CHANNELS


def is_tiled_shape(shape: Sequence[int]) -> bool:
    """Whether a shape is one of the tiled layout."""
    return len(shape) == 5 and shape[-1] == _BLOCK


def tile(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N, C, H, W) to tiles."""
    n, c, h, w = array.shape
    blocks_c, blocks_h, blocks_w = -(-c // _CHANNELS), -(-h // _SIDE), -(-w // _SIDE)
    padded = np.zeros((n, blocks_c * _CHANNELS, blocks_h * _SIDE, blocks_w * _SIDE), array.dtype)
    padded[:, :c, :h, :w] = array
    split = padded.reshape(n, blocks_c, _CHANNELS, blocks_h, _SIDE, blocks_w, _SIDE)
    return split.transpose(0, 5, 3, 1, 2, 4, 6).reshape(n, blocks_w, blocks_h, blocks_c, _BLOCK)


def untile(tiles: npt.NDArray[Any], shape: Sequence[int]) -> npt.NDArray[Any]:
    """Tiles to (N, C, H, W) of `shape`, the filling cut off."""
    n, blocks_w, blocks_h, blocks_c, _ = tiles.shape
    split = tiles.reshape(n, blocks_w, blocks_h, blocks_c, _CHANNELS, _SIDE, _SIDE)
    padded = split.transpose(0, 3, 4, 2, 5, 1, 6)
    padded = padded.reshape(n, blocks_c * _CHANNELS, blocks_h * _SIDE, blocks_w * _SIDE)
    _, c, h, w = shape
    return np.ascontiguousarray(padded[:, :c, :h, :w])
