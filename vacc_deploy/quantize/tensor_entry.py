"""A table entry for a tensor: the range it keeps and what that costs by its histogram."""

from __future__ import annotations

import numpy as np

from vacc_deploy.quantize.calibrators import Range
from vacc_deploy.quantize.calibrators.mse import squared_error
from vacc_deploy.quantize.calibrators.registry import Scheme
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.table import TensorEntry


def make_entry(histogram: Histogram, kept: Range, method: str, note: str, scheme: Scheme) -> TensorEntry:
    """The entry of a tensor that keeps `kept`."""
    beyond = (histogram.centres > kept.high) | (histogram.centres < kept.low)
    total = max(histogram.total, 1)
    power = float(np.sum(np.square(histogram.centres) * histogram.counts)) / total
    error = squared_error(histogram, kept, scheme)
    return TensorEntry(
        low=kept.low,
        high=kept.high,
        method=method,
        minimum=histogram.minimum,
        maximum=histogram.maximum,
        clipped=float(histogram.counts[beyond].sum()) / total,
        sqnr_db=float(10 * np.log10(power / error)) if power > 0 and error > 0 else 0.0,
        note=note,
    )
