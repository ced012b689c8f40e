"""Calibrator ``mse``: the range with the smallest mean squared error, computed on the histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators.max import max_range
from vacc_deploy.quantize.calibrators.registry import Range, Scheme, calibrator
from vacc_deploy.quantize.histogram import Histogram

Array = npt.NDArray[Any]

_CANDIDATES = 160
_SMALLEST = 0.02  # of the extremes


def squared_error(histogram: Histogram, kept: Range, scheme: Scheme) -> float:
    """The mean squared error of quantising the histogram's values to 8 bits over `kept`.

    Where a step spans several bins, the error of a bin is that of its centre, else it is uniform over one
    step (step²/12); beyond the range it is the distance to the edge. Values that are exactly 0 have none.
    """
    levels = 254.0 if scheme == "symmetric" else 255.0  # −127 … 127, or 0 … 255
    step = (kept.high - kept.low) / levels
    if step <= 0 or not histogram.total:
        return 0.0
    centres, counts = histogram.centres, histogram.counts
    beyond = np.maximum(np.maximum(centres - kept.high, kept.low - centres), 0.0)
    if step > 4 * histogram.width:
        inside = np.square(centres - step * np.rint(centres / step)) + histogram.width**2 / 12
    else:
        inside = np.full(centres.shape, step * step / 12)
    squares = np.where(beyond > 0, beyond * beyond, inside)
    return float(np.sum(squares * counts)) / histogram.total


@calibrator("mse")
def mse_range(histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The best of 160 ranges between 2 % and 100 % of the extremes.

    Asymmetric ranges shrink one side after the other: first both together, then the lower alone.
    """
    full = max_range(histogram, scheme)
    if histogram.exponent is None:
        return full
    best, least = full, squared_error(histogram, full, scheme)
    fractions = np.linspace(_SMALLEST, 1.0, _CANDIDATES)
    for fraction in fractions:
        kept = Range(full.low * float(fraction), full.high * float(fraction))
        error = squared_error(histogram, kept, scheme)
        if error < least:
            best, least = kept, error
    if scheme == "asymmetric" and full.low < 0 < full.high:
        for side in ("low", "high"):
            start = best
            for fraction in fractions:
                kept = start._replace(**{side: getattr(full, side) * float(fraction)})
                error = squared_error(histogram, kept, scheme)
                if error < least:
                    best, least = kept, error
    return best
