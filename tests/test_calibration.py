"""What a network is calibrated on, and what is said where it will see something else."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.calibration import calibration_data, calibration_table
from vacc_deploy.config import BuildConfig, build_config
from vacc_deploy.data.sample_pictures import PLACEHOLDER, sample_pictures
from vacc_deploy.errors import DataError, ErrorList
from vacc_deploy.frontend import load_model
from vacc_deploy.processing import Preprocess
from vacc_deploy.safe_io import parse_yaml, write_image

_SIZE = (16, 24)
_SIGNED = Preprocess(_SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)
_OPS = [{"type": "DecodeImage"}, {"type": "Resize", "size": list(_SIZE)}]
_FROM_0_TO_1: list[dict[str, Any]] = [*_OPS, {"type": "Normalize"}, {"type": "ToTensor"}]
_FROM_MINUS_1: list[dict[str, Any]] = [
    *_OPS,
    {"type": "Normalize", "mean": [0.5] * 3, "std": [0.5] * 3},
    {"type": "ToTensor"},
]


@pytest.fixture
def model(tmp_path: Path) -> ir.Model:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, *_SIZE)) for name in "xy"]
    kernel = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "net.onnx")
    return load_model(tmp_path / "net.onnx", None)


def _pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        write_image(folder / f"{index}.png", random.integers(0, 256, (*_SIZE, 3), np.uint8))
    return folder


def _config(path: Path | str, ops: list[dict[str, Any]]) -> BuildConfig:
    text = (
        f"name: net\nfrontend: {{checkpoint: net.onnx, shape: {{x: [1, 3, {_SIZE[0]}, {_SIZE[1]}]}}}}\n"
        "backend: {type: tvm_vacc, dtype: int8, quantize: {calibrate_mode: max}}\n"
        f"dataset: {{path: {path}, process_ops: {json.dumps(ops)}}}\n"
    )
    return build_config(*parse_yaml(text, "net.yaml"))


@pytest.mark.parametrize(
    ("placeholder", "given", "expected"),
    [
        (False, False, 2),
        (False, True, 3),
        (True, True, 3),
        (True, False, len(sample_pictures())),
    ],
    ids=["the file's", "given ones", "given ones for a placeholder", "sample pictures for a placeholder"],
)
def test_data(placeholder: bool, given: bool, expected: int, model: ir.Model, tmp_path: Path) -> None:
    path = f"{PLACEHOLDER}pictures" if placeholder else _pictures(tmp_path / "own", 2)
    other = _pictures(tmp_path / "given", 3) if given else None
    data = calibration_data(model, _config(path, _FROM_0_TO_1), other)
    assert len(data) == expected
    assert {feed["x"].shape for feed in data} == {(1, 3, *_SIZE)}


# Where the pictures are, what prepares them, what the model says of that, and what is warned of.
WARNINGS: dict[str, tuple[bool, list[dict[str, Any]], Preprocess | None, list[str]]] = {
    "nothing": (False, _FROM_MINUS_1, _SIGNED, []),
    "a model without a recipe": (False, _FROM_0_TO_1, None, []),
    "other values than the recipe's": (
        False,
        _FROM_0_TO_1,
        _SIGNED,
        ["calibration computes x / 255, the model's own recipe says (x / 255 − 0.5) / 0.5"],
    ),
    "a placeholder": (True, _FROM_MINUS_1, _SIGNED, ["dataset.path is a placeholder"]),
    "both": (True, _FROM_0_TO_1, _SIGNED, ["dataset.path is a placeholder", "calibration computes x / 255"]),
}


@pytest.mark.parametrize("name", WARNINGS)
@pytest.mark.parametrize("strict", [False, True], ids=["told", "refused"])
def test_warnings(name: str, strict: bool, model: ir.Model, tmp_path: Path) -> None:
    placeholder, ops, preprocess, expected = WARNINGS[name]
    config = _config(f"{PLACEHOLDER}pictures" if placeholder else _pictures(tmp_path / "own", 8), ops)
    recipe = {} if preprocess is None else {"preprocess": preprocess.to_json()}

    def calibrated() -> list[str]:
        bar = nullcontext(lambda *_steps, **_note: None)
        _, warnings = calibration_table(
            model, config, None, recipe, lambda *_: bar, recipe_exact=True, strict=strict
        )
        return warnings

    if strict and any(line.startswith("calibration") for line in expected):
        with pytest.raises((DataError, ErrorList), match="the model's own recipe says"):
            calibrated()
        return
    warnings = calibrated()
    for line, start in zip(warnings, expected, strict=True):
        assert line.startswith(start)
