"""What is doubtful in a file is said by the commands that use it: once, on stderr, and in the JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.artifact import read_artifact
from vacc_deploy.cli.app import main
from vacc_deploy.cli.vdsp_warnings import print_vdsp_warnings
from vacc_deploy.config import load_vdsp_operator
from vacc_deploy.processing import Preprocess
from vacc_deploy.safe_io import write_image

_MISSPELT = {"NormaTyp": "DIV255", "OimageWidth": 32, "OimageHeight": 32}


@pytest.fixture
def vdsp_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vdsp JSON whose only mistakes are ones that let it run, in the working directory."""
    monkeypatch.chdir(tmp_path)
    op = {"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": _MISSPELT}
    Path("v.json").write_text(json.dumps(op))
    write_image("a.png", np.zeros((16, 24, 3), np.uint8))
    return Path("v.json")


@pytest.mark.parametrize("command", ["run {} --input a.png -o out", "bench -m {} --iterations 2 --warmup 0"])
def test_a_doubtful_vdsp_json(
    command: str, vdsp_json: Path, tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command.format(tiny_artifact).split(), "--vdsp_params", str(vdsp_json)]
    assert main(words) == 0
    said = capsys.readouterr().err
    for warning in (
        "did you mean 'NormaType'?",
        "there is no NormaType: pixels stay 0…255",
        "the vdsp JSON makes 32x32 pixels, the model takes 24x16: the model's size is used",
    ):
        assert said.count(warning) == 1, said


RECIPES = {
    "alike": (Preprocess((16, 24)), ""),
    "luma is made before": (Preprocess((16, 24), color="y"), ""),
    "other values": (
        Preprocess((16, 24), mean=(0.5,) * 3, std=(0.5,) * 3),
        "warning: the vdsp JSON computes x / 255, the model's own recipe says (x / 255 − 0.5) / 0.5",
    ),
    "other order": (
        Preprocess((16, 24), color="bgr"),
        "warning: the vdsp JSON feeds RGB, the model's own recipe says BGR",
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_vdsp_json_of_another_model(
    name: str, vdsp_json: Path, tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, warning = RECIPES[name]
    op = {"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": {"NormaType": "DIV255"}}
    vdsp_json.write_text(json.dumps(op))
    manifest = read_artifact(tiny_artifact).manifest
    manifest = replace(manifest, recipe={"preprocess": recipe.to_json()})
    print_vdsp_warnings(load_vdsp_operator(vdsp_json), manifest)
    said = capsys.readouterr().err
    assert said == (f"{warning}\n  --> v.json\n" if warning else "")


def test_a_doubtful_build_yaml(
    tiny_artifact: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    yaml = tmp_path / "net.yaml"
    text = (tiny_artifact.parents[2] / "tiny.yaml").read_text()
    yaml.write_text(text.replace("type: onnx", "type: pytorch"))
    assert main(["compile", str(yaml), "-o", str(tmp_path / "out"), "--json"]) == 0
    output = capsys.readouterr()
    warning = "type is pytorch, but '.onnx' is the ending of onnx"
    assert output.err.count(warning) == 1
    assert "warning: warning" not in output.err
    assert json.loads(output.out)["warnings"] == [f"{yaml}:3:3: {warning}"]
