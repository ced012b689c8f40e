"""Everything that an artifact's report shows, gathered before a line of HTML is written."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vacc_deploy.artifact import Layer, Manifest
from vacc_deploy.cpu import cpu_name
from vacc_deploy.evaluate import EvalResult, evaluate, open_model
from vacc_deploy.evaluate.protocol import clip_round, recipe_protocol
from vacc_deploy.runtime.model import LayerTime, Model
from vacc_deploy.runtime.verify import stored_inputs

_ERROR_GAIN = 16  # the error picture shows differences this many times larger
_CROP = 192  # pixels; the middle of each picture


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of the layer table."""

    layer: Layer
    time_us: float
    share: float  # of the whole inference, 0…1
    gops: float


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One test picture: its scores, and crops as PNG data URLs."""

    name: str
    psnr_db: float
    reference_psnr_db: float | None
    images: dict[str, str]  # caption → data URL


@dataclass(slots=True)
class ReportData:
    """The content of a report."""

    prefix: str
    manifest: Manifest
    machine: str
    layers: list[LayerRow]
    total_us: float
    thresholds: list[dict[str, Any]]
    score: EvalResult | None = None
    pictures: list[PictureRow] = field(default_factory=list)

    @property
    def largest_share(self) -> float:
        """The slowest layer's share of the whole inference."""
        return max(row.share for row in self.layers)


def collect_report(
    prefix: Path, lr: Path | None = None, hr: Path | None = None, reference: Path | None = None
) -> ReportData:
    """Load and profile the artifact; with `hr` also score it and keep crops of the pictures.

    Raises:
        VdeployError: The artifact or the pictures cannot be used.
    """
    model = Model(prefix)
    inputs = stored_inputs(model)
    model.run(inputs)
    rows, total = _layer_rows(model.profile(inputs))
    table = model.manifest.calibration.get("tensors", {})
    data = ReportData(
        prefix=str(model.artifact.prefix),
        manifest=model.manifest,
        machine=cpu_name(),
        layers=rows,
        total_us=total,
        thresholds=[{"name": name, **table[name]} for name in sorted(table, key=_numbers_by_value)],
    )
    if hr is not None:
        _add_scores(data, prefix, lr, hr, reference)
    return data


def _numbers_by_value(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``Relu_2`` before ``Relu_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _layer_rows(times: list[LayerTime]) -> tuple[list[LayerRow], float]:
    total = sum(row.time_us for row in times)
    rows = [
        LayerRow(row.layer, row.time_us, row.time_us / total, 2e-3 * row.layer.macs / max(row.time_us, 1e-3))
        for row in times
    ]
    return rows, total


def _add_scores(data: ReportData, prefix: Path, lr: Path | None, hr: Path, reference: Path | None) -> None:
    pictures: dict[str, npt.NDArray[Any]] = {}
    references: dict[str, npt.NDArray[Any]] = {}
    float_model = None if reference is None else open_model(reference)
    data.score = evaluate(
        open_model(prefix),
        recipe_protocol(data.manifest.recipe),
        lr,
        hr,
        float_model,
        on_picture=pictures.__setitem__,
        on_reference=references.__setitem__,
    )
    for row in data.score.rows:
        images = {data.manifest.dtype: _data_url(_crop(clip_round(pictures[row.name])))}
        if row.name in references:
            images["float"] = _data_url(_crop(clip_round(references[row.name])))
            difference = np.abs(pictures[row.name] - references[row.name]) * _ERROR_GAIN
            images[f"difference ×{_ERROR_GAIN}"] = _data_url(_crop(clip_round(difference)))
        data.pictures.append(PictureRow(row.name, row.psnr_db, row.reference_psnr_db, images))


def _crop(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    height, width = picture.shape[:2]
    top, left = max(0, (height - _CROP) // 2), max(0, (width - _CROP) // 2)
    return picture[top : top + _CROP, left : left + _CROP]


def _data_url(picture: npt.NDArray[Any]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.squeeze(picture).astype(np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
