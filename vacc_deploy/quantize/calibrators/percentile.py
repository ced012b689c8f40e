"""Calibrator ``percentile``: a given fraction of the values keeps its place, the outermost are clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators.max import max_range
from vacc_deploy.quantize.calibrators.registry import Range, Scheme, calibrator
from vacc_deploy.quantize.observe.histogram import Histogram

Array = npt.NDArray[Any]

DEFAULT_FRACTION = 0.9999


def edge_of_fraction(edges: Array, counts: Array, zeros: int, fraction: float) -> float:
    """Where the cumulative count of a histogram of magnitudes reaches `fraction`, interpolated in its bin.

    Args:
        edges: (B,) upper edges from the first bin above 0.
        counts: (B,) counts.
        zeros: Values below the first bin.
        fraction: 0 to 1.

    Returns:
        The edge; 0 when the zeros alone are enough.
    """
    total = zeros + int(counts.sum())
    target = fraction * total - zeros
    if target <= 0 or total == 0:
        return 0.0
    cumulative = np.cumsum(counts)
    index = int(np.searchsorted(cumulative, target))
    if index >= counts.size:
        return float(edges[-1])
    before = float(cumulative[index] - counts[index])
    width = float(edges[1] - edges[0])
    return float(edges[index]) - width * (1.0 - (target - before) / float(counts[index]))


@calibrator("percentile")
def percentile_range(histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The range that keeps the fraction `parameter` (0.9999) of all sampled values.

    Symmetric: of |x|. Asymmetric: half of the rest is cut from each side, and a side with nothing beyond
    0 stays at 0. Never wider than the extremes.
    """
    fraction = DEFAULT_FRACTION if parameter is None else parameter
    full = max_range(histogram, scheme)
    if histogram.exponent is None:
        return full
    if scheme == "symmetric":
        edges, counts = histogram.magnitudes()
        high = edge_of_fraction(edges, counts, histogram.zeros, fraction)
        high = min(high, full.high) or full.high  # all zeros but a few: keep what there is
        return Range(-high, high)
    half = histogram.counts.size // 2
    edges = np.arange(1, half + 1) * histogram.width
    positive, negative = histogram.counts[half:], histogram.counts[half - 1 :: -1]
    tail = 1.0 if full.low == 0.0 or full.high == 0.0 else 0.5  # one-sided tensors lose it all on one side
    side_fraction = 1.0 - (1.0 - fraction) * tail
    high = edge_of_fraction(edges, positive, histogram.zeros + int(negative.sum()), side_fraction)
    low = edge_of_fraction(edges, negative, histogram.zeros + int(positive.sum()), side_fraction)
    kept = Range(max(-low, full.low), min(high, full.high))
    return full if kept.low == kept.high else kept
