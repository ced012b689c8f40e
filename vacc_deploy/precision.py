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
from vacc_deploy.evaluate import get_protocol
from vacc_deploy.evaluate.evaluator import select_pairs
from vacc_deploy.evaluate.protocol import EvaluationProtocol, Sample
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.quantize.score import FidelityScore, ReferenceScore, Score
from vacc_deploy.quantize.search import Measurement, Search, SearchResult
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]

_MOST_PICTURES = 8  # kept in memory; every trial runs all of them


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

    score = _score(model, limits, dataset, recipe)
    search = Search(
        model,
        table,
        score,
        max_drop_db=limits.max_drop_db,
        time_limit_s=limits.time_limit_s,
        journal=journal,
        progress=report,
        threads=cpu_count(),
    )
    return search.run()


def _score(model: ir.Model, limits: PrecisionLimits, dataset: Dataset, recipe: dict[str, Any]) -> Score:
    if limits.hr is None:
        return FidelityScore(model, list(islice(dataset, _MOST_PICTURES)), threads=cpu_count())
    preprocess, postprocess = recipe.get("preprocess"), recipe.get("postprocess")
    protocol = get_protocol(
        str(recipe.get("protocol") or "rgb"),
        Preprocess.from_json(preprocess) if preprocess else None,
        Postprocess.from_json(postprocess) if postprocess else None,
    )
    source = model.graph.inputs[0]
    if source.shape is None or len(source.shape) != 4:
        raise ConfigError(
            "the network's input is no picture",
            where=f"input {source.name}",
            hint="search without --hr, by fidelity on the calibration data",
        )
    height, width = source.shape.numpy()[2:]
    size = (height, width)
    samples = [
        protocol.load(pair, size) for pair in select_pairs(protocol, limits.lr, limits.hr)[:_MOST_PICTURES]
    ]
    feeds = [{str(source.name): sample.network_input} for sample in samples]
    return ReferenceScore(
        model, feeds, lambda outputs: _quality_db(protocol, samples, outputs), threads=cpu_count()
    )


def _quality_db(protocol: EvaluationProtocol, samples: Sequence[Sample], outputs: Sequence[Array]) -> float:
    scores = [
        protocol.score(protocol.to_picture(output[0]), sample).psnr_db
        for sample, output in zip(samples, outputs, strict=True)
    ]
    return float(np.mean(scores))
