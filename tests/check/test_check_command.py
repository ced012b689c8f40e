"""`vdeploy check` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vacc_deploy.cli.app import main

BUILD = """\
name: net
frontend: {type: onnx, checkpoint: m.onnx, shape: {input: [1, 3, 64, 64]}}
backend: {type: tvm_vacc, dtype: int8, quantize: {calibrate_mode: max}}
dataset:
  path: pictures
  process_ops:
    - type: DecodeImage
    - {type: Resize, size: [64, 64]}
    - {type: Normalize, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
    - type: ToTensor
"""
VDSP = {
    "OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR",
    "OpConfig": {
        "NormaType": "DIV255_MINUSMEAN_DIVSTD",
        "Mean": [0.5] * 3,
        "Std": [0.5] * 3,
        "ResizeType": "BILINEAR_CV",
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(BUILD)
    (tmp_path / "bad.yaml").write_text(BUILD.replace("int8", "int4").replace("name: net", "name: other"))
    (tmp_path / "good.json").write_text(json.dumps(VDSP))
    return tmp_path


def test_good_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "good.json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["ok       good.yaml", "ok       good.json"]
    assert captured.err.strip() == "2 files: 2 ok, 0 warning, 0 error"


def test_errors_give_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "bad.yaml"]) == 1
    assert (
        "bad.yaml:3:34: 'int4' is not a value of backend.dtype; did you mean 'int8'?"
        in capsys.readouterr().out
    )


def test_json_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "."]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(row["file"], row["status"]) for row in rows] == [
        ("bad.yaml", "error"), ("good.json", "ok"), ("good.yaml", "ok")
    ]  # fmt: skip
    assert all({"file", "status", "errors", "warnings"} <= set(row) for row in rows)


def test_one_line_per_file_in_bulk(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(20):
        text = BUILD.replace("int8", "int4").replace("max", "mx").replace("name: net", f"name: n{index}")
        (folder / f"{index:02}.yaml").write_text(text)
    assert main(["check", "."]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 23
    assert main(["check", "-v", "."]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 43


def test_quiet_and_strict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "good.json").write_text(json.dumps({"OpType": VDSP["OpType"], "OpConfig": {}}))
    assert main(["check", "-q", "good.yaml", "good.json"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["warning"]
    assert main(["check", "--strict", "good.yaml", "good.json"]) == 1


def test_two_files_write_one_artifact(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "copy.yaml").write_text(BUILD)
    assert main(["check", "good.yaml", "copy.yaml"]) == 0
    assert "deploy_weights/net/mod is also written by good.yaml" in capsys.readouterr().out


def test_missing_file_and_empty_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "god.yaml"]) == 1
    assert "did you mean 'good.yaml'?" in capsys.readouterr().out
    (folder / "empty").mkdir()
    assert main(["check", "empty"]) == 1


def test_compare_agrees(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--compare", "--json", "good.yaml", "good.json"]) == 0
    row = json.loads(capsys.readouterr().out)[1]
    assert all(comparison["agrees"] for comparison in row["facts"]["comparisons"])
    assert len(row["facts"]["comparisons"]) == 2


def test_compare_names_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = {"OpType": VDSP["OpType"], "OpConfig": VDSP["OpConfig"] | {"ColorCvtCode": "RGB2BGR"}}  # type: ignore[operator]
    (folder / "good.json").write_text(json.dumps(swapped))
    assert main(["check", "--compare", "good.yaml", "good.json"]) == 0
    assert "channel order: calibration feeds RGB, the run stream BGR" in capsys.readouterr().out


def test_compare_needs_a_pair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--compare", "good.yaml"]) == 1
    assert "--compare takes one build YAML and vdsp JSONs" in capsys.readouterr().err


def test_whole_zoo(shared_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(shared_zoo)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 786
    assert captured.err.startswith("786 files: ")
    assert captured.err.rstrip().endswith(" 0 error")
