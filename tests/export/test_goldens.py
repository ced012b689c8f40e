"""The recipes' networks compute what the official networks compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vacc_deploy.export.checkpoint import check_fit, load_arrays, load_checkpoint
from vacc_deploy.export.exporter import for_inference
from vacc_deploy.export.proof import as_arrays
from vacc_deploy.export.recipe import Recipe
from vacc_deploy.export.registry import find_recipe
from vacc_deploy.export.seeded import seeded_state

pytestmark = pytest.mark.golden


@dataclass(frozen=True)
class Case:
    recipe: str
    variant: str | None
    folder: str
    input: str
    checkpoint: str = ""  # under ../shared/data; empty means seeded weights


CASES = {
    "vdsr-real": Case("vdsr", None, "vdsr", "butterfly_x4_256", "vdsr/vdsr_epoch50.safetensors"),
    "vdsr-seeded": Case("vdsr", None, "vdsr", "butterfly_x4_256"),
    **{
        f"lesrcnn-x{scale}-{kind}": Case(
            "lesrcnn", f"x{scale}", f"lesrcnn_x{scale}", f"butterfly_x{scale}_native",
            f"lesrcnn/lesrcnn_x{scale}.safetensors" if kind == "real" else "",
        )
        for scale in (2, 3, 4)
        for kind in ("real", "seeded")
    },
    **{
        f"lesrcnn-b-x{scale}": Case("lesrcnn", f"b_x{scale}", "lesrcnn_b", f"butterfly_x{scale}_native")
        for scale in (2, 3, 4)
    },
    "fsrnet-running": Case("fsrnet", "running", "fsrnet", "ffhq00000"),
    "sparnet-light-0": Case("sparnet", "light_attn3d", "sparnet_light_attn3d", "ffhq00000"),
    "sparnet-light-5": Case("sparnet", "light_attn3d", "sparnet_light_attn3d", "ffhq00005"),
    "gpen-256": Case("gpen", "256", "gpen_256_narrow05", "ffhq00000"),
    "sparnet-full": Case("sparnet", "full", "sparnet", "ffhq00000"),
    "gpen-512": Case("gpen", "512", "gpen_512", "ffhq00000"),
    "sparnet-hd": Case("sparnet", "hd_attn3d", "sparnethd_attn3d", "ffhq00000"),
}  # fmt: skip
SLOW = {"sparnet-full", "gpen-512", "sparnet-hd"}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES]


def loaded(case: Case, reference: Any, shared_data: Path) -> tuple[Recipe, nn.Module]:
    """The recipe of a case, and its network with the case's weights."""
    recipe = find_recipe(case.recipe, case.variant)
    network = recipe.build().eval().requires_grad_(False)
    if case.checkpoint:
        load_checkpoint(network, shared_data / case.checkpoint, recipe.stem)
    else:
        load_arrays(network, reference.weights(), case.folder, recipe.stem)
    return recipe, network


@pytest.mark.parametrize("name", NAMES)
def test_network_reproduces_the_official_one(name: str, golden: Any, shared_data: Path) -> None:
    """Its outputs, and where probes are stored, the output of every layer that holds weights."""
    case = CASES[name]
    reference = golden(case.folder)
    recipe, network = loaded(case, reference, shared_data)
    weights = "real" if case.checkpoint else "seeded"
    (stored,) = (item for item in reference.cases(weights) if item["case"] == case.input)
    example = reference.input({"case": case.input})
    runs = []
    if "probes" in stored:
        compared, outputs = reference.run_with_probes(stored, network, example)
        assert compared >= 20
        runs.append(outputs)
    if not runs or hasattr(network, "for_inference"):
        with torch.inference_mode():
            runs.append(for_inference(network)(example))
    for outputs in runs:
        reference.check(stored, dict(zip(recipe.output_names, as_arrays(outputs), strict=True)))


def test_fsrnet_with_batch_statistics(golden: Any) -> None:
    reference = golden("fsrnet")
    recipe = find_recipe("fsrnet", "batch")
    network = recipe.build()
    load_arrays(network, reference.weights(), "fsrnet", recipe.stem)
    example = reference.input({"case": "ffhq00000"})
    with torch.inference_mode():
        outputs = as_arrays(network.for_inference()(example))
    reference.check(reference.train_mode, dict(zip(recipe.output_names, outputs, strict=True)))


# The largest networks have the same kinds of layers as their small ones, and take a minute.
FOLDERS = sorted({case.folder for name, case in CASES.items() if name not in SLOW})


@pytest.mark.parametrize("name", FOLDERS)
def test_own_seeded_rule_equals_the_reference_rule(name: str, golden: Any) -> None:
    case = next(case for case in CASES.values() if case.folder == name)
    reference = golden(name)
    recipe = find_recipe(case.recipe, case.variant)
    network = recipe.build()
    expected = reference.weights()
    check_fit(network, expected, name, recipe.stem)
    assert [entry["key"] for entry in reference.manifest["state_dict"]] == list(network.state_dict())
    for key, values in seeded_state(network, recipe.seeded_gains).items():
        np.testing.assert_array_equal(values, expected[key], err_msg=key)
