"""MATLAB's bicubic imresize, in which most super-resolution test sets were made."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SUPPORT = 4.0  # the cubic kernel reaches two pixels to either side
_A = -0.5  # Keys 1981


def imresize(plane: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Resize a plane by `scale`, with anti-aliasing when it shrinks; nothing is rounded.

    Args:
        plane: H×W, float64.
        scale: Result size over source size; the result's sides are rounded up, as MATLAB does.

    Returns:
        ceil(H·scale) × ceil(W·scale), float64.
    """
    rows = _weights(plane.shape[0], math.ceil(plane.shape[0] * scale), scale)
    columns = _weights(plane.shape[1], math.ceil(plane.shape[1] * scale), scale)
    resized: NDArray[np.float64] = rows @ plane @ columns.T
    return resized


def _weights(length: int, resized: int, scale: float) -> NDArray[np.float64]:
    """The (resized, length) matrix of one axis: half-pixel centres, symmetric border, rows that sum to 1."""
    stretch = min(scale, 1.0)  # a shrinking kernel widens by 1 / scale
    width = _SUPPORT / stretch
    centres = (np.arange(resized) + 0.5) / scale - 0.5
    first = np.floor(centres - width / 2).astype(np.int64)
    taps = first[:, np.newaxis] + np.arange(math.ceil(width) + 2)
    weights = _cubic((centres[:, np.newaxis] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(taps, 2 * length)
    mirrored = np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    matrix = np.zeros((resized, length))
    np.add.at(matrix, (np.arange(resized)[:, np.newaxis], mirrored), weights)
    return matrix


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    d = np.abs(distance)
    near = (_A + 2) * d**3 - (_A + 3) * d**2 + 1
    far = _A * d**3 - 5 * _A * d**2 + 8 * _A * d - 4 * _A
    return np.where(d <= 1, near, np.where(d <= 2, far, 0.0))
