"""Preparing pictures otherwise than the model's own recipe says is noticed before results suffer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from vacc_deploy.check.pipelines import path_of_process_ops, path_of_vdsp
from vacc_deploy.check.recipe import differences_from_recipe
from vacc_deploy.config import ProcessOp, build_config, load_vdsp_params
from vacc_deploy.export.registry import shipped_recipes
from vacc_deploy.export.render import build_yaml
from vacc_deploy.processing import Preprocess
from vacc_deploy.safe_io import parse_yaml

_HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
_SIGNED = Preprocess((16, 24), mean=(0.5,) * 3, std=(0.5,) * 3)

# process_ops between Resize and ToTensor, the recipe, and what is said.
CASES: dict[str, tuple[list[dict[str, Any]], Preprocess, list[str]]] = {
    "alike": ([{"type": "Normalize", **_HALF}], _SIGNED, []),
    "alike in other words": (
        [{"type": "Normalize", "div255": False, "mean": [127.5] * 3, "std": [127.5] * 3}],
        _SIGNED,
        [],
    ),
    "0 to 1 for -1 to 1": (
        [{"type": "Normalize", "norm_type": None}],
        _SIGNED,
        ["computes x / 255, the model's own recipe says (x / 255 − 0.5) / 0.5"],
    ),
    "not normalised": (
        [],
        Preprocess((16, 24)),
        ["computes x, the model's own recipe says x / 255"],
    ),
    "blue first": (
        [{"type": "CvtColor", "code": "COLOR_RGB2BGR"}, {"type": "Normalize", **_HALF}],
        _SIGNED,
        ["feeds BGR, the model's own recipe says RGB"],
    ),
    "colours for luma": (
        [{"type": "Normalize", "norm_type": None}],
        Preprocess((16, 24), color="y"),
        ["feeds RGB, the model's own recipe says luma"],
    ),
}


def _ops(middle: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "DecodeImage"}, {"type": "Resize", "size": [16, 24]}, *middle, {"type": "ToTensor"}]


@pytest.mark.parametrize("name", CASES)
def test_differences_are_said_in_words(name: str) -> None:
    middle, preprocess, expected = CASES[name]
    ops = TypeAdapter(list[ProcessOp]).validate_python(_ops(middle))
    assert differences_from_recipe(path_of_process_ops(ops), preprocess) == expected


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in shipped_recipes() if recipe.settings], ids=lambda recipe: recipe.stem
)
def test_shipped_files_agree_with_their_recipes(recipe: Any) -> None:
    config = build_config(*parse_yaml(build_yaml(recipe), "f.yaml"))
    assert config.dataset is not None
    calibration = path_of_process_ops(config.dataset.process_ops or ())
    assert not differences_from_recipe(calibration, recipe.preprocess)
    (params,) = load_vdsp_params(f"{recipe.settings.vdsp}-vdsp_params.json")
    run_time = replace(path_of_vdsp(params, recipe.preprocess.size), gray=calibration.gray)
    assert not differences_from_recipe(run_time, recipe.preprocess)
