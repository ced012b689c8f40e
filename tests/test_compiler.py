"""From a build YAML, an ONNX file and npz samples to an artifact; and nothing left behind when that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from vacc_deploy import compiler
from vacc_deploy.artifact import read_artifact
from vacc_deploy.build_files import resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model, without_folders
from vacc_deploy.errors import ErrorList, ModelError, VdeployError
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.reference.graph import run_graph
from vacc_deploy.runtime.verify import verify_artifact

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.determinism.make_artifact import write_inputs

OPTIONS = {"target": "generic", "recipe_exact": True}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, compiler.CompileResult]:
    folder = tmp_path_factory.mktemp("compile")
    options = CompileOptions(output=folder / "deploy", **OPTIONS)
    return folder, compile_model(resolve_build(str(write_inputs(folder))), options)


def test_the_artifact_is_whole(built: tuple[Path, compiler.CompileResult]) -> None:
    folder, result = built
    assert result.prefix == folder / "deploy" / result.prefix.parent.name / "mod"
    names = {path.name for path in result.prefix.parent.iterdir()}
    expected = {"mod.so", "mod.json", "mod.params", "mod.vectors", "mod.sha256"}
    assert names == expected | {"calibration.json", "quantized.onnx"}
    assert read_artifact(result.prefix).manifest == result.manifest
    assert verify_artifact(result.prefix).ok


def test_the_artifact_computes_what_its_quantized_onnx_says(
    built: tuple[Path, compiler.CompileResult],
) -> None:
    _, result = built
    model = Model(result.prefix)
    quantized = ir.from_proto(onnx.load(result.prefix.parent / "quantized.onnx"))
    picture = np.random.default_rng(5).random(model.inputs[0].shape).astype(np.float16)
    expected = run_graph(quantized, {model.inputs[0].name: picture})
    (output,) = model.run([picture])
    assert output.tobytes() == expected[model.outputs[0].name].tobytes()


def test_the_manifest_says_how_it_was_made(built: tuple[Path, compiler.CompileResult]) -> None:
    _, result = built
    manifest = result.manifest
    assert (manifest.dtype, manifest.target, manifest.isa) == ("int8", "generic", "portable")
    assert manifest.int8_mac_share() == 1.0
    assert len(manifest.sources["checkpoint"]) == 64
    assert manifest.calibration["tensors"]
    nodes = [node for layer in manifest.run_stream for node in layer.nodes]
    assert {"first", "second", "both", "last"} <= set(nodes)
    assert len(nodes) == len(set(nodes))


def test_stages_are_timed(built: tuple[Path, compiler.CompileResult]) -> None:
    assert {"frontend", "calibrate", "quantize", "lower", "write"} <= set(built[1].seconds)


def test_the_table_can_be_given_back(built: tuple[Path, compiler.CompileResult], tmp_path: Path) -> None:
    folder, result = built
    table = result.prefix.parent / "calibration.json"
    options = CompileOptions(output=tmp_path / "again", table=table, **OPTIONS)
    again = compile_model(resolve_build(str(folder / "small.yaml")), options)
    for name in ("quantized.onnx", "mod.json", "mod.params", "mod.vectors", "calibration.json"):
        assert (again.prefix.parent / name).read_bytes() == (result.prefix.parent / name).read_bytes()


def fail(*_arguments: object, **_keywords: object) -> None:
    raise ModelError("this stage fails in the test")


STAGES = ("load_model", "calibration_table", "quantize", "lower", "make_self_test", "write_artifact")


@pytest.mark.parametrize("stage", STAGES)
def test_a_failing_stage_leaves_nothing(
    stage: str, built: tuple[Path, compiler.CompileResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, stage, fail)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    options = CompileOptions(output=tmp_path / "deploy", **OPTIONS)
    with pytest.raises(ModelError, match="fails in the test"):
        compile_model(resolve_build(str(built[0] / "small.yaml")), options)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_a_failing_compile_keeps_the_old_artifact(
    built: tuple[Path, compiler.CompileResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = built
    monkeypatch.setattr(compiler, "lower", fail)
    with pytest.raises(ModelError):
        compile_model(
            resolve_build(str(folder / "small.yaml")), CompileOptions(output=folder / "deploy", **OPTIONS)
        )
    assert verify_artifact(result.prefix).ok


def test_an_unknown_operator_is_an_error_with_its_node(tmp_path: Path) -> None:
    yaml = write_inputs(tmp_path)
    model = onnx.load(tmp_path / "small.onnx")
    model.graph.node.append(onnx.helper.make_node("NonZero", ["out"], ["places"], name="find_places"))
    del model.graph.output[:]
    places = onnx.helper.make_tensor_value_info("places", onnx.TensorProto.INT64, [4, "count"])
    model.graph.output.append(places)
    onnx.save(model, tmp_path / "small.onnx")
    with pytest.raises(VdeployError) as caught:
        compile_model(resolve_build(str(yaml)), CompileOptions(output=tmp_path / "deploy", **OPTIONS))
    assert "NonZero" in str(caught.value)
    assert not list((tmp_path / "deploy").rglob("mod.*"))


def test_operators_that_do_not_compile_are_named_together_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = write_inputs(tmp_path)
    model = onnx.load(tmp_path / "small.onnx")
    for operator, source, result in (("RandomNormalLike", "out", "noise"), ("Bernoulli", "noise", "coins")):
        model.graph.node.append(onnx.helper.make_node(operator, [source], [result], name=f"/{result}"))
    model.graph.output[0].name = "coins"
    onnx.save(model, tmp_path / "small.onnx")
    monkeypatch.setattr(compiler, "calibration_table", fail)
    with pytest.raises(ErrorList) as caught:
        compile_model(resolve_build(str(yaml)), CompileOptions(output=tmp_path / "deploy", **OPTIONS))
    assert [error.where for error in caught.value.errors] == [
        f"{tmp_path}/small.onnx, node /coins",
        f"{tmp_path}/small.onnx, node /noise",
    ]


def test_a_quantised_network_compiles_as_it_is_and_is_not_quantised_again(
    built: tuple[Path, compiler.CompileResult], tmp_path: Path
) -> None:
    quantised = tmp_path / "trained.onnx"
    model = onnx.load(built[1].prefix.parent / "quantized.onnx")
    onnx.save(model, quantised)
    build = resolve_build(str(quantised))
    options = CompileOptions(output=tmp_path / "deploy", target="generic")
    manifest = compile_model(build, options).manifest
    assert any(layer.engine == "int8" for layer in manifest.run_stream)
    int8 = build.override(dtype="int8")
    with pytest.raises(ModelError, match="quantised already") as caught:
        compile_model(int8, options)
    assert "--dtype fp16" in str(caught.value)


def test_a_batch_of_several_pictures_is_refused_in_words(tmp_path: Path) -> None:
    shape = [2, 3, 8, 8]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")],
        "pair",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "pair.onnx")
    with pytest.raises(ModelError, match="batch size 1"):
        compile_model(resolve_build(str(tmp_path / "pair.onnx")), CompileOptions(output=tmp_path))


def test_paths_are_cut_from_the_configuration() -> None:
    config = {"a": "/home/me/x.onnx", "b": ["./near/y.npz", {"c": "/z/"}], "d": 3}
    assert without_folders(config) == {"a": "x.onnx", "b": ["./near/y.npz", {"c": "z"}], "d": 3}
