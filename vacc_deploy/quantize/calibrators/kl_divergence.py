"""Calibrator ``kl_divergence``: the range whose 8-bit histogram tells the original one best.

The method of TensorRT and TVM: for every candidate threshold, fold what lies beyond it into the last
bin (P), re-bin the part below into 128 levels and spread it out again (Q), and keep the threshold with
the smallest Kullback-Leibler divergence of Q from P.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators.max import max_range
from vacc_deploy.quantize.calibrators.registry import Range, Scheme, calibrator
from vacc_deploy.quantize.observe.histogram import Histogram

Array = npt.NDArray[Any]

_STRIDE = 16  # candidates are every 16th bin edge


def divergence(counts: Array, kept: int, levels: int) -> float:
    """KL(P‖Q) of a histogram of magnitudes cut after `kept` bins and quantised to `levels` levels.

    Args:
        counts: (B,) counts.
        kept: Bins below the threshold, at least `levels`.
        levels: Quantisation levels.

    Returns:
        The divergence in nats; infinite where Q has nothing under a part of P.
    """
    inside = counts[:kept].astype(np.float64)
    p = inside.copy()
    p[-1] += counts[kept:].sum()
    # Bins are dealt to levels as evenly as they go; empty bins of P stay empty in Q.
    level = np.arange(kept) * levels // kept
    filled = inside > 0
    mass = np.bincount(level, weights=inside, minlength=levels)
    members = np.bincount(level, weights=filled.astype(np.float64), minlength=levels)
    q = np.where(filled, (mass / np.maximum(members, 1))[level], 0.0)
    total_p, total_q = p.sum(), q.sum()
    if total_p == 0 or total_q == 0:
        return float("inf")
    # A little of everything, so that a folded last bin over an empty one costs much but not infinitely.
    p, q = p / total_p, q / total_q
    smooth = 1e-9
    present = p > 0
    return float(np.sum(p[present] * np.log(p[present] / np.maximum(q[present], smooth))))


@calibrator("kl_divergence")
def kl_range(histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The threshold on |x| with the least divergence; asymmetric ranges are the extremes cut there."""
    full = max_range(histogram, scheme)
    if histogram.exponent is None:
        return full
    edges, counts = histogram.magnitudes()
    one_sided = scheme == "asymmetric" and (full.low == 0 or full.high == 0)
    levels = 256 if one_sided else 128
    last = min(int(np.ceil(histogram.largest_magnitude / histogram.width)), counts.size)
    best, least = float("inf"), float("inf")
    for kept in range(levels, last + _STRIDE, _STRIDE):
        kept = min(kept, last)
        if kept < levels:
            break
        value = divergence(counts, kept, levels)
        if value < least:
            best, least = float(edges[kept - 1]), value
    return Range(max(full.low, -best), min(full.high, best))
