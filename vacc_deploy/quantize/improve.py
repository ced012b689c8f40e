"""What the default does beyond the recipe, at no cost at run time: better thresholds, corrected channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.calibrators import Range
from vacc_deploy.quantize.choose_thresholds import choose_step
from vacc_deploy.quantize.correct_channels import correct_step
from vacc_deploy.quantize.histogram import Histogram
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.qdq import plan_for
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.side_by_side import SideBySide
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry
from vacc_deploy.quantize.tensor_entry import make_entry

Array = npt.NDArray[Any]


def improve(
    model: ir.Model,
    table: CalibrationTable,
    histograms: Mapping[str, Histogram],
    settings: CalibrationSettings,
    feeds: Sequence[dict[str, Array]],
    *,
    keep_ranges: frozenset[str],
) -> CalibrationTable:
    """`table` with thresholds chosen by output error and channels corrected, in one walk.

    Args:
        model: Float model.
        table: The table so far.
        histograms: By tensor, from the calibration pass.
        settings: What to do: `mode` ``auto`` chooses thresholds, `correct_channels` corrects.
        feeds: Pictures or crops to walk on.
        keep_ranges: Tensors whose range is not to be touched.
    """

    def entry(histogram: Histogram, kept: Range, method: str, note: str) -> TensorEntry:
        return make_entry(histogram, kept, method, note, settings.scheme)

    plan = plan_for(find_layers(model), table, [str(v.name) for v in model.graph.outputs])
    walk = SideBySide(model, table, plan, feeds, threads=settings.threads)
    settled = set(keep_ranges)
    for step in walk:
        if settings.mode == "auto":
            choose_step(walk, step, histograms, settled, entry)
        if settings.correct_channels:
            correct_step(walk, step)
    return walk.table
