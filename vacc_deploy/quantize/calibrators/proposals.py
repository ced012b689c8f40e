"""What the automatic choice chooses among: the different ranges that the calibrators propose for a tensor."""

from __future__ import annotations

from vacc_deploy.quantize.calibrators import Range, choose_range
from vacc_deploy.quantize.calibrators.mse import CLIPPING_WEIGHT
from vacc_deploy.quantize.calibrators.registry import Scheme
from vacc_deploy.quantize.observe.histogram import Histogram

# Calibrator, its parameter, what the table calls it; the first one stands unless another is far better.
CANDIDATES: tuple[tuple[str, float | None, str], ...] = (
    ("mse", CLIPPING_WEIGHT, f"mse, clipping {CLIPPING_WEIGHT:g}×"),
    ("percentile", 0.9999, "percentile 0.9999"),
    ("percentile", 0.99999, "percentile 0.99999"),
    ("kl_divergence", None, "kl_divergence"),
    ("max", None, "max"),
)


def proposals(histogram: Histogram, scheme: Scheme) -> list[tuple[str, Range]]:
    """The different ranges that the calibrators propose, with their names."""
    ranges: list[tuple[str, Range]] = []
    for mode, parameter, label in CANDIDATES:
        kept = choose_range(mode, histogram, scheme, parameter)
        span = kept.high - kept.low
        if span > 0 and not any(_alike(kept, other, span) for _, other in ranges):
            ranges.append((label, kept))
    return ranges


def _alike(a: Range, b: Range, span: float) -> bool:
    return abs(a.low - b.low) < 0.02 * span and abs(a.high - b.high) < 0.02 * span
