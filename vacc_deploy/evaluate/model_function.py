"""Models as functions from input tensors to output tensors: ONNX files, artifacts, or anything callable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import ModelError
from vacc_deploy.onnx_session import open_session
from vacc_deploy.safe_io import read_onnx

# (1, C, H, W) inputs to outputs.  An `input_shape` attribute (N, C, H, W), with None for what is open, tells
# the evaluation that the size is fixed; a `name` is the file's in messages.
ModelFunction: TypeAlias = Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]

RECIPE_KEY = "vdeploy"  # the metadata entry of exported ONNX files


class OnnxFunction:
    """A float ONNX file in ONNX Runtime.

    Args:
        path: The file.
        threads: None leaves the choice to ONNX Runtime.

    Raises:
        FileError: The file is missing, or no ONNX model.
        ModelError: ONNX Runtime refuses it.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.name = str(path)
        model = read_onnx(path).SerializeToString()
        try:
            self._session = open_session(model, threads)
        except Exception as error:  # ONNX Runtime's exception classes are not public
            raise ModelError(f"ONNX Runtime cannot load '{path}'", why=str(error)) from error
        self._metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        inputs = self._session.get_inputs()
        self._names = [item.name for item in inputs]
        self._types = [np.float16 if item.type == "tensor(float16)" else np.float32 for item in inputs]
        self.input_shape = tuple(n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape)

    @property
    def recipe(self) -> dict[str, Any]:
        """What `vdeploy export` wrote into the file: protocol, preprocess, postprocess; empty elsewhere."""
        try:
            document = json.loads(self._metadata.get(RECIPE_KEY, "{}"))
        except json.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the network once."""
        feeds = {n: a.astype(t, copy=False) for n, a, t in zip(self._names, arrays, self._types, strict=True)}
        outputs: list[NDArray[Any]] = self._session.run(None, feeds)
        return outputs


def open_model(path: str | Path, threads: int | None = None) -> OnnxFunction | ArtifactFunction:
    """An ONNX file by its suffix, else the artifact of that prefix."""
    if Path(path).suffix.lower() == ".onnx":
        return OnnxFunction(path, threads)
    return ArtifactFunction(path, threads)


class ArtifactFunction:
    """A compiled artifact.

    Args:
        prefix: ``dir/mod``, the prefix of its files.
        threads: None takes every core.
    """

    def __init__(self, prefix: str | Path, threads: int | None = None) -> None:
        from vacc_deploy.runtime.model import Model

        self.name = str(prefix)
        self.model = Model(prefix, threads=threads)
        self.input_shape: tuple[int | None, ...] = tuple(self.model.inputs[0].shape)
        self.recipe: dict[str, Any] = dict(self.model.manifest.recipe)

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the artifact; inputs become float16 as the vdsp writes them."""
        return self.model.run([array.astype(np.float16) for array in arrays])
