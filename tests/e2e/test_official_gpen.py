"""GPEN files traced from the authors' form of the network compile, run, and agree with PyTorch."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from official_gpen import FILTERS, official_form

from vacc_deploy.cli.app import main
from vacc_deploy.export.gpen_network import GPEN
from vacc_deploy.export.registry import find_recipe
from vacc_deploy.export.seeded import fill_seeded
from vacc_deploy.runtime.model import Model
from vacc_deploy.safe_io import write_image


@dataclass(frozen=True)
class Case:
    """A size of the network (`GPEN`'s arguments), form of the file, writing of its filters, precisions."""

    network: tuple[int, int, float]
    form: str
    filters: str
    dtypes: tuple[str, ...] = ("fp16", "int8")


TINY, SMALL, FULL = (8, 1, 1 / 32), (16, 1, 1 / 16), (256, 1, 0.5)
CASES = {
    "tiny": Case(TINY, "torchscript", "channels-last", ("int8",)),
    "torchscript": Case(SMALL, "torchscript", "channels-last"),
    "onnx": Case(SMALL, "onnx", "channels-last"),
    "torchscript-channel-batch": Case(SMALL, "torchscript", "channel-batch", ("fp16",)),
    "onnx-channel-batch": Case(SMALL, "onnx", "channel-batch", ("fp16",)),
    # Minutes each, so that at full size the forms share the precisions.
    "gpen-256-torchscript": Case(FULL, "torchscript", "channels-last", ("int8",)),
    "gpen-256-onnx": Case(FULL, "onnx", "channels-last", ("fp16",)),
}
QUICK = {"tiny"}
LEAST = {"fp16": (65.0, 0.0), "int8": (35.0, 95.0)}  # dB against PyTorch, % of multiply-accumulates in int8
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CASES]


def seeded(size: int, multiplier: int, narrow: float) -> GPEN:
    network = GPEN(size, multiplier, narrow)
    fill_seeded(network, find_recipe("gpen", "256").seeded_gains)
    return network.eval().requires_grad_(False)


def write_pictures(folder: Path, size: int) -> torch.Tensor:
    """Four smooth random pictures to calibrate on; returns a fifth as the network's input."""
    folder.mkdir()
    random = np.random.default_rng(7)
    for index in range(5):
        coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, 5, 5)).astype(np.float32))
        smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255)
        if index < 4:
            write_image(folder / f"{index}.png", smooth[0].permute(1, 2, 0).numpy().astype(np.uint8))
    return smooth / 127.5 - 1


def save(network: GPEN, example: torch.Tensor, form: str, folder: Path) -> Path:
    """The file as a user makes it: traced, or by the exporter that takes computed weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "torchscript":
            path = folder / "gpen.torchscript.pt"
            torch.jit.trace(network, example, check_trace=False).save(str(path))
        else:
            path = folder / "gpen.onnx"
            torch.onnx.export(network, (example,), path, dynamo=True, opset_version=18, verbose=False)
    return path


def build_yaml(model: Path, size: int, pictures: Path) -> str:
    kind = "onnx" if model.suffix == ".onnx" else "pytorch"
    return f"""
name: official_gpen_file
frontend: {{type: {kind}, checkpoint: {model}, shape: {{picture: [1, 3, {size}, {size}]}}}}
backend: {{type: tvm_vacc, dtype: int8}}
dataset:
  type: tvm
  path: {pictures}
  process_ops:
    - {{type: DecodeImage}}
    - {{type: Resize, size: [{size}, {size}]}}
    - {{type: Normalize, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}
    - {{type: ToTensor}}
"""


def compiled(config: Path, dtype: str, capsys: pytest.CaptureFixture[str]) -> tuple[Model, float]:
    """The artifact that `vdeploy compile` makes, and its share of multiply-accumulates in int8, percent."""
    folder = config.parent / "deploy_weights"
    capsys.readouterr()
    code = main(["compile", str(config), "--dtype", dtype, "--name", dtype, "-o", str(folder), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return Model(folder / dtype / "mod"), json.loads(printed.out)["int8_macs_percent"]


def decibels(got: np.ndarray, expected: np.ndarray) -> float:
    """PSNR of two pictures in [−1, 1]."""
    return 10 * float(np.log10(4 / np.mean((got.astype(np.float64) - expected) ** 2)))


@pytest.mark.parametrize("filters", FILTERS)
def test_the_authors_form_is_the_same_function(filters: str) -> None:
    network, picture = seeded(*SMALL), torch.rand(2, 3, 16, 16) * 2 - 1
    expected = network(picture)
    got = official_form(network, FILTERS[filters])(picture)
    np.testing.assert_allclose(got.detach(), expected.detach(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_users_file_compiles_and_agrees_with_pytorch(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    size = case.network[0]
    network = official_form(seeded(*case.network), FILTERS[case.filters])
    picture = write_pictures(tmp_path / "pictures", size).half().float()  # the run stream hands over float16
    model = save(network, picture, case.form, tmp_path)
    config = tmp_path / "build.yaml"
    config.write_text(build_yaml(model, size, tmp_path / "pictures"), encoding="utf-8")
    expected = network(picture).detach().numpy()
    for dtype in case.dtypes:
        artifact, percent = compiled(config, dtype, capsys)
        (got,) = artifact.run([picture.half().numpy()])
        least_db, least_percent = LEAST[dtype]
        assert decibels(got, expected) >= least_db, dtype
        assert percent >= least_percent
