"""A model file compiles without a build YAML: what it says about itself, and what has to be assumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.bare_model import bare_model
from vacc_deploy.build_files import require_files, resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.errors import ConfigError, DataError, FileError, ModelError
from vacc_deploy.processing import Preprocess
from vacc_deploy.safe_io import write_image


def write_model(
    path: Path, channels: int = 3, metadata: dict[str, Any] | None = None, *, size_is_open: bool = False
) -> Path:
    """A 3×3 convolution of (1, channels, 8, 12) pictures, or of any size."""
    weights = np.random.default_rng(0).standard_normal((channels, channels, 3, 3)).astype(np.float32) / 9
    shape = [1, channels, "height", "width"] if size_is_open else [1, channels, 8, 12]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["picture", "weights"], ["output"], name="conv", pads=[1, 1, 1, 1])],
        "one_conv",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {"vdeploy": json.dumps(metadata)})
    onnx.save(model, path)
    return path


def write_pictures(folder: Path) -> Path:
    """Two small RGB pictures."""
    folder.mkdir()
    generator = np.random.default_rng(1)
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", generator.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    return folder


ASSUMED = {1: ["DecodeImage", "CvtColor", "Resize", "ChannelSplit", "Normalize", "ToTensor"],
           3: ["DecodeImage", "Resize", "Normalize", "ToTensor"],
           5: []}  # fmt: skip


@pytest.mark.parametrize("channels", ASSUMED)
def test_without_metadata_pictures_are_assumed_and_that_is_said(channels: int, tmp_path: Path) -> None:
    config = bare_model(write_model(tmp_path / "net.onnx", channels))
    ops = [] if config.dataset is None else [op.type for op in config.dataset.process_ops]
    assert ops == ASSUMED[channels]
    assert len(config.notes) == (1 if ops else 0)
    assert config.inputs == {"picture": (1, channels, 8, 12)}


def test_metadata_states_the_pre_processing(tmp_path: Path) -> None:
    preprocess = Preprocess((8, 12), color="bgr", mean=(0.5,) * 3, std=(0.25,) * 3)
    config = bare_model(write_model(tmp_path / "net.onnx", metadata={"preprocess": preprocess.to_json()}))
    assert config.dataset is not None
    assert [op.type for op in config.dataset.process_ops] == [
        "DecodeImage", "CvtColor", "Resize", "Normalize", "ToTensor"
    ]  # fmt: skip
    assert not config.notes


@pytest.mark.parametrize("metadata", [None, {"preprocess": Preprocess((8, 12)).to_json()}])
def test_an_open_size_is_given(metadata: dict[str, Any] | None, tmp_path: Path) -> None:
    model = write_model(tmp_path / "net.onnx", metadata=metadata, size_is_open=True)
    with pytest.raises(ModelError, match=r"no static shape: \[1, 3, height, width\](.|\n)*--shape"):
        resolve_build(str(model))
    pictures = write_pictures(tmp_path / "pictures")
    build = resolve_build(str(model), [("", (3, 10, 14))]).override(dtype="int8", dataset=pictures)
    assert build.inputs == {"picture": (1, 3, 10, 14)}
    made = compile_model(build, CompileOptions(output=tmp_path / "out", dataset=pictures))
    assert made.manifest.inputs[0].shape == (1, 3, 10, 14)
    assert made.manifest.int8_mac_share() == 1.0


def test_a_fixed_size_is_not_given_otherwise(tmp_path: Path) -> None:
    model = write_model(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"\[1, 3, 8, 12\] in the model, but \[1, 3, 10, 14\] is asked"):
        resolve_build(str(model), [("picture", (3, 10, 14))])


@pytest.mark.parametrize(("name", "expected"), {"": "input_0", "luma": "luma"}.items())
def test_torchscript_takes_the_given_shape(name: str, expected: str, tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8)).save(str(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match="--shape"):
        resolve_build(str(tmp_path / "net.pt"))
    build = resolve_build(str(tmp_path / "net.pt"), [(name, (1, 8, 12))])
    assert build.inputs == {expected: (1, 1, 8, 12)}


def test_int8_calibrates_on_pictures(tmp_path: Path) -> None:
    model = write_model(tmp_path / "net.onnx")
    pictures = write_pictures(tmp_path / "pictures")
    build = resolve_build(str(model)).override(dtype="int8", dataset=pictures)
    made = compile_model(build, CompileOptions(output=tmp_path / "out", dataset=pictures))
    assert made.manifest.int8_mac_share() == 1.0


def test_inputs_that_are_no_pictures_ask_for_npz(tmp_path: Path) -> None:
    model = write_model(tmp_path / "net.onnx", channels=5)
    pictures = write_pictures(tmp_path / "pictures")
    build = resolve_build(str(model)).override(dtype="int8", dataset=pictures)
    with pytest.raises(DataError, match="npz"):
        compile_model(build, CompileOptions(output=tmp_path / "out", dataset=pictures))
    assert not (tmp_path / "out").exists()


def test_int8_without_pictures_says_which_flag_names_them(tmp_path: Path) -> None:
    build = resolve_build(str(write_model(tmp_path / "net.onnx"))).override(dtype="int8")
    with pytest.raises(DataError, match="--dataset"):
        compile_model(build, CompileOptions(output=tmp_path / "out"))


def test_a_missing_model_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model at .*absent\.onnx"):
        bare_model(tmp_path / "absent.onnx")


def test_int8_needs_calibration_data(tmp_path: Path) -> None:
    config = bare_model(write_model(tmp_path / "net.onnx"))
    require_files(config, calibrates=False)
    with pytest.raises(DataError, match="no dataset is given"):
        require_files(config, calibrates=True)


@pytest.mark.parametrize(
    ("build", "command"),
    {
        "official_vdsr": "vdeploy export vdsr",
        "official_gpen_256": "vdeploy export gpen --variant 256",
        "official_lesrcnn_x3": "vdeploy export lesrcnn --variant x3",
    }.items(),
)
def test_a_shipped_build_says_how_its_missing_checkpoint_is_made(
    build: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError) as caught:
        require_files(resolve_build(build), calibrates=False)
    assert f"{command}" in str(caught.value)
