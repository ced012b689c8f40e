"""What the default does beyond the recipe, at no cost at run time, layer by layer.

Thresholds by what they do to a layer, weights rounded together, channels corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import onnx_ir as ir
from threadpoolctl import threadpool_limits

from vacc_deploy.quantize.improve.choose_thresholds import choose_step
from vacc_deploy.quantize.improve.correct_channels import correct_step
from vacc_deploy.quantize.improve.round_weights import round_step
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.side_by_side import SideBySide, Step
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]

# Of NumPy's matrix products. Its threads wait for one another by spinning: on a busy machine two of them
# take sixty times as long for a small factorisation as one.
_BLAS_THREADS = 1


def improve(
    model: ir.Model,
    table: CalibrationTable,
    histograms: Mapping[str, Histogram],
    settings: CalibrationSettings,
    feeds: Sequence[dict[str, Array]],
    *,
    keep_ranges: frozenset[str],
) -> CalibrationTable:
    """`table` with thresholds chosen by output error, weights rounded and channels corrected, in one walk.

    Args:
        model: Float model.
        table: The table so far.
        histograms: By tensor, from the calibration pass.
        settings: What `table` was made with. `mode` ``auto`` chooses thresholds; `round_weights` and
            `correct_channels` do as they say.
        feeds: Pictures or crops to walk on.
        keep_ranges: Tensors whose range is not to be touched.
    """
    walk = SideBySide(model, table, feeds, threads=settings.threads)
    settled = set(keep_ranges)
    with threadpool_limits(_BLAS_THREADS, "blas"):
        for step in walk:
            if settings.mode == "auto":
                choose_step(walk, step, histograms, settled)
            _round_and_correct(walk, step)
    return walk.table


def correct_again(
    model: ir.Model, table: CalibrationTable, feeds: Sequence[dict[str, Array]], *, threads: int
) -> CalibrationTable:
    """`table` with weights rounded and channels corrected anew, for precisions that have changed since.

    A correction undoes what the layers before it lose too; where one of them no longer loses anything, it
    would do harm. Thresholds and precisions stay.
    """
    bare = {name: replace(entry, gain=(), bias_shift=(), rounding="") for name, entry in table.layers.items()}
    walk = SideBySide(model, replace(table, layers=bare), feeds, threads=threads)
    with threadpool_limits(_BLAS_THREADS, "blas"):
        for step in walk:
            _round_and_correct(walk, step)
    return walk.table


def _round_and_correct(walk: SideBySide, step: Step) -> None:
    """What the walk's table asks for; a table of an earlier release may not say."""
    if walk.table.settings.get("round_weights", False):
        round_step(walk, step)
    if walk.table.settings.get("correct_channels", False):
        correct_step(walk, step)
