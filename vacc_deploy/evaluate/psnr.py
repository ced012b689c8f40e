"""Peak signal-to-noise ratio of 8-bit pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEAK = 255.0


def psnr(first: NDArray[Any], second: NDArray[Any]) -> float:
    """20·log10(255 / √MSE) over all pixels and channels, in dB; infinite for equal pictures.

    Args:
        first: A picture of any shape, values 0 … 255, integer or float.
        second: The same shape.
    """
    difference = first.astype(np.float64) - second.astype(np.float64)
    mse = float(np.mean(np.square(difference)))
    return math.inf if mse == 0.0 else 20.0 * math.log10(PEAK / math.sqrt(mse))


def shave(picture: NDArray[Any], border: int) -> NDArray[Any]:
    """The picture (H×W…) without `border` pixels at every side."""
    return (
        picture[border : picture.shape[0] - border, border : picture.shape[1] - border] if border else picture
    )
