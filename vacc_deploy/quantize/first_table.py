"""The table as calibration first fills it in: thresholds from histograms, precisions by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from vacc_deploy.quantize.calibrators import choose_range
from vacc_deploy.quantize.calibrators.proposals import CANDIDATES
from vacc_deploy.quantize.calibrators.registry import Scheme
from vacc_deploy.quantize.channels.equalise import Factors
from vacc_deploy.quantize.default_precisions import layer_entries, picture_tensors
from vacc_deploy.quantize.digest import model_digest
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.relu_tensors import unsigned_tensors
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry
from vacc_deploy.quantize.tensor_entry import make_entry


def first_table(
    model: ir.Model,
    layers: list[Layer],
    histograms: Mapping[str, Histogram],
    settings: CalibrationSettings,
    *,
    pictures: int,
    factors: Factors,
) -> CalibrationTable:
    """The table of `model` before anything is improved.

    Args:
        model: The float model, its channels as they are.
        layers: Its layers.
        histograms: Of its `observed_tensors`, channels divided by `factors`.
        settings: How thresholds are chosen, and the precisions that are given.
        pictures: How many pictures the histograms are of.
        factors: What the channels of groups of tensors are divided by.
    """
    protected = picture_tensors(model, layers) if settings.protect_images else frozenset()
    outputs = [str(value.name) for value in model.graph.outputs]
    unsigned = unsigned_tensors(layers, outputs) if settings.unsigned_relu else frozenset()
    return CalibrationTable(
        model_digest=model_digest(model),
        pictures=pictures,
        settings=settings_to_json(settings),
        tensors={
            name: choose_entry(
                histogram, settings, is_picture=name in protected, is_unsigned=name in unsigned
            )
            for name, histogram in histograms.items()
        },
        layers=layer_entries(layers, settings, protected),
        equalised={name: tuple(values) for name, values in factors.items()},
    )


def choose_entry(
    histogram: Histogram, settings: CalibrationSettings, *, is_picture: bool, is_unsigned: bool = False
) -> TensorEntry:
    """The table's entry for one tensor by the calibrator that `settings` names."""
    ranges: Scheme = "asymmetric" if is_unsigned else settings.scheme
    if is_picture:
        kept = choose_range("max", histogram, ranges)
        return make_entry(histogram, kept, "max", "holds a picture: never clipped", settings.scheme)
    mode, parameter, label = settings.mode, None, settings.mode
    if mode == "auto":
        mode, parameter, label = CANDIDATES[0]
    elif mode == "percentile":
        parameter = settings.calibrate_range
    kept = choose_range(mode, histogram, ranges, parameter)
    return make_entry(histogram, kept, label, "", settings.scheme)


def settings_to_json(settings: CalibrationSettings) -> dict[str, Any]:
    """The settings that the table carries; `quantize` reads the first four."""
    return {
        "scheme": settings.scheme,
        "weight_scale": settings.weight_scale,
        "per_channel": settings.per_channel,
        "coded_outputs": settings.coded_outputs,
        "mode": settings.mode,
        "calibrate_range": settings.calibrate_range,
        "protect_images": settings.protect_images,
        "correct_channels": settings.correct_channels,
        "round_weights": settings.round_weights,
        "equalise": settings.equalise,
        "split": settings.split,
        "unsigned_relu": settings.unsigned_relu,
    }
