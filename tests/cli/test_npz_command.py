"""`vdeploy npz` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.cli.app import main
from vacc_deploy.safe_io import read_npz, write_image

CONFIG = """
name: tiny
frontend: {type: onnx, checkpoint: tiny.onnx, shape: {pixels: [1, 3, 4, 4]}}
backend: {type: tvm_vacc, dtype: fp16}
dataset:
  path: pictures
  process_ops: [{type: DecodeImage}, {type: Resize, size: [4, 4]}, {type: Normalize}, {type: ToTensor}]
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in (2, 0, 1):
        write_image(folder / f"{index}.png", np.full((6, 8, 3), index * 51, np.uint8))
    return folder


def test_raw_pictures_for_vamp(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["npz", str(pictures), "-o", str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == 3
    lines = Path(answer["datalist"]).read_text().splitlines()
    assert [Path(line).name for line in lines] == ["0.npz", "1.npz", "2.npz"]
    (array,) = read_npz(lines[1]).values()
    assert (array.shape, array.dtype, int(array[0, 0, 0])) == ((3, 6, 8), np.uint8, 51)
    assert list(read_npz(lines[0])) == ["input_0"]


def test_finished_inputs_through_a_build_config(pictures: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG)
    out = tmp_path / "out"
    assert main(["npz", str(pictures), "-o", str(out), "--config", str(config), "--count", "2"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0.npz", "1.npz", "datalist.txt"]
    array = read_npz(out / "1.npz")["pixels"]
    assert (array.shape, array.dtype) == ((1, 3, 4, 4), np.float32)
    assert array[0, 0, 0, 0] == np.float32(0.2)


def test_failures_leave_nothing_behind(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    assert main(["npz", str(pictures), "-o", str(tmp_path / "out")]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    assert main(["npz", str(tmp_path / "gone"), "-o", str(tmp_path / "out")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["npz", str(pictures), "-o", str(pictures)]) == 1  # never writes over the pictures
    assert (pictures / "0.png").is_file()
