"""The search stage of a compile: what counts as loss, on which pictures, and within which limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.cpu import cpu_count
from vacc_deploy.data.dataset import Dataset
from vacc_deploy.errors import ConfigError
from vacc_deploy.evaluate.evaluator import select_pairs
from vacc_deploy.evaluate.protocol import EvaluationProtocol, Sample, recipe_protocol
from vacc_deploy.quantize.crop_support import runs_on_crops
from vacc_deploy.quantize.diff import diff_layers
from vacc_deploy.quantize.improve.walk import correct_again
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.observe.crops import CropKeeper, spread_offset
from vacc_deploy.quantize.observe.feeds import checked_feeds
from vacc_deploy.quantize.score import FidelityScore, ReferenceScore, psnr
from vacc_deploy.quantize.search.search import Search, SearchResult
from vacc_deploy.quantize.search.trials import Measurement, Trials
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]

_MOST_PICTURES = 6  # kept in memory; every trial runs all of them
_CROP = 128  # pixels of a picture's side that a trial runs, where the network gives a crop for a crop
_ALIGN = 32  # crops survive five halvings


@dataclass(frozen=True, slots=True)
class PrecisionLimits:
    """What the search has to reach, and what it may take.

    Attributes:
        max_drop_db: The loss to stay within.
        time_limit_s: Seconds; the best network so far is kept.
        lr: Pictures to score by the recipe's protocol; needs `hr`.
        hr: Their ground truth. Without it the loss is derived from fidelity on calibration pictures.
    """

    max_drop_db: float
    time_limit_s: float | None = None
    lr: Path | None = None
    hr: Path | None = None


def search_precisions(
    model: ir.Model,
    table: CalibrationTable,
    limits: PrecisionLimits,
    dataset: Dataset,
    recipe: dict[str, Any],
    journal: Path,
    tell: Callable[[str], None],
) -> SearchResult:
    """The cheapest precisions within `limits`.

    Args:
        model: Float model.
        table: Calibrated table to start from.
        limits: What to reach.
        dataset: Calibration pictures, for the fidelity score.
        recipe: The model's recipe, for its protocol.
        journal: Measured drops are kept here, so that an interrupted search resumes.
        tell: Called with one line after every trial.

    Raises:
        DataError: The pictures to score on cannot be used.
    """

    def report(done: Measurement) -> None:
        tell(f"{done.phase} {done.layer}: drop {done.drop_db:.3f} dB, best {done.best_drop_db:.3f} dB")

    keeper = CropKeeper(
        model, find_layers(model), budget_macs=CalibrationSettings().budget_macs, expected=len(dataset)
    )
    for _ in islice(keeper(checked_feeds(model, dataset)), keeper.most):
        pass  # the keeper takes its crops as the pictures go by

    def correct(changed: CalibrationTable) -> CalibrationTable:
        return correct_again(model, changed, keeper.kept, threads=cpu_count())

    score = _score(model, limits, dataset, recipe)
    lines = diff_layers(model, table, score.feeds[:2], threads=cpu_count())
    trials = Trials(
        model,
        table,
        score,
        max_drop_db=limits.max_drop_db,
        time_limit_s=limits.time_limit_s,
        journal=journal,
        progress=report,
        threads=cpu_count(),
    )
    order = [line.name for line in sorted(lines, key=lambda line: line.single.sqnr_db)]
    return Search(trials, order=order, correct=correct).run()


def _score(
    model: ir.Model, limits: PrecisionLimits, dataset: Dataset, recipe: dict[str, Any]
) -> FidelityScore | ReferenceScore:
    on_crops = runs_on_crops(model)
    protocol = recipe_protocol(recipe)
    if limits.hr is None:
        pictures = islice(dataset, _MOST_PICTURES)
        feeds = [_cropped_feed(feed, index) if on_crops else feed for index, feed in enumerate(pictures)]
        return FidelityScore(model, feeds, threads=cpu_count(), select=protocol.select)
    source = model.graph.inputs[0]
    if source.shape is None or len(source.shape) != 4:
        raise ConfigError(
            "the network's input is no picture",
            where=f"input {source.name}",
            hint="search without --hr, by fidelity on the calibration data",
        )
    height, width = source.shape.numpy()[2:]
    pairs = select_pairs(protocol, limits.lr, limits.hr)[:_MOST_PICTURES]
    samples = [protocol.load(pair, (height, width)) for pair in pairs]
    if on_crops:
        samples = [cropped(sample, index) for index, sample in enumerate(samples)]
    feeds = [{str(source.name): sample.network_input} for sample in samples]
    return ReferenceScore(
        model,
        feeds,
        lambda outputs: _psnr_db(protocol, samples, outputs),
        likeness=lambda outputs: likeness_db(protocol, samples, outputs),
        threads=cpu_count(),
        select=protocol.select,
    )


def cropped(sample: Sample, index: int) -> Sample:
    """A crop of a test picture, at another place for every `index`; the whole of it where that is not exact.

    Exact is a ground truth that is a whole multiple of the network's input on both axes: any other one is
    resized before it is compared, which a crop would change.
    """
    height, width = sample.network_input.shape[2:]
    scale = sample.target.shape[0] // height
    if scale == 0 or sample.target.shape[:2] != (scale * height, scale * width):
        return sample
    top, left = crop_corner(height, width, index)
    rows, columns = slice(top, top + _CROP), slice(left, left + _CROP)
    target_rows = slice(scale * top, scale * (top + _CROP))
    target_columns = slice(scale * left, scale * (left + _CROP))
    return Sample(
        np.ascontiguousarray(sample.network_input[:, :, rows, columns]),
        np.ascontiguousarray(sample.target[target_rows, target_columns]),
    )


def crop_corner(height: int, width: int, index: int) -> tuple[int, int]:
    """Top and left of the crop of picture number `index`; they wander over the pictures in a fixed order."""
    top, left = spread_offset((height - _CROP, width - _CROP), index)
    return top // _ALIGN * _ALIGN, left // _ALIGN * _ALIGN


def _cropped_feed(feed: dict[str, Array], index: int) -> dict[str, Array]:
    crops = {}
    for name, array in feed.items():
        top, left = crop_corner(array.shape[2], array.shape[3], index)
        crops[name] = np.ascontiguousarray(array[:, :, top : top + _CROP, left : left + _CROP])
    return crops


def _psnr_db(
    protocol: EvaluationProtocol, samples: Sequence[Sample], outputs: Sequence[Array]
) -> list[float]:
    return [
        protocol.score(protocol.to_picture(output[0]), sample).psnr_db
        for sample, output in zip(samples, outputs, strict=True)
    ]


def likeness_db(
    protocol: EvaluationProtocol, samples: Sequence[Sample], outputs: Sequence[Array]
) -> list[float]:
    """PSNR of whole pictures, in colour, where the protocol compares the like; else the protocol's own."""
    pictures = [protocol.to_picture(output[0]) for output in outputs]
    if any(picture.shape != sample.target.shape for picture, sample in zip(pictures, samples, strict=True)):
        return _psnr_db(protocol, samples, outputs)
    return [psnr(picture, sample.target, 255.0) for picture, sample in zip(pictures, samples, strict=True)]
