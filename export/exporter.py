"""Exports a recipe: weights in, proven ONNX and TorchScript files out."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir
import torch
from torch import nn

from vacc_deploy.errors import ConfigError, ModelError
from vacc_deploy.export.archive import save_torchscript, trace
from vacc_deploy.export.checkpoint import load_checkpoint
from vacc_deploy.export.proof import Difference, Format, as_arrays, compare, run_onnx, run_torchscript
from vacc_deploy.export.recipe import Recipe
from vacc_deploy.export.sample_picture import sample_input
from vacc_deploy.export.seeded import fill_seeded
from vacc_deploy.freed_memory import return_freed_memory
from vacc_deploy.frontend.load import clean
from vacc_deploy.frontend.torchscript import METADATA_KEY, to_onnx
from vacc_deploy.safe_io.atomic import write_bytes_atomic

Weights = Literal["checkpoint", "demo", "seeded"]
FORMATS: tuple[Format, ...] = ("onnx", "torchscript")
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".torchscript.pt"}


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote and proved.

    Args:
        recipe: The recipe at the exported size.
        weights: Where the weights came from.
        files: Format → file.
        differences: One measurement per format.
        parameters: Number of weights of the network, shared ones counted once.
    """

    recipe: Recipe
    weights: Weights
    files: dict[Format, Path]
    differences: tuple[Difference, ...]
    parameters: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "recipe": self.recipe.name,
            "variant": self.recipe.variant,
            "input_shape": list(self.recipe.input_shape),
            "weights": self.weights,
            "parameters": self.parameters,
            "files": {form: str(path) for form, path in self.files.items()},
            "max_abs_difference": {item.form: item.max_abs for item in self.differences},
        }


def metadata(recipe: Recipe, weights: Weights) -> str:
    """The document inside the exported files, ``vdeploy``: how to feed, read and score them."""
    document = {
        "recipe": recipe.name,
        "variant": recipe.variant,
        "protocol": recipe.protocol,
        "preprocess": recipe.preprocess.to_json(),
        "postprocess": recipe.postprocess.to_json(),
        "inputs": {recipe.input_name: list(recipe.input_shape)},
        "outputs": list(recipe.output_names),
        "weights": weights,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def load_weights(network: nn.Module, recipe: Recipe, checkpoint: Path | None) -> Weights:
    """Fill `network` from the checkpoint, the demo weights or the seeded rule, in this order of preference.

    Raises:
        FileError: The checkpoint cannot be read.
        CheckpointError: It does not fit.
    """
    if checkpoint is not None:
        load_checkpoint(network, checkpoint, recipe.stem)
        return "checkpoint"
    if recipe.demo_weights:
        file = resources.files("vacc_deploy.export") / "weights" / recipe.demo_weights
        if file.is_file():
            with resources.as_file(file) as path:
                load_checkpoint(network, path, recipe.stem)
            return "demo"
    fill_seeded(network, recipe.seeded_gains)
    return "seeded"


def for_inference(network: nn.Module) -> nn.Module:
    """The network ready for inference.

    Networks whose inference form differs from their checkpoint form offer a method ``for_inference()``.
    """
    with torch.no_grad():
        network.eval().requires_grad_(False)
        prepare = getattr(network, "for_inference", None)
        prepared: nn.Module = network if prepare is None else prepare()
    return prepared


def export_model(
    recipe: Recipe,
    checkpoint: Path | None = None,
    size: tuple[int, int] | None = None,
    out_dir: Path = Path("exported"),
    formats: Sequence[Format] = FORMATS,
) -> ExportResult:
    """Write a recipe's network as ONNX and TorchScript and prove both equal to PyTorch on a real picture.

    The ONNX is converted from the traced module, so that it is what compiling the TorchScript yields too.
    Files appear under their names only when complete and proven.

    Args:
        recipe: What to export.
        checkpoint: Official weights; None takes the demo weights if there are any, else seeded ones.
        size: (height, width) of the input in pixels; None keeps the recipe's.
        out_dir: Folder for ``<stem>.onnx`` and ``<stem>.torchscript.pt``.
        formats: Which files to write.

    Raises:
        ConfigError: The network does not exist at that size, or a format is unknown.
        CheckpointError: The checkpoint does not fit.
        ModelError: A written file does not compute what PyTorch computes.
    """
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise ConfigError(
            f"unknown export format: {', '.join(unknown) or 'none given'}",
            hint=f"one of {', '.join(FORMATS)}",
        )
    recipe = recipe.at_size(*size) if size else recipe
    network = recipe.build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with torch.no_grad():
        weights = load_weights(network, recipe, checkpoint)
    network = for_inference(network)
    example = sample_input(recipe)
    with torch.inference_mode():
        expected = as_arrays(network(example))
    if len(expected) != len(recipe.output_names):
        raise ModelError(
            f"{recipe.stem} returns {len(expected)} outputs, its recipe names {len(recipe.output_names)}",
            hint="correct output_names in the recipe",
        )
    document, tolerance = metadata(recipe, weights), recipe.proof_tolerance
    traced = trace(network, example)
    data: dict[Format, bytes] = {}
    proofs: dict[Format, Difference] = {}
    if "torchscript" in formats:
        data["torchscript"] = save_torchscript(traced, document)
        got = run_torchscript(data["torchscript"], example)
        proofs["torchscript"] = compare("torchscript", expected, got, tolerance)
    if "onnx" in formats:
        model = to_onnx(traced, [recipe.input_shape], [recipe.input_name], recipe.output_names)
        del network, traced  # what runs below needs the memory
        cleaned = clean(model, None, recipe.stem, fold=False)
        del model
        cleaned.metadata_props[METADATA_KEY] = document
        data["onnx"] = ir.serde.serialize_model(cleaned).SerializeToString(deterministic=True)
        del cleaned
        gc.collect()  # modules and what was traced from them refer to one another in rings
        return_freed_memory()
        got = run_onnx(data["onnx"], recipe.input_name, example)
        proofs["onnx"] = compare("onnx", expected, got, tolerance)
    files: dict[Format, Path] = {}
    for form in (form for form in FORMATS if form in data):
        files[form] = out_dir / f"{recipe.stem}{SUFFIXES[form]}"
        write_bytes_atomic(files[form], data[form])
    return ExportResult(recipe, weights, files, tuple(proofs[form] for form in files), parameters)
