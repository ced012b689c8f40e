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
    assert main(["check", "--no-compare", "good.yaml", "good.json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["ok       good.yaml", "ok       good.json"]
    assert captured.err.strip() == "2 files: 2 ok, 0 warning, 0 error"
    assert main(["check", "good.yaml"]) == 0
    assert capsys.readouterr().err.strip() == "1 file: 1 ok, 0 warning, 0 error"


def test_errors_give_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.yaml", "bad.yaml"]) == 1
    assert (
        "bad.yaml:3:34: 'int4' is not a value of backend.dtype; did you mean 'int8'?"
        in capsys.readouterr().out
    )


def test_json_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--no-compare", "."]) == 1
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
    assert len(capsys.readouterr().out.splitlines()) == 63, "a line for the file and one for each problem"


def test_quiet_and_strict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "good.json").write_text(json.dumps({"OpType": VDSP["OpType"], "OpConfig": {}}))
    assert main(["check", "-q", "--no-compare", "good.yaml", "good.json"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["warning"]
    assert main(["check", "--strict", "good.yaml", "good.json"]) == 1
    capsys.readouterr()


def test_one_problem_takes_one_line_and_names_the_file_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "bad.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "error    bad.yaml:3:34: 'int4' is not a value of backend.dtype; did you mean 'int8'?"
    ]


def test_verbose_tells_what_has_no_effect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "good.yaml").write_text(BUILD + "workspace: {workers: 4}\n")
    assert main(["check", "-v", "good.yaml"]) == 0
    assert "note: good.yaml:11:13: 'workers' has no effect" in capsys.readouterr().out


def test_folders_give_their_build_yamls_and_vdsp_jsons_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".hidden").mkdir()
    for name, text in {
        ".hidden/build.yaml": "frontend: 1",
        "config.json": '{"model_type": "llama"}',
        "train.yml": "name: x\nmodel: {type: y}\n",
        "flow.yaml": "{name: x, backend: {}}",
        "empty.yaml": "",
    }.items():
        (folder / name).write_text(text)
    main(["check", "--json", "."])
    captured = capsys.readouterr()
    names = ["bad.yaml", "empty.yaml", "flow.yaml", "good.json", "good.yaml"]
    assert [row["file"] for row in json.loads(captured.out)] == names
    assert captured.err.strip().endswith("2 files of other programs left out")
    assert main(["check", "config.json"]) == 1, "a file that is named is checked, whatever it is"
    assert "there is no OpType" in capsys.readouterr().out


def test_two_files_write_one_artifact(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "copy.yaml").write_text(BUILD)
    assert main(["check", "good.yaml", "copy.yaml"]) == 0
    assert "deploy_weights/net/mod is also written by good.yaml" in capsys.readouterr().out


def test_missing_file_and_empty_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "god.yaml"]) == 1
    assert "did you mean 'good.yaml'?" in capsys.readouterr().out
    (folder / "empty").mkdir()
    assert main(["check", "empty"]) == 1


@pytest.mark.parametrize("flags", [[], ["--compare"]], ids=["by default", "asked for"])
def test_a_yaml_and_its_json_are_compared(
    flags: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *flags, "--json", "good.yaml", "good.json"]) == 0
    row = json.loads(capsys.readouterr().out)[1]
    assert all(comparison["agrees"] for comparison in row["facts"]["comparisons"])
    assert [comparison["build"] for comparison in row["facts"]["comparisons"]] == ["good.yaml"] * 2
    assert main(["check", *flags, "good.yaml", "good.json"]) == 0
    assert "prepares pictures as good.yaml does, to within 0.03 of an 8-bit step" in capsys.readouterr().out


def test_a_yaml_without_pictures_is_not_compared_unless_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.yaml").write_text(BUILD[: BUILD.index("  process_ops")])
    assert main(["check", "good.yaml", "good.json"]) == 0
    assert "prepares" not in capsys.readouterr().out
    assert main(["check", "--compare", "good.yaml", "good.json"]) == 1
    assert "there is nothing to compare" in capsys.readouterr().err


def test_several_yamls_find_their_jsons_by_the_layout_of_the_zoo(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = json.dumps(VDSP).replace("BILINEAR_CV", "BILINEAR_PILLOW")
    for model, text in {"one": json.dumps(VDSP), "two": swapped}.items():
        (folder / model / "build").mkdir(parents=True)
        (folder / model / "vdsp_params").mkdir()
        (folder / model / "build" / "timm_net.yaml").write_text(BUILD.replace("name: net", f"name: {model}"))
        (folder / model / "build" / "mmcls_net.yaml").write_text(BUILD.replace("net", f"{model}_2"))
        (folder / model / "vdsp_params" / "timm-net-vdsp_params.json").write_text(text)
    assert main(["check", "--compare", "--json", "one", "two"]) == 0
    rows = {row["file"]: row for row in json.loads(capsys.readouterr().out) if row["kind"] == "vdsp"}
    found = {
        name.split("/")[0]: (row["status"], {entry["build"] for entry in row["facts"]["comparisons"]})
        for name, row in rows.items()
    }
    assert found == {
        "one": ("ok", {"one/build/timm_net.yaml"}),
        "two": ("warning", {"two/build/timm_net.yaml"}),
    }


def test_a_picture_that_does_not_fit_is_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crop = "    - {type: CenterCrop, crop_size: [64, 64]}\n"
    (folder / "good.yaml").write_text(BUILD.replace("    - {type: Resize", crop + "    - {type: Resize"))
    assert main(["check", "good.yaml", "good.json"]) == 0
    assert "astronaut, small: cannot be compared with good.yaml" in capsys.readouterr().out


def test_compare_names_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = {"OpType": VDSP["OpType"], "OpConfig": VDSP["OpConfig"] | {"ColorCvtCode": "RGB2BGR"}}  # type: ignore[operator]
    (folder / "good.json").write_text(json.dumps(swapped))
    assert main(["check", "--compare", "good.yaml", "good.json"]) == 0
    assert "channel order: calibration feeds RGB, the run stream BGR" in capsys.readouterr().out


def test_compare_needs_a_pair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--compare", "good.yaml"]) == 1
    assert "there is nothing to compare" in capsys.readouterr().err


def test_whole_zoo(shared_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(shared_zoo)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 786
    assert captured.err.startswith("786 files: ")
    assert captured.err.rstrip().endswith(" 0 error")
