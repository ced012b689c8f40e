"""A loaded artifact refuses what does not fit it, and gives the same bytes however it is called."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vacc_deploy.artifact import read_artifact
from vacc_deploy.build_files import resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.errors import ArtifactError, RunError
from vacc_deploy.runtime import model as module
from vacc_deploy.runtime.model import Model


@pytest.fixture(scope="module")
def model(tiny_artifact: Path) -> Model:
    return Model(tiny_artifact)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, 16, 24)).astype(np.float16)


def test_it_computes(model: Model, picture: np.ndarray) -> None:
    (output,) = model.run([picture])
    np.testing.assert_array_equal(output, picture * 2)
    assert output.dtype == np.float16


def test_it_knows_its_tensors(model: Model) -> None:
    assert [(spec.name, spec.shape, spec.dtype) for spec in model.inputs] == [
        ("image", (1, 3, 16, 24), "float16")
    ]
    assert [spec.shape for spec in model.outputs] == [(1, 3, 16, 24)]
    assert model.manifest.run_stream


def test_functions_that_compiled_code_calls_by_name_are_there_without_the_compiler() -> None:
    code = (
        "import sys; from vacc_deploy.runtime.backend import tvm_ffi;"
        "tvm_ffi().get_global_func('tvm.contrib.sort.topk'); assert 'tvm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_artifact_that_replaces_a_loaded_one_brings_its_own_code(
    tiny_artifact: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    shutil.copytree(tiny_artifact.parent, tmp_path / "tiny")
    first = Model(tmp_path / "tiny/mod")
    first.run([picture])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 16, 24]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "tiny.onnx")
    build = resolve_build(str(tmp_path / "tiny.onnx")).override(name="tiny")
    second = Model(compile_model(build, CompileOptions(output=tmp_path)).prefix)
    np.testing.assert_array_equal(second.run([picture])[0], -picture)
    np.testing.assert_array_equal(first.run([picture])[0], picture * 2)


def test_a_batch_is_its_items(model: Model) -> None:
    batch = np.random.default_rng(1).random((5, 3, 16, 24)).astype(np.float16)
    (together,) = model.run([batch])
    alone = [model.run([batch[index : index + 1]])[0] for index in range(5)]
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_float32_is_rounded_to_the_inputs_type(model: Model, picture: np.ndarray) -> None:
    exact = picture.astype(np.float32)
    assert model.run([exact])[0].tobytes() == model.run([picture])[0].tobytes()


def test_strided_input(model: Model, picture: np.ndarray) -> None:
    wide = np.repeat(picture, 2, axis=3)[..., ::2]
    assert not wide.flags.c_contiguous
    assert model.run([wide])[0].tobytes() == model.run([picture])[0].tobytes()


WRONG = {
    "no-arrays": [],
    "two-arrays": [np.zeros((1, 3, 16, 24), np.float16)] * 2,
    "smaller": [np.zeros((1, 3, 15, 24), np.float16)],
    "channels": [np.zeros((1, 1, 16, 24), np.float16)],
    "no-batch": [np.zeros((3, 16, 24), np.float16)],
    "scalar": [np.float16(1)],
    "empty-batch": [np.zeros((0, 3, 16, 24), np.float16)],
}


@pytest.mark.parametrize("arrays", WRONG.values(), ids=WRONG)
def test_wrong_inputs_are_run_errors(model: Model, arrays: list[np.ndarray]) -> None:
    with pytest.raises(RunError) as caught:
        model.run(arrays)
    assert str(caught.value).startswith("error[E7")


def test_a_wrong_shape_names_the_input_and_both_shapes(model: Model) -> None:
    with pytest.raises(RunError) as caught:
        model.run([np.zeros((1, 3, 8, 8), np.float16)])
    for part in ("image", "(1, 3, 8, 8)", "(1, 3, 16, 24)"):
        assert part in str(caught.value)


def test_a_cpu_without_the_features_is_told_the_remedy(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = read_artifact(tiny_artifact)
    needing = dataclasses.replace(artifact.manifest, requires=("amx_int8", "sse2"), target="sapphirerapids")
    monkeypatch.setattr(module, "cpu_features", lambda: frozenset({"sse2"}))
    with pytest.raises(ArtifactError) as caught:
        Model(dataclasses.replace(artifact, manifest=needing))
    for part in ("sapphirerapids", "amx_int8", "--target native", "--target generic"):
        assert part in str(caught.value)


CODE_DAMAGE = {
    "words": lambda code: code.write_bytes(b"not a library"),
    "cut short": lambda code: os.truncate(code, 5000),  # the loader would die of SIGBUS
    "another compile's": lambda code: code.write_bytes(code.read_bytes() + b"\0"),
}


@pytest.mark.parametrize("damage", CODE_DAMAGE)
def test_code_that_was_not_compiled_with_the_rest_is_never_loaded(
    damage: str, tiny_artifact: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_artifact.parent, tmp_path / "copy")
    CODE_DAMAGE[damage](copy / "mod.so")
    with pytest.raises(ArtifactError, match="the code is not what was compiled"):
        Model(copy / "mod")


def test_the_vendors_three_files_are_enough(tiny_artifact: Path, tmp_path: Path) -> None:
    for name in ("mod.so", "mod.json", "mod.params"):
        shutil.copy(tiny_artifact.parent / name, tmp_path)
    assert Model(tmp_path / "mod").name == "tiny"


def test_code_that_is_no_library_is_an_artifact_error(tiny_artifact: Path, tmp_path: Path) -> None:
    """Where the digests were left behind, the loader is the first to notice."""
    copy = shutil.copytree(tiny_artifact.parent, tmp_path / "copy")
    (copy / "mod.sha256").unlink()
    (copy / "mod.so").write_bytes(b"\x7fELF nothing else")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        Model(copy / "mod")
    (copy / "mod.so").unlink()
    with pytest.raises(ArtifactError, match=r"no mod\.so"):
        Model(copy / "mod")


def test_threads_of_the_caller_take_turns(model: Model) -> None:
    pictures = np.random.default_rng(2).random((8, 1, 3, 16, 24)).astype(np.float16)
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda picture: model.run([picture])[0], pictures))
    for picture, output in zip(pictures, outputs, strict=True):
        np.testing.assert_array_equal(output, picture * 2)


def test_two_models_of_one_artifact(tiny_artifact: Path, model: Model, picture: np.ndarray) -> None:
    other = Model(tiny_artifact)
    assert other.run([picture])[0].tobytes() == model.run([picture])[0].tobytes()


def test_profile_lists_the_run_stream(model: Model, picture: np.ndarray) -> None:
    times = model.profile([picture])
    assert "conv2d" in [entry.layer.op for entry in times]
    assert all(entry.time_us >= 0 for entry in times)
    np.testing.assert_array_equal(model.run([picture])[0], picture * 2)  # the instrument is gone again


def test_one_and_two_threads_give_the_same_bytes(tiny_artifact: Path) -> None:
    program = (
        "import hashlib, sys, numpy as np\n"
        "from vacc_deploy.runtime.model import Model\n"
        "model = Model(sys.argv[1], threads=int(sys.argv[2]))\n"
        "x = np.random.default_rng(3).random((2, 3, 16, 24)).astype(np.float16)\n"
        "print(hashlib.sha256(model.run([x])[0].tobytes()).hexdigest())\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program, str(tiny_artifact), str(count)],
            capture_output=True, text=True, check=True, env={**os.environ},
        ).stdout
        for count in (1, 2)
    ]  # fmt: skip
    assert printed[0] == printed[1] != ""
