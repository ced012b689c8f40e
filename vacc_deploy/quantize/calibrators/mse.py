"""Calibrator ``mse``: the range with the smallest mean squared error, computed on the histogram.

Its parameter is how many times the error of a clipped value counts, once by default. Rounding errors have
either sign and cancel in the sums of the layer that reads the tensor; clipped values lie side by side, in
what is brightest, and all err the same way. The automatic choice lets them count `CLIPPING_WEIGHT` times,
in LESRCNN x4, in signed codes, the loss on Set5 falls from 0.17 to 0.03 dB by that alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators.max import max_range
from vacc_deploy.quantize.calibrators.registry import Range, Scheme, calibrator
from vacc_deploy.quantize.observe.histogram import Histogram

Array = npt.NDArray[Any]

CLIPPING_WEIGHT = 4.0
_CANDIDATES = 160
_SMALLEST = 0.02  # of the extremes


def squared_error(histogram: Histogram, kept: Range, scheme: Scheme, clipping_weight: float = 1.0) -> float:
    """The mean squared error of quantising the histogram's values to 8 bits over `kept`.

    Where a step spans several bins, the error of a bin is that of its centre, else it is uniform over one
    step (step²/12). Beyond the range it is the distance to the edge, whose square counts `clipping_weight`
    times. Values that are exactly 0 have none.
    """
    return _FilledBins(histogram).squared_error(kept, scheme, clipping_weight)


class _FilledBins:
    """The bins of a histogram that hold anything: for hundreds of ranges, a fraction of the work."""

    def __init__(self, histogram: Histogram) -> None:
        filled = np.flatnonzero(histogram.counts)
        self.centres, self.counts = histogram.centres[filled], histogram.counts[filled].astype(np.float64)
        self.width, self.total = histogram.width, histogram.total

    def squared_error(self, kept: Range, scheme: Scheme, clipping_weight: float) -> float:
        """See the function of that name."""
        levels = 254.0 if scheme == "symmetric" and not kept.unsigned else 255.0  # −127 … 127, or 0 … 255
        step = (kept.high - kept.low) / levels
        if step <= 0 or not self.total:
            return 0.0
        clipped = np.clip(self.centres, kept.low, kept.high)
        beyond = np.square(self.centres - clipped)
        if step > 4 * self.width:
            inside = np.square(clipped - step * np.rint(clipped / step)) + self.width**2 / 12
        else:
            inside = np.full(clipped.shape, step * step / 12)
        inside[beyond > 0] = 0.0
        return float(np.sum((clipping_weight * beyond + inside) * self.counts)) / self.total


@calibrator("mse")
def mse_range(histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The best of 160 ranges between 2 % and 100 % of the extremes.

    Asymmetric ranges shrink one side after the other: first both together, then the lower alone.
    """
    weight = 1.0 if parameter is None else parameter
    full = max_range(histogram, scheme)
    if histogram.exponent is None:
        return full
    bins = _FilledBins(histogram)
    best, least = full, bins.squared_error(full, scheme, weight)
    fractions = np.linspace(_SMALLEST, 1.0, _CANDIDATES)
    for fraction in fractions:
        kept = Range(full.low * float(fraction), full.high * float(fraction))
        error = bins.squared_error(kept, scheme, weight)
        if error < least:
            best, least = kept, error
    if scheme == "asymmetric" and full.low < 0 < full.high:
        for side in ("low", "high"):
            start = best
            for fraction in fractions:
                kept = start._replace(**{side: getattr(full, side) * float(fraction)})
                error = bins.squared_error(kept, scheme, weight)
                if error < least:
                    best, least = kept, error
    return best
