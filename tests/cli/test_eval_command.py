"""`vdeploy eval` from the command line, on float ONNX files small enough to check by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vacc_deploy.cli.app import main
from vacc_deploy.safe_io import read_image, write_image

KEYS = {"psnr_db", "ssim", "images", "reference_psnr_db", "drop_db", "fidelity_db"}


def tiny_model(path: Path, offset: float, protocol: str | None, channels: int = 3) -> Path:
    """y = x + offset, on 16×16 pictures."""
    shape = [1, channels, 16, 16]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "offset"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("offset", TensorProto.FLOAT, [1], [offset])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if protocol is not None:
        helper.set_model_props(model, {"vdeploy": json.dumps({"protocol": protocol})})
    onnx.save(model, path)
    return path


@pytest.fixture
def case(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(9)
    for folder in ("lr", "hr"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        picture = rng.integers(40, 200, (16, 16, 3), dtype=np.uint8)
        write_image(tmp_path / "hr" / f"{name}.png", picture)
        write_image(tmp_path / "lr" / f"{name}x2.png", picture)
    model = tiny_model(tmp_path / "model.onnx", 2 / 255, "rgb")
    reference = tiny_model(tmp_path / "reference.onnx", 1 / 255, None)
    return {
        "model": str(model), "reference": str(reference),
        "lr": str(tmp_path / "lr"), "hr": str(tmp_path / "hr"), "out": str(tmp_path / "out"),
    }  # fmt: skip


def test_json_has_the_promised_keys_and_values(
    case: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "eval",
        case["model"],
        "--lr",
        case["lr"],
        "--hr",
        case["hr"],
        "--reference",
        case["reference"],
    ]
    assert main([*arguments, "--json", "--save", case["out"]]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(answer) >= KEYS
    assert answer["images"] == 2
    assert answer["psnr_db"] == pytest.approx(20 * np.log10(255 / 2), abs=1e-6)
    assert answer["reference_psnr_db"] == pytest.approx(20 * np.log10(255), abs=1e-6)
    assert answer["drop_db"] == pytest.approx(20 * np.log10(2), abs=1e-6)
    assert answer["fidelity_db"] == pytest.approx(20 * np.log10(255), abs=1e-3)
    saved = read_image(Path(case["out"]) / "a.png")
    np.testing.assert_array_equal(saved, read_image(Path(case["hr"]) / "a.png") + 2)


def test_gate(case: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "eval",
        case["model"],
        "--lr",
        case["lr"],
        "--hr",
        case["hr"],
        "--reference",
        case["reference"],
    ]
    assert main([*arguments, "--max-drop", "5"]) == 2
    assert "exceeds --max-drop 5 dB" in capsys.readouterr().err
    assert main([*arguments, "--max-drop", "7"]) == 0
    assert main([*arguments[:-2], "--max-drop", "7"]) == 1


FAILURES = {
    "unknown protocol": (["--protocol", "nope"], "unknown evaluation protocol 'nope'"),
    "protocol of another model": (["--protocol", "vdsr_vamp"], "feeds 1 channel(s), the model takes 3"),
    "missing reference": (["--reference", "gone.onnx"], "no such file\n  --> gone.onnx"),
}


@pytest.mark.parametrize("flags", FAILURES.values(), ids=FAILURES.keys())
def test_failures(
    flags: tuple[list[str], str], case: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in Path(case["lr"]).iterdir():
        path.rename(path.with_name(path.name.replace("x2", "")))
    assert main(["eval", case["model"], "--lr", case["lr"], "--hr", case["hr"], *flags[0]]) == 1
    assert flags[1] in capsys.readouterr().err


def test_a_reference_of_another_model_is_named(
    case: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(tiny_model(tmp_path / "other.onnx", 0, "rgb", channels=1))
    arguments = ["eval", case["model"], "--lr", case["lr"], "--hr", case["hr"], "--reference", other]
    assert main(arguments) == 1
    assert f"the model takes 1\n  --> {other}" in capsys.readouterr().err


def test_an_unpaired_file_is_named(case: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    (Path(case["hr"]) / "b.png").unlink()
    assert main(["eval", case["model"], "--lr", case["lr"], "--hr", case["hr"]]) == 1
    assert "bx2.png" in capsys.readouterr().err
