"""How a tensor's clipping range is chosen from its histogram: one file per calibrator."""

from __future__ import annotations

from vacc_deploy.quantize.calibrators import kl_divergence, max, mse, percentile
from vacc_deploy.quantize.calibrators.registry import CALIBRATORS, Range, choose_range

__all__ = ["CALIBRATORS", "Range", "choose_range", "kl_divergence", "max", "mse", "percentile"]
