"""Compare an artifact with its float model: the work behind `vdeploy diff`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.artifact import Artifact, read_artifact
from vacc_deploy.config import build_config
from vacc_deploy.cpu import cpu_count
from vacc_deploy.data import open_dataset
from vacc_deploy.errors import ConfigError
from vacc_deploy.evaluate.protocol import recipe_protocol
from vacc_deploy.quantize.causes import Cause, find_causes
from vacc_deploy.quantize.diff import LayerDiff, agreement, diff_layers
from vacc_deploy.quantize.observe.feeds import checked_feeds
from vacc_deploy.quantize.score import FidelityScore, tolerance_text
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.runtime.model import Model
from vacc_deploy.safe_io import Positions

Feed = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found.

    Attributes:
        layers: One line per layer, in graph order; empty for an fp16 artifact.
        fidelity_db: PSNR of the artifact's picture against the float model's, mean over the inputs; it is the
            first output unless the recipe names another.
        tolerance: Which fidelity the task needs, in words.
        causes: The layers that cost most, in words.
    """

    layers: list[LayerDiff]
    fidelity_db: float
    tolerance: str
    causes: list[Cause]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "fidelity_db": self.fidelity_db,
            "tolerance": self.tolerance,
            "causes": [asdict(cause) for cause in self.causes],
            "layers": [line.to_json() for line in self.layers],
        }


def compare(
    prefix: Path,
    reference: Path,
    inputs: Path | None = None,
    *,
    pictures: int = 3,
    causes: int = 5,
    psnr_db: float = 31.0,
) -> Comparison:
    """Run both on the same inputs.

    The layers are compared on the float model quantised by the artifact's own calibration table, which is
    what its integer kernels compute; the fidelity is the artifact's itself.

    Args:
        prefix: The artifact.
        reference: The float ONNX or TorchScript file that it was compiled from.
        inputs: Pictures for the configuration's process_ops, npz files or a datalist; the stored test
            input by default.
        pictures: How many of them to use.
        causes: How many layers to try in fp16.
        psnr_db: What the float model reaches on its task.

    Raises:
        VdeployError: The model is not the artifact's, or the inputs do not fit.
    """
    from vacc_deploy.frontend import load_model  # brings onnxsim, which only this function needs

    artifact = read_artifact(prefix)
    shapes = {spec.name: spec.shape for spec in artifact.manifest.inputs}
    model = load_model(reference, shapes)
    feeds = list(checked_feeds(model, _feeds(artifact, inputs, pictures)))
    select = recipe_protocol(artifact.manifest.recipe).select
    score = FidelityScore(model, feeds, psnr_db=psnr_db, threads=cpu_count(), select=select)
    compiled = Model(artifact)
    fidelity = score.fidelity_db(lambda feed: compiled.run([feed[name] for name in shapes]))
    layers, found = _layers(model, artifact, feeds, score, causes)
    return Comparison(layers, fidelity, tolerance_text(fidelity, psnr_db), found)


def compare_stored(prefix: Path) -> list[dict[str, Any]]:
    """The artifact's outputs for its test input against the float outputs stored beside it.

    Raises:
        ConfigError: The artifact stores none.
    """
    model = Model(prefix)
    test = model.artifact.self_test()
    if not test.float:
        raise ConfigError(
            "the artifact stores no float outputs",
            where=str(prefix),
            hint="name the float model: --reference",
        )
    outputs = model.run(test.input)
    return [
        {"name": spec.name, **asdict(agreement([expected], [output]))}
        for spec, expected, output in zip(model.outputs, test.float, outputs, strict=True)
    ]


def layers_csv(result: Comparison) -> str:
    """The layers as CSV, a heading first."""
    buffer = io.StringIO()
    rows = [line.to_json() for line in result.layers]
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _layers(
    model: ir.Model, artifact: Artifact, feeds: list[Feed], score: FidelityScore, causes: int
) -> tuple[list[LayerDiff], list[Cause]]:
    if not artifact.manifest.calibration:
        return [], []
    text = json.dumps(artifact.manifest.calibration)
    table = CalibrationTable.from_json(text, f"{artifact.prefix}.json")
    layers = diff_layers(model, table, feeds, threads=cpu_count())
    _, found = find_causes(model, table, score, layers, most=causes, threads=cpu_count())
    return layers, found


def _feeds(artifact: Artifact, inputs: Path | None, pictures: int) -> list[Feed]:
    specs = artifact.manifest.inputs
    if inputs is None:
        stored = artifact.self_test().input
        return [{spec.name: array for spec, array in zip(specs, stored, strict=True)}]
    config = build_config(artifact.manifest.config, Positions(f"{artifact.prefix}.json"))
    dataset = open_dataset(config.dataset, {spec.name: spec.shape for spec in specs}, inputs)
    return list(islice(dataset, pictures))
