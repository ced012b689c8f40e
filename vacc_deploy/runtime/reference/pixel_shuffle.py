"""DepthToSpace and SpaceToDepth on codes: data movement."""

from __future__ import annotations

from typing import Any, Literal

import numpy.typing as npt

Array = npt.NDArray[Any]


def pixel_shuffle(x: Array, block: int, mode: Literal["DCR", "CRD"] = "CRD") -> Array:
    """ONNX ``DepthToSpace``: (N, C·b², H, W) → (N, C, H·b, W·b); PyTorch's PixelShuffle is ``CRD``."""
    n, c, h, w = x.shape
    depth = c // (block * block)
    if mode == "CRD":
        split = x.reshape(n, depth, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        split = x.reshape(n, block, block, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    return split.reshape(n, depth, h * block, w * block)


def pixel_unshuffle(x: Array, block: int) -> Array:
    """ONNX ``SpaceToDepth``: (N, C, H·b, W·b) → (N, b²·C, H, W), channels ordered (b, b, C)."""
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
    return split.reshape(n, c * block * block, h // block, w // block)
