"""`vdeploy run`: what pictures become on their way in and out, and where results go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy.cli.app import main
from vacc_deploy.errors import ConfigError, DataError, RunError
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.pictures import network_picture, output_picture, vdsp_op_of
from vacc_deploy.runtime.run_files import list_pictures, name_results
from vacc_deploy.runtime.vdsp import ImageFormat
from vacc_deploy.safe_io import read_image, read_npz, write_image

RGB = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)


def test_a_picture_goes_in_as_rgb_planes_or_as_three_times_its_brightness() -> None:
    colour, luma = network_picture(RGB, False), network_picture(RGB, True)
    assert colour.format == luma.format == ImageFormat.RGB_PLANAR
    assert np.array_equal(colour.array.transpose(1, 2, 0), RGB)
    brightness = cv2.cvtColor(RGB[:, :, ::-1], cv2.COLOR_BGR2YCrCb)[:, :, 0]  # as the vendor's scripts do
    assert all(np.array_equal(plane, brightness) for plane in luma.array)


OUTPUTS: dict[str, tuple[Postprocess, list[float], list[int]]] = {
    "0 to 1": (Postprocess(), [0.0, 0.5, 1.0], [0, 128, 255]),
    "-1 to 1": (Postprocess(127.5, 127.5), [-1.0, 0.0, 1.0], [0, 128, 255]),
    "out of range": (Postprocess(), [-0.3, 0.2, 1.7], [0, 51, 255]),
    "blue first": (Postprocess(1.0, color="bgr"), [10.0, 20.0, 30.0], [30, 20, 10]),
}


@pytest.mark.parametrize(("postprocess", "values", "expected"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_becomes_a_picture(
    postprocess: Postprocess, values: list[float], expected: list[int]
) -> None:
    output = np.array(values, np.float16).reshape(1, 3, 1, 1)
    assert output_picture(output, postprocess, RGB).reshape(3).tolist() == expected


def test_a_brightness_output_takes_its_colours_from_the_input() -> None:
    luma = cv2.cvtColor(RGB, cv2.COLOR_RGB2YCrCb)[:, :, 0].astype(np.float16)[np.newaxis, np.newaxis]
    picture = output_picture(luma, Postprocess(1.0, color="y"), RGB)
    assert np.abs(picture.astype(int) - RGB).max() <= 2  # one trip through 8-bit YCrCb
    large = output_picture(np.zeros((1, 1, 16, 20), np.float16), Postprocess(1.0, color="y"), RGB)
    assert large.shape == (16, 20, 3)


NO_PICTURES: dict[str, tuple[np.ndarray, str]] = {
    "scores": (np.zeros((1, 1000), np.float16), r"\[1, 1000\] is no picture"),
    "many channels": (np.zeros((1, 64, 4, 4), np.float16), "is no picture"),
    "infinite": (np.full((1, 3, 2, 2), np.inf, np.float16), "infinite"),
}


@pytest.mark.parametrize(("output", "message"), NO_PICTURES.values(), ids=NO_PICTURES)
def test_an_output_that_is_no_picture_is_refused(output: np.ndarray, message: str) -> None:
    with pytest.raises(RunError, match=message):
        output_picture(output, Postprocess(), RGB)


RECIPES: dict[str, tuple[Preprocess, Any]] = {
    "DIV255": (Preprocess((8, 10)), lambda x: x / 255),
    "mean and std": (Preprocess((8, 10), mean=(0.5,) * 3, std=(0.5,) * 3), lambda x: (x / 255 - 0.5) / 0.5),
    "plain mean": (
        Preprocess((8, 10), divisor=1.0, mean=(127.5,) * 3, std=(127.5,) * 3), lambda x: (x - 127.5) / 127.5
    ),
    "nothing": (Preprocess((8, 10), divisor=1.0), lambda x: x),
    "blue first": (Preprocess((8, 10), color="bgr"), lambda x: x[:, :, ::-1] / 255),
}  # fmt: skip


@pytest.mark.parametrize(("recipe", "formula"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_a_vdsp_operator(recipe: Preprocess, formula: Any) -> None:
    tensor = vdsp_op_of(recipe).run(network_picture(RGB, False), input_shape=(1, 3, 8, 10))
    expected = formula(RGB.astype(np.float64)).transpose(2, 0, 1)
    assert tensor.dtype == np.float16
    assert np.allclose(tensor, expected, atol=2e-3 * max(1, np.abs(expected).max()))


def test_a_recipe_beyond_the_vdsp_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot divide by 128"):
        vdsp_op_of(Preprocess((8, 10), divisor=128.0))


def test_folders_give_their_pictures_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt", "._a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures([tmp_path, tmp_path / "b.png"])] == [
        "a.jpg",
        "b.png",
        "b.png",
    ]
    with pytest.raises(DataError, match="does not exist"):
        list_pictures([tmp_path / "c.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        list_pictures([tmp_path / "empty"])


def test_results_never_overwrite_each_other_or_the_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would both be written"):
        name_results([tmp_path / "a.png", tmp_path / "a.jpg"], tmp_path / "out", ".png")
    with pytest.raises(ConfigError, match="overwrite the input"):
        name_results([tmp_path / "a.png"], tmp_path, ".png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("x", "y"):
        write_image(tmp_path / f"{name}.png", RGB)
    op = {"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": {"NormaType": "DIV255"}}
    (tmp_path / "vdsp.json").write_text(json.dumps(op))
    return tmp_path


def test_run_writes_one_picture_per_input(
    tiny_artifact: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = ["--input", f"{folder}/x.png", f"{folder}/y.png"]
    out = folder / "out"
    assert (
        main(["run", str(tiny_artifact), "--vdsp_params", f"{folder}/vdsp.json", *inputs, "-o", str(out)])
        == 0
    )
    assert "not the card" in capsys.readouterr().out
    expected = np.clip(2 * cv2.resize(RGB, (24, 16)).astype(int), 0, 255)
    for name in ("x", "y"):
        assert np.abs(read_image(out / f"{name}.png").astype(int) - expected).max() <= 1


def test_run_of_a_build_config_writes_npz_named_after_the_inputs(tiny_artifact: Path, folder: Path) -> None:
    config = folder / "build.yaml"
    config.write_text(
        f"name: tiny\nfrontend:\n  type: onnx\n  checkpoint: tiny.onnx\n  shape: {{image: [1, 3, 16, 24]}}\n"
        f"backend:\n  type: tvm_vacc\n  dtype: fp16\n"
        f"dataset:\n  path: {folder}\n  sampler: {{suffix: png, get_data_num: 2}}\n  process_ops:\n"
        "    - {type: DecodeImage}\n    - {type: Resize, size: [16, 24]}\n    - {type: ToTensor}\n"
    )
    out = folder / "out"
    assert main(["run", str(config), "-m", str(tiny_artifact), "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["x.npz", "y.npz"]
    resized = cv2.resize(RGB, (24, 16)).transpose(2, 0, 1)[np.newaxis]
    values = read_npz(out / "x.npz")["output_0"]
    assert values.shape == (1, 3, 16, 24)
    assert np.array_equal(values, Model(tiny_artifact).run([resized.astype(np.float16)])[0])


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no input": (["-o", "out"], "run needs --input"),
    "no vdsp": (["--input", "x.png", "-o", "out"], "--vdsp_params"),
    "no such picture": (["--input", "z.png", "-o", "out"], "z.png' does not exist"),
}


@pytest.mark.parametrize(("flags", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_clear_error_and_leaves_nothing(
    tiny_artifact: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["run", str(tiny_artifact), *flags]) == 1
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()
