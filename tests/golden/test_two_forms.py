"""A network is the same from ONNX and from TorchScript.

Everything after the frontend is a function of the network alone, which the tests of determinism show; so
each network is compared where it leaves the frontend, and one also as a finished artifact.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from vacc_deploy.build_files import resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.export.exporter import export_model
from vacc_deploy.export.registry import find_recipe
from vacc_deploy.frontend.load import load_model
from vacc_deploy.safe_io import write_image

# case → (recipe, variant, size); small sizes, because the way is the same
CASES = {
    "vdsr": ("vdsr", None, (24, 40)),
    "lesrcnn-x2": ("lesrcnn", "x2", (16, 24)),
    "lesrcnn-x4": ("lesrcnn", "x4", (16, 24)),
    "lesrcnn-blind-x3": ("lesrcnn", "b_x3", (16, 24)),
    "fsrnet-batch": ("fsrnet", "batch", (64, 64)),
    "fsrnet-running": ("fsrnet", "running", (64, 64)),
    "sparnet-light": ("sparnet", "light_attn3d", None),
    "gpen-256": ("gpen", "256", None),
}
SLOW = {"sparnet-light", "gpen-256"}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES]


def exported(name: str, folder: Path) -> dict[str, Path]:
    """Form → file."""
    recipe, variant, size = CASES[name]
    return dict(export_model(find_recipe(recipe, variant), size=size, out_dir=folder).files)


@pytest.mark.parametrize("name", NAMES)
def test_onnx_and_torchscript_give_one_network(name: str, tmp_path: Path) -> None:
    files = exported(name, tmp_path)
    first, second = (load_model(files[form]) for form in ("onnx", "torchscript"))
    assert [node.name for node in first.graph] == [node.name for node in second.graph]
    first_bytes, second_bytes = (
        ir.to_proto(model).SerializeToString(deterministic=True) for model in (first, second)
    )
    assert first_bytes == second_bytes


def compiled(model: Path, dtype: str, folder: Path, pictures: Path) -> dict[str, Any]:
    """The manifest without the digest of the source file and its name, and the bytes of all other files."""
    build = resolve_build(str(model)).override(name="same", dtype=dtype)
    calibration = pictures if dtype == "int8" else None
    made = compile_model(build, CompileOptions(output=folder, dataset=calibration))
    manifest = json.loads(made.prefix.with_suffix(".json").read_text(encoding="utf-8"))
    del manifest["sources"], manifest["config"]["frontend"]
    names = ["mod.params", *(["quantized.onnx", "calibration.json"] if dtype == "int8" else [])]
    return {"manifest": manifest} | {name: (made.prefix.parent / name).read_bytes() for name in names}


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_onnx_and_torchscript_give_one_artifact(dtype: str, tmp_path: Path) -> None:
    files = exported("vdsr", tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_image(pictures / "noise.png", noise)
    first, second = (
        compiled(files[form], dtype, tmp_path / form, pictures) for form in ("onnx", "torchscript")
    )
    assert first["manifest"] == second["manifest"]
    assert first == second
