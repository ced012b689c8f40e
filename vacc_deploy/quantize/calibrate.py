"""Calibration: one streaming float pass over the pictures, then a threshold per tensor.

The only stage that runs a float forward pass. It yields a `CalibrationTable`; whether a layer then runs
in int8 is decided by the table alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.channels.equalise import Factors, equalise
from vacc_deploy.quantize.default_precisions import picture_tensors
from vacc_deploy.quantize.first_table import first_table
from vacc_deploy.quantize.improve.choose_factors import helpful_factors
from vacc_deploy.quantize.improve.choose_splits import worthwhile_splits
from vacc_deploy.quantize.improve.round_weights import rounding_bytes
from vacc_deploy.quantize.improve.walk import improve
from vacc_deploy.quantize.layers import find_layers, static_shape
from vacc_deploy.quantize.observe.crops import CropKeeper
from vacc_deploy.quantize.observe.feeds import checked_feeds
from vacc_deploy.quantize.observe.guard_rails import DataWatch, threshold_warnings
from vacc_deploy.quantize.observe.histograms import Progress, collect_histograms, observed_tensors
from vacc_deploy.quantize.observe.memory import announced_bytes, live_bytes, weight_bytes
from vacc_deploy.quantize.observe.observer import Observer
from vacc_deploy.quantize.plan import plan_for
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]


def calibrate(
    model: ir.Model,
    dataset: Iterable[dict[str, Array]],
    settings: CalibrationSettings | None = None,
    progress: Progress | None = None,
) -> CalibrationTable:
    """Thresholds for every tensor and a precision for every layer of `model`.

    Args:
        model: Float model from the frontend: static shapes, every node named.
        dataset: One dict of float32 NCHW arrays per picture, by input name. Iterated once, in order; crops
            of the first 16 are kept.
        settings: What to choose and correct; the default is the improved one.
        progress: Called with the pictures observed so far and what is going on, after each of them and
            before whatever takes long.

    Raises:
        DataError: The data are empty, misshapen or not finite.
    """
    settings = settings or CalibrationSettings()
    layers = find_layers(model)
    expected = len(dataset) if isinstance(dataset, Sized) else None
    crops = CropKeeper(model, layers, budget_macs=settings.budget_macs, expected=expected)
    watch = DataWatch()
    stream = crops(watch(checked_feeds(model, dataset)))
    head: list[dict[str, Array]] = []
    factors: Factors = {}
    if settings.equalise:
        head = list(islice(stream, crops.most))  # their crops decide what the float pass observes
        if progress:
            progress(0, "evening out channels")
        factors = helpful_factors(model, layers, crops.kept, settings)
    evened = equalise(model, factors)
    observer = Observer(evened, observed_tensors(model, layers), threads=settings.threads)
    histograms, count = collect_histograms(observer, chain(head, stream), progress)
    table = first_table(model, layers, histograms, settings, pictures=count, factors=factors)
    table = replace(table, warnings=(*watch.warnings(), *threshold_warnings(table.tensors)))
    if settings.split:
        plan = plan_for(layers, table, [str(value.name) for value in model.graph.outputs])
        table = replace(table, split=worthwhile_splits(evened, plan.quantized))
    if not settings.walks:
        return table
    if progress:
        progress(count, "choosing thresholds, rounding weights and correcting channels")
    protected = picture_tensors(model, layers) if settings.protect_images else frozenset()
    return improve(model, table, histograms, settings, crops.kept, keep_ranges=protected)


def memory_needed(model: ir.Model, settings: CalibrationSettings) -> int:
    """Bytes that `calibrate` may add to what the process holds, estimated before it starts.

    The float pass and the walk follow one another; the walk keeps the tensors that are still to be read of
    a few crops twice, in float and quantised, has float64 copies of one layer's results, and the next one's
    in float. The pictures that crops are taken from stay in memory while factors are chosen and the float
    pass runs.
    """
    layers = find_layers(model)
    observing = announced_bytes(model, len(observed_tensors(model, layers)))
    shapes = [static_shape(value) for value in model.graph.inputs]
    keeper = CropKeeper(model, layers, budget_macs=settings.budget_macs)
    if settings.equalise:
        observing += keeper.most * sum(4 * math.prod(shape) for shape in shapes)
    if not settings.walks:
        return observing
    live, largest = live_bytes(model)
    pictures = keeper.pictures_of(shapes[0])
    walking = (
        weight_bytes(model) + int(pictures * (2 * live + 8 * largest)) + rounding_bytes(model, keeper.most)
    )
    return max(observing, walking) + observing // 4
