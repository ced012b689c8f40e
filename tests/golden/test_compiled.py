"""Compiled networks compute what the float networks compute: 65 dB in fp16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from vacc_deploy.build_files import resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.export.exporter import export_model
from vacc_deploy.export.registry import find_recipe
from vacc_deploy.export.sample_picture import sample_input
from vacc_deploy.runtime.model import Model

FP16_DB = 65.0


@dataclass(frozen=True)
class Case:
    """A recipe on its golden input; `checkpoint` lies under ../shared/data, seeded weights without it."""

    recipe: str
    variant: str | None
    folder: str
    input: str
    checkpoint: str = ""


GOLDEN = {
    "vdsr": Case("vdsr", None, "vdsr", "butterfly_x4_256", "vdsr/vdsr_epoch50.safetensors"),
    "lesrcnn-x2": Case(
        "lesrcnn", "x2", "lesrcnn_x2", "butterfly_x2_native", "lesrcnn/lesrcnn_x2.safetensors"
    ),
    "fsrnet-batch": Case("fsrnet", "batch", "fsrnet", "ffhq00000"),
    "fsrnet-running": Case("fsrnet", "running", "fsrnet", "ffhq00000"),
    "sparnet-light": Case("sparnet", "light_attn3d", "sparnet_light_attn3d", "ffhq00000"),
    "sparnet-full": Case("sparnet", "full", "sparnet", "ffhq00000"),
    "gpen-256": Case("gpen", "256", "gpen_256_narrow05", "ffhq00000"),
}
SMALL = {"vdsr": ("vdsr", None, (32, 48)), "lesrcnn-x2": ("lesrcnn", "x2", (24, 32))}


def fidelity(model: Path, folder: Path, picture: np.ndarray) -> float:
    """PSNR in dB, pixels of 0…255, of the fp16 artifact against ONNX Runtime on the same float16 input."""
    made = compile_model(resolve_build(str(model)), CompileOptions(output=folder))
    compiled = Model(made.prefix)
    half = picture.astype(np.float16)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: half.astype(np.float32)})
    post = compiled.manifest.postprocess
    error = (compiled.run([half])[post.output].astype(np.float64) - outputs[post.output]) * post.scale
    return 10 * float(np.log10(255.0**2 / np.mean(error**2)))


@pytest.mark.parametrize("name", SMALL)
def test_fp16_on_a_real_picture(name: str, tmp_path: Path) -> None:
    recipe, variant, size = SMALL[name]
    made = export_model(find_recipe(recipe, variant), size=size, out_dir=tmp_path, formats=["onnx"])
    decibels = fidelity(made.files["onnx"], tmp_path, sample_input(made.recipe).numpy())
    assert decibels >= FP16_DB


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_fp16_on_the_golden_input(name: str, tmp_path: Path, shared_data: Path) -> None:
    case = GOLDEN[name]
    folder = shared_data / "ref" / case.folder
    with np.load(folder / f"input_{case.input}.npz") as stored:
        picture = stored["input"]
    checkpoint = shared_data / case.checkpoint if case.checkpoint else None
    made = export_model(
        find_recipe(case.recipe, case.variant),
        checkpoint,
        picture.shape[2:] if case.checkpoint else None,
        tmp_path,
        ["onnx"],
    )
    decibels = fidelity(made.files["onnx"], tmp_path, picture)
    assert decibels >= FP16_DB
