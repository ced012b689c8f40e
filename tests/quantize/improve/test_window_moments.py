"""Moments by displacement are those of windows gathered one by one from an endless plane."""

from __future__ import annotations

import numpy as np
import pytest

from vacc_deploy.quantize.improve.window_moments import correlations, moments_of_windows

SHAPES = {
    # channels, height, width, kernel, dilation
    "3x3": (4, 7, 9, (3, 3), (1, 1)),
    "1x1": (5, 6, 4, (1, 1), (1, 1)),
    "a row of taps": (2, 5, 8, (1, 5), (1, 1)),
    "dilated": (3, 9, 8, (3, 3), (2, 3)),
    "a kernel larger than the picture": (2, 2, 3, (5, 5), (1, 1)),
}


def taps_of(kernel, dilations):
    return [(row * dilations[0], column * dilations[1]) for row, column in np.ndindex(kernel)]


def gathered(x, mean, taps):
    """What windows read, (positions, taps, channels), at every position where they touch the picture."""
    reach = np.max(taps, axis=0)
    plane = np.pad(x - mean[:, None, None], [(0, 0), *((int(size), int(size)) for size in reach)])
    positions = np.ndindex(x.shape[1] + int(reach[0]), x.shape[2] + int(reach[1]))
    return np.array([[plane[:, top + row, left + column] for row, column in taps] for top, left in positions])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_moments_are_those_of_gathered_windows(shape):
    channels, height, width, kernel, dilations = shape
    taps = taps_of(kernel, dilations)
    x = np.random.default_rng(0).normal(3, 1, (channels, height, width)).astype(np.float32)
    mean = x.mean(axis=(1, 2))
    windows = gathered(x, mean, taps).transpose(0, 2, 1).reshape(-1, channels * len(taps))
    expected = windows.T @ windows / (height * width)
    moments = moments_of_windows(correlations(x, mean, taps), taps, height * width)
    np.testing.assert_allclose(moments, expected, atol=1e-4)


def test_moments_are_positive_semidefinite():
    taps = taps_of((3, 3), (1, 1))
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 6, 6)), 8, axis=0).astype(
        np.float32
    )  # alike channels
    moments = moments_of_windows(correlations(x, np.zeros(8, np.float32), taps), taps, 36)
    assert np.array_equal(moments, moments.T)
    assert np.linalg.eigvalsh(moments).min() > -1e-5 * np.trace(moments)
