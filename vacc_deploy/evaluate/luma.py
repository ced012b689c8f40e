"""The brightness planes that super-resolution papers score, which differ by tenths of a dB.

OpenCV's full-range 8-bit Y lives in `vacc_deploy.data.color.luma`; here are the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BT601 = (65.481, 128.553, 24.966)  # limited range: 16 … 235 for 8-bit RGB


def luma_pillow(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Full-range Y (H×W, uint8) as Pillow's ``convert("YCbCr")`` makes it."""
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))[:, :, 0]


def luma_bt601(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Limited-range Y (H×W, 16 … 235) in double precision, unrounded: MATLAB's rgb2ycbcr on doubles."""
    red, green, blue = (rgb[:, :, channel].astype(np.float64) for channel in range(3))
    plane: NDArray[np.float64] = (red * _BT601[0] + green * _BT601[1] + blue * _BT601[2]) / 255.0 + 16.0
    return plane


def luma_bt601_8bit(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Limited-range Y (H×W) rounded to 8 bits."""
    return np.rint(luma_bt601(rgb)).astype(np.uint8)
