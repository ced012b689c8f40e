"""Second moments of what one output position of a convolution reads.

A position reads every channel at every tap of the kernel. Two of these values, seen over all positions, are
two channels seen at a fixed displacement; so the (channels·taps)² moments repeat those of (channels)² at the
13 displacements (of a 3×3 kernel, up to sign) between taps. Each is one product of two shifted views of the
same plane: no windows are gathered, and every position counts. Beyond the border a picture is taken to hold
its mean, and positions that a stride leaves out are taken to look like the others; sums over an endless
plane keep the matrix positive semidefinite.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Displacement = tuple[int, int]


def correlations(x: Array, mean: Array, taps: list[Displacement]) -> dict[Displacement, Array]:
    """Sums over all positions of products of channels, by the displacement between two taps.

    Args:
        x: (C, H, W) float32.
        mean: (C,) float32, taken off; its neighbourhood beyond the border counts as 0.
        taps: Row and column of every tap.

    Returns:
        (C, C) float32 by the displacements of one half-plane: channel ``c`` here times ``d`` there.
    """
    channels, height, width = x.shape
    reach = max(column for _, column in taps) - min(column for _, column in taps)
    row = width + reach  # the gap of zeros between rows is what a shift to the side runs into
    plane = np.zeros((channels, height, row), np.float32)
    np.subtract(x, mean[:, None, None], out=plane[:, :, :width])
    flat = plane.reshape(channels, -1)
    sums = {}
    for down, right in sorted({difference(a, b) for a, b in product(taps, taps)}):
        if down < height and (down, right) >= (0, 0):
            shift = down * row + right
            sums[down, right] = flat[:, : flat.shape[1] - shift] @ flat[:, shift:].T
    return sums


def moments_of_windows(sums: dict[Displacement, Array], taps: list[Displacement], positions: int) -> Array:
    """The moments (channels·taps, channels·taps), float64, from what `correlations` summed up.

    Inputs are in the order of a weight's elements: all taps of the first channel, then of the next.
    """
    channels = len(sums[0, 0])
    moments = np.zeros((channels, len(taps), channels, len(taps)))
    for (i, first), (j, second) in product(enumerate(taps), enumerate(taps)):
        ahead, back = difference(first, second), difference(second, first)
        if ahead in sums:
            moments[:, i, :, j] = sums[ahead]
        elif back in sums:
            moments[:, i, :, j] = sums[back].T
    return moments.reshape(channels * len(taps), -1) / positions


def difference(first: Displacement, second: Displacement) -> Displacement:
    """From the first tap to the second."""
    return second[0] - first[0], second[1] - first[1]
