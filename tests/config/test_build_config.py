"""What a build YAML means, in both dialects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from build_text import changed, parse

from vacc_deploy.config import build_config, load_build_config
from vacc_deploy.errors import ConfigError, ErrorList, ModelError
from vacc_deploy.safe_io import Positions, parse_yaml

OLD_DIALECT = """\
model: sparnet
frontend:
  shape: {input: [1,3,128,128]}
  checkpoint: /path/to/sparnet.onnx
backend: {type: tvm_vacc, dtype: int8, quantize: {alibrate_mode: kl_divergence}}
dataset:
  path: LR
  sampler: {suffix: null, get_data_num: 500}
workspace: {work_dir: ./out/, enable_ir: true, save_log: true}
"""


def test_valid_file() -> None:
    config = parse(changed())
    assert config.name == "vdsr_int8"
    assert config.frontend_type == "onnx"
    assert config.checkpoint == Path("exported/vdsr.onnx")
    assert config.inputs == {"input": (1, 3, 64, 96)}
    assert config.dtype == "int8"
    assert config.quantize.calibrate_mode == "percentile"
    assert config.quantize.per_channel
    assert config.quantize.scheme == "symmetric"
    assert config.workspace == Path("deploy_weights")
    assert config.dataset is not None
    assert (config.dataset.path, config.dataset.suffix, config.dataset.count) == (
        Path("/path/to/pictures"),
        "png",
        5,
    )
    assert [op.type for op in config.dataset.process_ops] == [
        "DecodeImage",
        "Resize",
        "Normalize",
        "ToTensor",
    ]
    assert config.extra_ops is None
    assert not config.warnings
    assert [note.what for note in config.notes] == ["'opt_level' has no effect in emulation"]


def test_old_dialect() -> None:
    config = build_config(*parse_yaml(OLD_DIALECT, "f.yaml"))
    assert config.name == "sparnet"
    assert config.frontend_type == "onnx"
    assert config.workspace == Path("out")
    assert config.quantize.calibrate_mode == "kl_divergence"
    assert config.dataset is not None
    assert config.dataset.suffix is None
    assert ("'alibrate_mode' is taken for 'calibrate_mode'", "f.yaml:5:51") in [
        (warning.what, warning.where) for warning in config.warnings
    ]


SUFFIXES = {
    "m.onnx": "onnx",
    "m.torchscript.pt": "pytorch",
    "m.torchscript": "pytorch",
    "m.h5": "keras",
    "m.pb": "tensorflow",
    "m.weights": "darknet",
}


@pytest.mark.parametrize("checkpoint", SUFFIXES)
def test_frontend_type_from_suffix(checkpoint: str) -> None:
    config = parse(changed(("  type: onnx\n", ""), ("./exported/vdsr.onnx", checkpoint)))
    assert config.frontend_type == SUFFIXES[checkpoint]


SHAPES = {
    "flow": ("[1, 3, 8, 8]", (1, 3, 8, 8), False),
    "block": ("\n    - 1\n    - 3\n    - 8\n    - 8", (1, 3, 8, 8), False),
    "dynamic": ("[[1, 3, 8, 8], [1, 3, 16, 16]]", (1, 3, 16, 16), True),
    "language-model": ("[[512], []]", (512,), True),
    "nested-single": ("[[1, 3, 8, 8]]", (1, 3, 8, 8), False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_spellings(name: str) -> None:
    text, shape, dynamic = SHAPES[name]
    config = parse(changed(("[1, 3, 64, 96]", text)))
    assert config.inputs == {"input": shape}
    assert config.frontend.is_dynamic == dynamic


NORMALIZE = {
    "mean-and-std": ("", 255.0, True),
    "div255-false": ("\n      div255: false", 1.0, True),
    "div255-null": ("\n      div255: null", 1.0, True),
    "div255-true": ("\n      div255: true", 255.0, True),
}


@pytest.mark.parametrize("name", NORMALIZE)
def test_normalize(name: str) -> None:
    extra, divisor, has_mean = NORMALIZE[name]
    config = parse(changed(("    - type: Normalize", f"    - type: Normalize{extra}")))
    assert config.dataset is not None
    op = config.dataset.process_ops[2]
    assert op.divisor == divisor  # type: ignore[union-attr]
    assert (op.mean is not None) == has_mean  # type: ignore[union-attr]
    assert bool(config.warnings) == (name == "div255-null")


@pytest.mark.parametrize("spelling", ["null", "None", '"None"', "~"])
def test_norm_type_none(spelling: str) -> None:
    text = changed(
        ("      mean: [0.5, 0.5, 0.5]\n      std: [0.5, 0.5, 0.5]", f"      norm_type: {spelling}"),
    )
    config = parse(text)
    assert config.dataset is not None
    op = config.dataset.process_ops[2]
    assert (op.mean, op.divisor) == (None, 255.0)  # type: ignore[union-attr]
    assert not config.warnings


FILES_WITH_WARNINGS = {
    "aspect-without-pad": (("size: [64, 96]", "size: [64, -1]\n      adaptive_side: long"), "no Pad follows"),
    "wrong-size": (("size: [64, 96]", "size: [96, 64]"), "96×64 (height × width), the network takes 64×96"),
    "wrong-channels": (("[1, 3, 64, 96]", "[1, 1, 64, 96]"), "make 3 channel(s), the network takes 1"),
    "no-dataset-path": (("  path: /path/to//pictures\n", ""), "dataset.path is missing"),
    "no-calibrate-mode": (("    calibrate_mode: percentile\n", ""), "no calibrate_mode is given"),
    "unknown-placement": (("opt_level", "opt_levl"), "did you mean 'opt_level'?"),
    "dynamic": (("[1, 3, 64, 96]", "[[1, 3, 64, 96], [1, 3, 128, 128]]"), "largest shape"),
    "wrong-ending": (("vdsr.onnx", "vdsr.pt"), "'.pt' is the ending of pytorch"),
    "leads-out": (("./deploy_weights/", "../../x"), "leads out of the working directory"),
    "mean-of-the-other-scale": (
        ("mean: [0.5, 0.5, 0.5]\n      std: [0.5, 0.5, 0.5]", "mean: [127.5]\n      std: [127.5]"),
        "mean is on the 0…255 scale",
    ),
    "custom-function": (
        ("type: ToTensor", "type: CustomFunc\n      module_path: a.py\n      func_name: f"),
        "run Python",
    ),
    "detector": (("workspace:", "graph:\n  extra_ops: {type: yolov5_nms}\nworkspace:"), "not built"),
    "parameters-without-type": (
        ("workspace:", "graph:\n  extra_ops: {type: null, params: {strides: [8]}}\nworkspace:"),
        "no type",
    ),
}


@pytest.mark.parametrize("name", FILES_WITH_WARNINGS)
def test_warnings(name: str) -> None:
    replacement, says = FILES_WITH_WARNINGS[name]
    config = parse(changed(replacement))
    assert any(says in warning.what for warning in config.warnings), config.warnings
    assert all(warning.where.startswith("f.yaml:") for warning in config.warnings)


def test_fp16_ignores_quantize() -> None:
    config = parse(changed(("dtype: int8", "dtype: fp16")))
    assert "quantize" not in config.effective()["backend"]
    assert any("ignored" in note.what for note in config.notes)
    assert not config.warnings


def test_workspace_outside_needs_a_flag() -> None:
    config = parse(changed(("./deploy_weights/", "/etc")))
    with pytest.raises(ConfigError, match="leads out"):
        _ = config.workspace


def test_override() -> None:
    config = parse(changed()).override(
        dtype="int8",
        checkpoint="m.pt",
        dataset="pictures",
        calibrate_mode="mse",
        scheme="asymmetric",
        name="other",
    )
    assert config.frontend_type == "pytorch"
    assert config.quantize.calibrate_mode == "mse"
    assert config.quantize.scheme == "asymmetric"
    assert config.quantize.per_channel
    assert config.dataset is not None
    assert config.dataset.path == Path("pictures")
    assert config.dataset.suffix == "png"
    assert config.name == "other"


def test_override_without_arguments_changes_nothing() -> None:
    config = parse(changed())
    assert config.override() == config


def test_override_checks_values() -> None:
    with pytest.raises(ErrorList) as caught:
        parse(changed()).override(dtype="int4", scheme="symetric")
    assert [error.hint for error in caught.value.errors] == [
        "did you mean 'int8'?",
        "did you mean 'symmetric'?",
    ]


def test_effective_configuration_is_itself_a_build_yaml() -> None:
    config = parse(changed())
    effective = json.loads(json.dumps(config.effective()))
    assert build_config(effective, Positions("again")).effective() == effective
    assert effective["backend"]["quantize"]["weight_scale"] == "max"


REFUSED = {
    "huggingface": (("type: onnx", "type: huggingface"), "language models"),
    "keras": (("type: onnx", "type: keras"), "tf2onnx"),
    "tensorflow": (("type: onnx", "type: tensorflow"), "tf2onnx"),
    "darknet": (("type: onnx", "type: darknet"), "ONNX"),
    "yolov8_nms": (
        ("workspace:", "graph:\n  extra_ops: {type: yolov8_nms}\nworkspace:"),
        "remove graph.extra_ops",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_compile_time_only(name: str) -> None:
    replacement, hint = REFUSED[name]
    config = parse(changed(replacement))
    with pytest.raises(ModelError, match="not supported") as caught:
        config.require_compilable()
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["softmax", "insert_odma"])
def test_supported_extra_ops(kind: str) -> None:
    config = parse(changed(("workspace:", f"graph:\n  extra_ops: {{type: {kind}}}\nworkspace:")))
    config.require_compilable()
    assert config.extra_ops is not None
    assert config.extra_ops.type == kind


def test_zoo(shared_zoo: Path) -> None:
    files = sorted(shared_zoo.rglob("*.yaml"))
    assert len(files) == 234
    refused = 0
    for file in files:
        config = load_build_config(file)
        assert build_config(config.effective(), Positions("x")).effective() == config.effective(), file
        refused += config.frontend_type == "huggingface"
    assert refused == 48


def test_gpen_keys_that_change_numbers(shared_zoo: Path) -> None:
    config = load_build_config(next(shared_zoo.glob("cv/super_resolution/gpen/build_in/build/*.yaml")))
    assert config.quantize.calibrate_mode == "mse"
    assert config.quantize.weight_scale == "power2"
    assert config.quantize.quantize_mode == "manual"
    assert config.quantize.exclude_layers == tuple(range(15, 26))
