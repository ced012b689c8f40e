"""The whole compile under faults, through the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_model import SHAPE, save_model

from vacc_deploy.cli.app import main
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.verify import verify_artifact

_COMMAND = [sys.executable, "-m", "vacc_deploy.cli.app"]
_HERE = Path(__file__).parent


def _environment(folder: Path) -> dict[str, str]:
    scratch = folder / "scratch"
    scratch.mkdir()
    threads = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a forked child has no other threads
    return os.environ | threads | {"TMPDIR": str(scratch), "PYTHONPATH": str(_HERE)}


@pytest.fixture(autouse=True)
def interruptible() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would every process that they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _compile(model: str, output: str) -> int:
    return main(["compile", model, "-o", output, "--name", "model"])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "step", "least"), [("kill", 1, 30), ("INT", 4, 10), ("TERM", 9, 5)])
def test_any_file_operation_may_be_the_last(kind: str, step: int, least: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(_HERE / "compile_under_faults.py"), kind, str(step)],
        cwd=tmp_path, env=_environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-2]) >= least, done.stdout


@pytest.mark.slow
def test_ctrl_c_at_the_terminal(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model.onnx")
    environment = _environment(tmp_path)
    process = subprocess.Popen(
        [*_COMMAND, "compile", str(model), "-o", "out", "--name", "model"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "workspace:" not in process.stderr.readline():  # the echo of the configuration, before the work
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    message = process.stderr.read()
    assert process.wait() == 130
    assert "interrupted" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()
    assert not list(Path(environment["TMPDIR"]).glob("vdeploy-*"))


@pytest.mark.slow
def test_two_compilers_into_one_place(tmp_path: Path) -> None:
    models = [save_model(tmp_path / str(factor) / "model.onnx", factor) for factor in (2, 3)]
    environment = _environment(tmp_path)

    def compile_it(model: Path) -> int:
        command = [*_COMMAND, "compile", str(model), "-o", str(tmp_path / "out"), "--name", "model"]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(compile_it, models)) == [0, 0]
    assert verify_artifact(tmp_path / "out" / "model").ok
    assert os.listdir(tmp_path / "out") == ["model"]


@pytest.mark.slow
def test_a_running_model_survives_a_new_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """mod.so is renamed into place, never overwritten: a process that has it mapped keeps the old code."""
    picture = np.random.default_rng(0).random(SHAPE).astype(np.float16)
    prefix = tmp_path / "out" / "model" / "mod"
    save_model(tmp_path / "model.onnx", 2)
    assert _compile(str(tmp_path / "model.onnx"), str(tmp_path / "out")) == 0
    old = Model(prefix)
    np.testing.assert_array_equal(old.run([picture])[0], 2 * picture)
    save_model(tmp_path / "model.onnx", 4)
    assert _compile(str(tmp_path / "model.onnx"), str(tmp_path / "out")) == 0
    np.testing.assert_array_equal(old.run([picture])[0], 2 * picture)
    np.testing.assert_array_equal(Model(prefix).run([picture])[0], 4 * picture)
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with spaces", "ünïcödé 网络", "-dash", "new\nline", "a" * 200])
def test_unusual_paths(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / name
    model = save_model(folder / "model.onnx")
    assert _compile(str(model), str(folder / "out")) == 0
    assert main(["verify", str(folder / "out" / "model" / "mod")]) == 0
    capsys.readouterr()


@pytest.mark.slow
def test_output_beside_and_over_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model file lies where the artifact goes: it stays, unchanged."""
    model = save_model(tmp_path / "model" / "model.onnx")
    before = model.read_bytes()
    assert _compile(str(model), str(tmp_path)) == 1  # a folder of other files
    assert "holds other files" in capsys.readouterr().err
    assert _compile(str(model), str(tmp_path / "model")) == 0  # model/model/mod
    assert model.read_bytes() == before
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize(("options", "reason"), [("size=24k", "the disk is full"), ("ro", "read-only")])
def test_real_full_and_read_only_disks(
    options: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        model = save_model(tmp_path / "model.onnx")
        assert _compile(str(model), str(disk)) == 1
        assert reason in capsys.readouterr().err
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
