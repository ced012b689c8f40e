"""The shipped build YAMLs and vdsp JSONs are what the recipes render, and mean what the vendor's mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vacc_deploy.config.recipe_ops import process_ops
from vacc_deploy.export.registry import find_recipe, shipped_recipes
from vacc_deploy.export.render import build_yaml, rendered_files
from vacc_deploy.processing import Preprocess

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FILES = rendered_files(shipped_recipes())


@pytest.mark.parametrize("path", FILES)
def test_shipped_file_equals_its_recipe(path: str) -> None:
    assert (CHECKOUT / path).read_text(encoding="utf-8") == FILES[path], (
        "run: python -m vacc_deploy.export.render"
    )


def test_no_shipped_file_is_without_a_recipe() -> None:
    shipped = {
        str(file.relative_to(CHECKOUT))
        for pattern in ("build_configs/*.yaml", "vdsp_params/*.json")
        for file in CHECKOUT.glob(pattern)
    }
    assert shipped == set(FILES)


@pytest.mark.parametrize("recipe", shipped_recipes(), ids=lambda recipe: recipe.stem)
def test_checkpoint_path_is_where_export_writes(recipe: Any) -> None:
    if recipe.settings is None:
        pytest.skip("this variant has no build configuration")
    config = yaml.safe_load(build_yaml(recipe))
    assert Path(config["frontend"]["checkpoint"]).name.split(".")[0] == recipe.stem
    assert config["frontend"]["shape"] == {recipe.input_name: list(recipe.input_shape)}


ZOO = {
    "vdsr": ("vdsr", None, "super_resolution/vdsr", "official_vdsr.yaml", "official-vdsr"),
    "lesrcnn": ("lesrcnn", "x2", "super_resolution/lesrcnn", "official_lesrcnn.yaml", "official-lesrcnn_x2"),
    "lesrcnn-x4": ("lesrcnn", "x4", "super_resolution/lesrcnn", "", "official-lesrcnn_x4"),
    "fsrnet": ("fsrnet", None, "super_resolution/fsrnet", "official_fsrnet.yaml", "official-fsrnet"),
    "sparnet": (
        "sparnet", None, "super_resolution/sparnet", "config.yaml", "official-sparnet_light_attn3d",
    ),
    "gpen": ("gpen", "512", "super_resolution/gpen", "official_gpen.yaml", "official-gpen"),
    "gpen-colorization": (
        "gpen", "512_colorization", "image_colorization/gpen", "official_gpen.yaml", "official-gpen",
    ),
}  # fmt: skip


def _meaning_of_build(config: dict[str, Any]) -> dict[str, Any]:
    """What a build YAML says, without names, paths and spellings."""
    ops = [dict(op) for op in config["dataset"]["process_ops"]]
    for op in ops:
        if op.get("norm_type") in (None, "None"):
            op.pop("norm_type", None)
        if op["type"] == "Normalize" and op.get("div255") is True:
            op.pop("div255")
    frontend = config["frontend"]
    suffix = Path(frontend["checkpoint"]).suffix
    return {
        "shape": frontend["shape"],
        "type": frontend.get("type", "onnx" if suffix == ".onnx" else "pytorch"),
        "suffix": suffix,
        "backend": config["backend"],
        "sampler": config["dataset"]["sampler"],
        "ops": ops,
    }


def _meaning_of_vdsp(params: dict[str, Any]) -> dict[str, Any]:
    """What a vdsp JSON says; Mean and Std count only where the normalisation reads them."""
    options = dict(params["OpConfig"])
    if "MEAN" not in options["NormaType"]:
        options.pop("Mean"), options.pop("Std")
    else:
        options["Mean"], options["Std"] = (np.float16(options[key]).tolist() for key in ("Mean", "Std"))
    return {"OpType": params["OpType"], **options}


@pytest.mark.parametrize("case", [name for name, case in ZOO.items() if case[3]])
def test_build_yaml_means_what_the_vendors_means(case: str, shared_zoo: Path) -> None:
    name, variant, folder, file, _ = ZOO[case]
    vendor = yaml.safe_load((shared_zoo / "cv" / folder / "build_in/build" / file).read_text())
    ours = yaml.safe_load(build_yaml(find_recipe(name, variant)))
    assert _meaning_of_build(ours) == _meaning_of_build(vendor)


@pytest.mark.parametrize("case", ZOO)
def test_vdsp_json_means_what_the_vendors_means(case: str, shared_zoo: Path) -> None:
    name, variant, folder, _, stem = ZOO[case]
    file = f"{stem}-vdsp_params.json"
    recipe = find_recipe(name, variant)
    assert recipe.settings is not None
    assert f"{recipe.settings.vdsp}-vdsp_params.json" == file
    vendor = json.loads((shared_zoo / "cv" / folder / "build_in/vdsp_params" / file).read_text())
    ours = json.loads(FILES[f"vdsp_params/{file}"])
    assert _meaning_of_vdsp(ours) == _meaning_of_vdsp(vendor)


def test_names_of_artifacts_are_unique() -> None:
    names = [yaml.safe_load(text)["name"] for path, text in FILES.items() if path.endswith(".yaml")]
    assert len(names) == len(set(names))


RENDERED = {
    "plain": (Preprocess((4, 6), divisor=1.0), [{"type": "Resize", "size": [4, 6]}]),
    "bgr-pillow": (
        Preprocess((4, 4), color="bgr", resize="bicubic_pillow", mean=(0.5,), std=(0.5,)),
        [
            {"type": "CvtColor", "code": "COLOR_RGB2BGR"},
            {"type": "Resize", "size": [4, 4], "backend": "pillow", "interpolation": "bicubic"},
            {"type": "Normalize", "mean": [0.5], "std": [0.5]},
        ],
    ),
    "byte-mean": (
        Preprocess((4, 4), divisor=1.0, mean=(127.5,), std=(127.5,)),
        [
            {"type": "Resize", "size": [4, 4]},
            {"type": "Normalize", "div255": False, "mean": [127.5], "std": [127.5]},
        ],
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_process_ops(case: str) -> None:
    preprocess, middle = RENDERED[case]
    assert process_ops(preprocess) == [{"type": "DecodeImage"}, *middle, {"type": "ToTensor"}]


def test_calibration_resizes_stand_for_the_resize() -> None:
    ops = process_ops(Preprocess((4, 4)), ((2, "bicubic"), (4, "bicubic")))
    sizes = [op["size"] for op in ops if op["type"] == "Resize"]
    assert sizes == [[2, 2], [4, 4]]
