"""Compile an ONNX model in memory as `vdeploy compile` compiles a file, and run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vacc_deploy.artifact import Manifest, write_artifact
from vacc_deploy.frontend.load import clean
from vacc_deploy.lowering.pipeline import lower
from vacc_deploy.lowering.target import resolve_target
from vacc_deploy.runtime.model import Model

Array = npt.NDArray[Any]


def compile_and_run(
    model: onnx.ModelProto, feeds: dict[str, Array], target: str, folder: Path, storage: str = "float32"
) -> list[Array]:
    """The outputs of `model` for one set of inputs.

    Args:
        model: Static shapes.
        feeds: Input name → array of the declared shape, batch included.
        target: Name of a target.
        folder: Where the code goes.
        storage: Type that floats are stored as.
    """
    level = resolve_target(target)
    library = folder / "code.so"
    shapes = {name: array.shape for name, array in feeds.items()}
    lowered = lower(clean(model, shapes, "case"), level, library, storage=storage)
    manifest = Manifest(
        name="case",
        dtype="fp16",
        target=level.name,
        isa=level.isa.value,
        requires=tuple(sorted(level.requires)),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        run_stream=lowered.run_stream,
        params=tuple(lowered.params),
        versions={},
    )
    loaded = Model(write_artifact(folder / "case", manifest, library, lowered.params))
    arrays = [np.asarray(feeds[spec.name]) for spec in loaded.inputs]
    return loaded._run_one(arrays)  # the whole batch at once: `run` would take it apart
