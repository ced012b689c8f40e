"""The calibrate stage of a compile: which data, whether the network will see their like, and the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import onnx_ir as ir

from vacc_deploy.check.pipelines import path_of_process_ops
from vacc_deploy.check.recipe import differences_from_recipe
from vacc_deploy.config import BuildConfig
from vacc_deploy.cpu import cpu_count
from vacc_deploy.data import open_dataset
from vacc_deploy.data.dataset import Dataset
from vacc_deploy.data.image_dataset import ImageDataset
from vacc_deploy.data.sample_pictures import PLACEHOLDER, sample_pictures
from vacc_deploy.processing import Preprocess
from vacc_deploy.quantize.calibrate import calibrate, memory_needed
from vacc_deploy.quantize.layers import find_layers, static_shape
from vacc_deploy.quantize.observe.guard_rails import raise_if_strict
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.vendor_keys import settings_from_config, translate

Advance = Callable[..., None]
ProgressBar = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Opens a progress bar: ``(description, total)`` → a context that yields ``advance(steps=1, note=None)``."""


def calibration_table(
    model: ir.Model,
    config: BuildConfig,
    given: Path | None,
    recipe: Mapping[str, Any],
    bar: ProgressBar,
    *,
    recipe_exact: bool,
    strict: bool,
) -> tuple[CalibrationTable, list[str]]:
    """Calibrate `model` as its configuration says.

    Args:
        model: Float model from the frontend.
        config: Its configuration.
        given: Calibration data instead of the configuration's.
        recipe: What the export wrote into the model, its pre-processing above all; may be empty.
        bar: Opens the progress bar.
        recipe_exact: Quantise precisely as the configuration says, without our improvements.
        strict: Refuse data that the guard rails warn about.

    Returns:
        The table and what there is to warn of.

    Raises:
        VdeployError: The data cannot be used, or `strict` and they look wrong.
    """
    translation = translate(config.quantize, find_layers(model))
    settings = settings_from_config(
        config.quantize, translation.choices, recipe_exact=recipe_exact, threads=cpu_count()
    )
    dataset = calibration_data(model, config, given)
    placeholder = []
    if _is_placeholder(config, given):
        placeholder.append(
            f"dataset.path is a placeholder: calibrated on {len(dataset)} sample pictures that come with "
            "scikit-image; give pictures of the network's own kind with --dataset"
        )
    differences = _differences(config, dataset, recipe)
    raise_if_strict(differences, strict=strict)
    needed = memory_needed(model, settings) >> 20
    done = 0
    with bar(f"calibrating, up to {needed} MiB", len(dataset)) as advance:

        def report(pictures: int, what: str) -> None:
            nonlocal done
            advance(pictures - done, note=what)
            done = pictures

        table = calibrate(model, dataset, settings, report)
    raise_if_strict(table.warnings, strict=strict)
    return table, [*translation.notes, *placeholder, *differences, *table.warnings]


def calibration_data(model: ir.Model, config: BuildConfig, given: Path | None) -> Dataset:
    """The pictures or tensors to calibrate on: `given`, else the configuration's, else sample pictures.

    Raises:
        DataError: There are none, or they do not fit the model's inputs.
    """
    inputs = {str(value.name): static_shape(value) for value in model.graph.inputs}
    if _is_placeholder(config, given) and config.dataset is not None and len(inputs) == 1:
        ((name, shape),) = inputs.items()
        return ImageDataset(sample_pictures(), config.dataset.process_ops, input_name=name, input_shape=shape)
    return open_dataset(config.dataset, inputs, given)


def _is_placeholder(config: BuildConfig, given: Path | None) -> bool:
    """Whether the file still says ``/path/to/…`` and nobody said otherwise."""
    section = config.dataset
    if given is not None or section is None or section.path is None or not section.process_ops:
        return False
    return str(section.path).startswith(PLACEHOLDER) and not section.path.exists()


def _differences(config: BuildConfig, dataset: Dataset, recipe: Mapping[str, Any]) -> list[str]:
    """In which ways pictures are calibrated on otherwise than the model's own recipe feeds them."""
    if not isinstance(dataset, ImageDataset) or config.dataset is None or not recipe.get("preprocess"):
        return []
    path = path_of_process_ops(config.dataset.process_ops or ())
    return [
        f"calibration {difference}: int8 is made for other values than the network will see"
        for difference in differences_from_recipe(path, Preprocess.from_json(recipe["preprocess"]))
    ]
