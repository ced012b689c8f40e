"""What people give wrongly: one clear error, exit code 1, no traceback, nothing left behind."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.cli.app import main
from vacc_deploy.safe_io import write_image, write_npz, write_safetensors

SHAPE = (1, 3, 16, 24)
_YAML = """\
name: net
frontend: {type: onnx, checkpoint: net.onnx, shape: {image: [1, 3, 16, 24]}}
backend: {type: tvm_vacc, dtype: int8, quantize: {calibrate_mode: max}}
dataset:
  path: pictures
  sampler: {suffix: .png, get_data_num: 4}
  process_ops:
    - {type: DecodeImage}
    - {type: Resize, size: [16, 24]}
    - {type: Normalize, div255: true}
    - {type: ToTensor}
"""


def _network(path: str, weight: float = 1.0, channels: int = 3, opset: int = 17, metadata: str = "") -> None:
    """A 1×1 convolution."""
    kernel = np.full((3, channels, 1, 1), weight, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["y"], name="conv")],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, channels, *SHAPE[2:]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    if metadata:
        helper.set_model_props(model, {"vdeploy": metadata})
    onnx.save(model, path)


def _dynamic(path: str) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 3, "h", "w")) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def _npz(shape: tuple[int, ...], value: float = 0.5, key: str = "image") -> Callable[[], Any]:
    def build() -> None:
        Path("npz").mkdir()
        write_npz("npz/a.npz", {key: np.full(shape, value, np.float32)})
        Path("list.txt").write_text("npz/a.npz\n")

    return build


def _config(old: str = "", new: str = "") -> Callable[[], Any]:
    return lambda: Path("net.yaml").write_text(_YAML.replace(old, new) if old else _YAML)


def _vdsp() -> None:
    op = {"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": {"NormaType": "DIV255"}}
    Path("v.json").write_text(json.dumps(op))


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Case:
    """A command line with a mistake in it, or in a file that it names.

    Attributes:
        command: Words; ``{artifact}`` is the prefix of a good artifact of a 3×16×24 network.
        says: What the message must contain.
        prepare: Makes the bad file; the folder has pictures, ``net.onnx`` and ``net.yaml`` already.
    """

    command: str
    says: str
    prepare: Callable[[], Any] = field(default=_nothing)


_INT8 = "compile net.yaml -o out"
CASES: dict[str, Case] = {
    # compile
    "no config": Case("compile gone.yaml", "no build configuration at gone.yaml"),
    "no model": Case("compile gone.onnx", "no model at gone.onnx"),
    "model is text": Case(
        "compile bad.onnx", "not an ONNX model", lambda: Path("bad.onnx").write_text("hello")
    ),
    "model is empty": Case(
        "compile bad.onnx", "not an ONNX model", lambda: Path("bad.onnx").write_bytes(b"")
    ),
    "model is a web page": Case(
        "compile bad.onnx", "a web page", lambda: Path("bad.onnx").write_text("<html>")
    ),
    "model is an LFS pointer": Case(
        "compile bad.onnx",
        "Git LFS",
        lambda: Path("bad.onnx").write_text("version https://git-lfs.github.com/spec/v1"),
    ),
    "model without sizes": Case("compile net.onnx", "--shape", lambda: _dynamic("net.onnx")),
    "a shape for no input": Case("compile net.onnx -s y:3,8,8", "no input", lambda: _dynamic("net.onnx")),
    "NaN in the weights": Case("compile net.onnx", "", lambda: _network("net.onnx", float("nan"))),
    "infinite weights": Case("compile net.onnx", "", lambda: _network("net.onnx", float("inf"))),
    "damaged recipe": Case(
        "compile net.onnx", "vdeploy", lambda: _network("net.onnx", metadata='{"preprocess": {"size": 3}}')
    ),
    "recipe that is no JSON": Case("compile net.onnx", "vdeploy", lambda: _network("net.onnx", metadata="{")),
    "checkpoint instead of a model": Case(
        "compile net.pth", "", lambda: write_safetensors("net.pth", {"w": np.ones(3, np.float32)})
    ),
    "old checkpoint instead of a model": Case(
        "compile net.pth", "export the model first", lambda: Path("net.pth").write_bytes(pickle.dumps([1.5]))
    ),
    "zipped checkpoint instead of a model": Case(
        "compile net.pth",
        "not an ONNX model but a zip archive",
        lambda: write_npz("net.pth", {"w": np.ones(3)}),
    ),
    "other input shape": Case(_INT8, "is asked for", _config("[1, 3, 16, 24]", "[1, 3, 32, 32]")),
    "other input name": Case(
        _INT8, "no input 'b'", _config("{image: [1, 3, 16, 24]}", "{image: [1, 3, 16, 24], b: [1]}")
    ),
    "misspelt key": Case(_INT8, "did you mean 'calibrate_mode'", _config("calibrate_mode", "calibrate_moed")),
    "unknown dtype": Case("compile net.yaml --dtype int4", "int4"),
    "unknown calibrator": Case("compile net.yaml --calibrate-mode guess", "guess"),
    "unknown target": Case("compile net.onnx --target pdp11", "pdp11"),
    "search of an fp16 compile": Case(
        "compile net.onnx --max-drop 0.1", "--max-drop: only for int8, and net.onnx compiles to fp16"
    ),
    "table for an fp16 compile": Case("compile net.yaml --dtype fp16 --table t.json", "add --dtype int8"),
    "time for no search": Case(f"{_INT8} --time-limit 5m --lr pictures", "--time-limit, --lr: only"),
    "negative loss": Case(f"{_INT8} --max-drop -1", "-1 dB is no loss to allow"),
    "unknown flag": Case("compile net.onnx --fast", "No such option: --fast"),
    "missing argument": Case("compile", "Missing argument"),
    "yaml is binary": Case(_INT8, "net.yaml", lambda: Path("net.yaml").write_bytes(b"\xff\xfe\x00")),
    "yaml is empty": Case(_INT8, "empty", lambda: Path("net.yaml").write_text("")),
    "output is a file": Case("compile net.onnx -o net.yaml", "in the way"),
    "output is among other files": Case(
        "compile net.onnx -o . --name pictures", "the artifact's folder holds other files"
    ),
    "workspace outside": Case(
        "compile net.yaml --dtype fp16",
        "leads out of the working directory",
        lambda: Path("net.yaml").write_text(_YAML + "workspace: {path: ../../elsewhere}\n"),
    ),
    # calibration data
    "no dataset folder": Case(f"{_INT8} --dataset gone", "gone"),
    "empty dataset folder": Case(f"{_INT8} --dataset empty", "empty", lambda: Path("empty").mkdir()),
    "unreadable picture": Case(
        _INT8, "bad.png", lambda: Path("pictures/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ),
    "text called .png": Case(_INT8, "bad.png", lambda: Path("pictures/bad.png").write_text("no picture")),
    "npz of other channels": Case(f"{_INT8} --dataset npz", "a.npz", _npz((1, 1, 16, 24))),
    "npz of another size": Case(f"{_INT8} --dataset npz", "a.npz", _npz((1, 3, 8, 8))),
    "npz with NaN": Case(f"{_INT8} --dataset npz", "", _npz(SHAPE, float("nan"))),
    "npz with infinity": Case(f"{_INT8} --dataset npz", "", _npz(SHAPE, float("inf"))),
    "datalist of missing files": Case(
        f"{_INT8} --dataset list.txt", "gone.npz", lambda: Path("list.txt").write_text("gone.npz\n")
    ),
    "damaged table": Case(
        f"{_INT8} --table t.json", "t.json", lambda: Path("t.json").write_text('{"tensors": 3}')
    ),
    "missing table": Case(f"{_INT8} --table gone.json", "gone.json"),
    # export
    "unknown recipe": Case("export vdsrr", "did you mean 'vdsr'"),
    "unknown variant": Case("export gpen --variant 7", "has no variant '7'"),
    "checkpoint of another model": Case(
        "export vdsr -c w.safetensors -o out",
        "w.safetensors",
        lambda: write_safetensors("w.safetensors", {"other.weight": np.ones((3, 3), np.float32)}),
    ),
    "missing checkpoint": Case("export vdsr -c gone.pth -o out", "gone.pth"),
    "checkpoint is a picture": Case("export vdsr -c pictures/a.png -o out", "not a checkpoint"),
    "unknown format": Case("export vdsr --format tflite -o out", "tflite"),
    # artifacts
    "no artifact": Case("run gone/mod --input pictures -o out", "no artifact at gone/mod"),
    "no artifact to bench": Case("bench", "no artifact under deploy_weights/"),
    "no artifact to inspect": Case("inspect gone", "no artifact at gone"),
    "no artifact to verify": Case("verify gone", "no artifact at gone"),
    "no artifact to score": Case("eval gone/mod --hr pictures", "no artifact at gone/mod"),
    "no artifact to compare": Case("diff gone/mod", "no artifact at gone/mod"),
    "no artifact to report": Case("report gone/mod", "no artifact at gone/mod"),
    "manifest is no JSON": Case("inspect mod", "cannot be read", lambda: Path("mod.json").write_text("{")),
    "manifest of something else": Case(
        "inspect mod", "not a manifest", lambda: Path("mod.json").write_text("{}")
    ),
    "manifest of a newer version": Case(
        "inspect mod", "the artifact has format 99", lambda: Path("mod.json").write_text('{"format": 99}')
    ),
    "manifest with holes": Case(
        "inspect mod", "manifest is damaged", lambda: Path("mod.json").write_text('{"format": 1, "name": 3}')
    ),
    # run, bench, eval
    "no inputs": Case("run {artifact} -o out", "--input"),
    "missing picture": Case("run {artifact} --input gone.png -o out", "gone.png"),
    "folder without pictures": Case(
        "run {artifact} --input empty -o out", "empty", lambda: Path("empty").mkdir()
    ),
    "nothing says how to prepare": Case("run {artifact} --input pictures -o out", "--vdsp_params"),
    "missing vdsp file": Case("run {artifact} --input pictures -o out --vdsp_params gone.json", "gone.json"),
    "damaged vdsp file": Case(
        "run {artifact} --input pictures -o out --vdsp_params v.json",
        "v.json",
        lambda: Path("v.json").write_text("[1, 2"),
    ),
    "bench of another shape": Case("bench -m {artifact} -s 3,8,8 --iterations 1", "16"),
    "bench of a bad shape": Case("bench -m {artifact} -s 3,x --iterations 1", "3,x"),
    "bench of a missing datalist": Case("bench -m {artifact} --datalist gone.txt", "gone.txt"),
    "bench for no time": Case("bench -m {artifact} -t -1", "the time (-t)"),
    "bench without threads": Case("bench -m {artifact} --threads 0", "threads (--threads)"),
    "run without threads": Case(
        "run {artifact} --input pictures --threads 0 -o out", "greater than or equal to 1"
    ),
    "run into a file": Case(
        "run {artifact} --input pictures --vdsp_params v.json -o net.yaml/out",
        "a part of the path is a file",
        _vdsp,
    ),
    "run of a build YAML into a file": Case(
        "run net.yaml -m {artifact} -o net.yaml/out", "a part of the path is a file"
    ),
    "run of a bad picture": Case(
        "run {artifact} --input bad.png --vdsp_params v.json -o out",
        "bad.png",
        lambda: (_vdsp(), Path("bad.png").write_text("no picture")),
    ),
    "eval into a file": Case(
        "eval {artifact} --hr pictures --lr lr --save net.yaml/out",
        "a part of the path is a file",
        lambda: shutil.copytree("pictures", "lr"),
    ),
    "bench into a file": Case(
        "bench -m {artifact} --datalist list.txt --path_output net.yaml/out",
        "a part of the path is a file",
        _npz(SHAPE),
    ),
    "npz into a file": Case("npz pictures -o net.yaml/out", "in the way"),
    "export into a file": Case("export vdsr --size 32 32 -o net.yaml/out", "a part of the path is a file"),
    "bench mode": Case("bench -m {artifact} --mode fast", "fast"),
    "bench count": Case("bench -m {artifact} -i x", "'-i'"),
    "no ground truth": Case("eval {artifact} --hr gone --lr pictures", "gone"),
    "ground truth is a file": Case(
        "eval {artifact} --hr pictures/a.png --lr pictures", "'pictures/a.png' is a file"
    ),
    "unknown protocol": Case("eval {artifact} --hr pictures --lr pictures --protocol nope", "nope"),
    "reference is no model": Case("diff {artifact} --reference net.yaml", "net.yaml"),
    "report in a missing place": Case("report {artifact} -o net.yaml/report.html", "in the way"),
    # npz, check, models, vsx, and the command itself
    "npz of a missing folder": Case("npz gone -o out", "gone"),
    "npz of a bad picture": Case(
        "npz pictures -o out", "bad.png", lambda: Path("pictures/bad.png").write_text("x")
    ),
    "npz over other files": Case("npz pictures -o .", "holds files that are not npz"),
    "check of nothing": Case("check empty", "no build YAML or vdsp JSON", lambda: Path("empty").mkdir()),
    "models takes no name": Case("models vdsr", "unexpected extra argument"),
    "missing script": Case("vsx gone.py", "gone.py"),
    "unknown command": Case("compil net.onnx", "did you mean 'compile'"),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good model, a good configuration and four good pictures."""
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    for name in "abcd":
        write_image(f"pictures/{name}.png", np.full((16, 24, 3), ord(name), np.uint8))
    _network("net.onnx")
    _config()()
    return tmp_path


def _files(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, hidden ones too."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(
    name: str, world: Path, tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    case.prepare()
    before = _files(world)
    code = main([word.format(artifact=tiny_artifact) for word in case.command.split()])
    output = capsys.readouterr()
    assert code == 1, output.err
    message = output.err[output.err.index("error[") :]
    assert case.says in " ".join(message.split())
    assert "Traceback" not in output.err
    assert "E999" not in message
    assert "= next: " in message, "an error says what to do"
    assert not output.out.strip(), "results only on standard output"
    assert _files(world) == before, "nothing is left behind"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["no config", "no artifact to verify", "missing argument", "unknown command"]
)
def test_the_installed_command(name: str, world: Path) -> None:
    command = [sys.executable, "-m", "vacc_deploy.cli.app", *CASES[name].command.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert CASES[name].says in done.stderr
    assert "Traceback" not in done.stderr
