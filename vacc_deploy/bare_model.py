"""A model file without a build YAML: the configuration that the file itself implies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vacc_deploy.config import BuildConfig, Remark, build_config
from vacc_deploy.config.input_shapes import GivenShape, match_shapes
from vacc_deploy.config.recipe_ops import process_ops
from vacc_deploy.errors import ConfigError, ModelError
from vacc_deploy.onnx_declarations import declared_shape, real_inputs
from vacc_deploy.processing import Preprocess
from vacc_deploy.safe_io import Positions, is_torchscript, parse_json, read_onnx

MODEL_SUFFIXES = (".onnx", ".pt", ".pth", ".torchscript")
_METADATA = "vdeploy"
_ASSUMED = {1: "luma / 255", 3: "RGB / 255"}  # channels → how pictures are read if nothing says otherwise


def bare_model(path: Path, given: Sequence[GivenShape] = ()) -> BuildConfig:
    """The configuration that a model file stands for: its name, fp16, its own shapes and pre-processing.

    Files of ``vdeploy export`` say how pictures become their input. For others x / 255 in RGB, or luma for
    one channel, is assumed, and said aloud; inputs that are no pictures are calibrated with npz files.

    Args:
        path: ONNX or TorchScript.
        given: Shapes of inputs that the file leaves open.

    Raises:
        ConfigError: There is no such file, or the given shapes fit no input.
        FileError: It is no model.
        ModelError: It does not say its input shapes, or says others than given.
    """
    if not path.is_file():
        raise ConfigError(f"no model at {path}", hint="vdeploy export NAME writes one")
    torchscript = is_torchscript(path)
    document, shapes = _torchscript(path, given) if torchscript else _onnx(path, given)
    ops, remarks = _picture_ops(path, document, shapes)
    data: dict[str, Any] = {
        "name": f"{path.name.split('.')[0]}_fp16",  # `--dtype int8` renames it
        "frontend": {
            "type": "pytorch" if torchscript else "onnx",
            "checkpoint": str(path),
            "shape": {name: list(shape) for name, shape in shapes.items()},
        },
        "backend": {"type": "tvm_vacc", "dtype": "fp16"},
        "workspace": {"path": "./deploy_weights"},
    }
    if ops:
        data["dataset"] = {"type": "tvm", "process_ops": ops}
    config = build_config(data, Positions(str(path)))
    return replace(config, remarks=tuple(remarks))  # the other remarks are about lines nobody wrote


def _torchscript(
    path: Path, given: Sequence[GivenShape]
) -> tuple[dict[str, Any], Mapping[str, Sequence[int]]]:
    """Metadata and input shapes of a TorchScript file."""
    # Pulls in onnx, which commands that read a YAML do without.
    from vacc_deploy.frontend.convert_torchscript import stored_document, stored_inputs

    stored = stored_inputs(path)
    if stored:
        matched = match_shapes(given, {name: len(shape) for name, shape in stored.items()}, str(path))
        return stored_document(path), {**stored, **matched}
    if not given:
        raise ModelError(
            "a TorchScript file does not say its input shapes",
            where=str(path),
            hint="give them: vdeploy compile --shape 1,3,512,512, or frontend.shape in a build YAML",
        )
    names = [name or f"input_{index}" for index, (name, _) in enumerate(given)]
    return {}, match_shapes(given, dict.fromkeys(names), str(path))


def _onnx(path: Path, given: Sequence[GivenShape]) -> tuple[dict[str, Any], Mapping[str, Sequence[int]]]:
    """Metadata and input shapes of an ONNX file."""
    from vacc_deploy.frontend.static_shapes import set_input_shapes

    model = read_onnx(path)
    ranks = {value.name: len(declared_shape(value)) or None for value in real_inputs(model)}
    set_input_shapes(model, match_shapes(given, ranks, str(path)), str(path))
    text = next((item.value for item in model.metadata_props if item.key == _METADATA), "")
    document = parse_json(text, f"{path} [metadata '{_METADATA}']") if text else {}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in real_inputs(model)
    }
    return document if isinstance(document, dict) else {}, shapes


def _picture_ops(
    path: Path, document: dict[str, Any], shapes: Mapping[str, Sequence[int]]
) -> tuple[list[dict[str, Any]], list[Remark]]:
    """The ``process_ops`` for calibration pictures, and what had to be assumed; none for other inputs."""
    if document.get("preprocess"):
        preprocess = Preprocess.from_json(document["preprocess"])
        sizes = [(shape[2], shape[3]) for shape in shapes.values() if len(shape) == 4]
        # A given shape may differ from the one that the file was exported for.
        return process_ops(replace(preprocess, size=sizes[0]) if len(sizes) == 1 else preprocess), []
    if len(shapes) != 1:
        return [], []
    ((_, shape),) = shapes.items()
    if len(shape) != 4 or shape[1] not in _ASSUMED:
        return [], []
    size = (shape[2], shape[3])
    remark = Remark(
        "the model does not say how pictures become its input; int8 would calibrate with "
        f"{_ASSUMED[shape[1]]} at {size[0]}x{size[1]} (a build YAML or npz files say otherwise)",
        str(path),
        "note",
    )
    return process_ops(Preprocess(size, color="y" if shape[1] == 1 else "rgb")), [remark]
