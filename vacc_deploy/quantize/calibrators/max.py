"""Calibrator ``max``: nothing seen is ever clipped."""

from __future__ import annotations

from vacc_deploy.quantize.calibrators.registry import Range, Scheme, calibrator
from vacc_deploy.quantize.observe.histogram import Histogram


@calibrator("max")
def max_range(histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The exact extremes, widened to contain 0."""
    if not histogram.total:
        return Range(0.0, 0.0)
    if scheme == "symmetric":
        return Range(-histogram.largest_magnitude, histogram.largest_magnitude)
    return Range(min(0.0, histogram.minimum), max(0.0, histogram.maximum))
