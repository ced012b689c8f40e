"""What a vdsp JSON should make its owner look at before believing what comes of it."""

from __future__ import annotations

from dataclasses import replace

from vacc_deploy.artifact import Manifest
from vacc_deploy.check.pipelines import path_of_vdsp
from vacc_deploy.check.recipe import differences_from_recipe
from vacc_deploy.cli.console import print_note
from vacc_deploy.config import VdspParams


def print_vdsp_warnings(params: VdspParams, manifest: Manifest) -> None:
    """Write to stderr what is doubtful in a vdsp JSON that is about to be used.

    Args:
        params: Its operator.
        manifest: Of the artifact that it stands before.
    """
    input_shape, recipe = manifest.inputs[0].shape, manifest.preprocess
    for remark in params.warnings:
        print_note(str(remark))
    stated = (params.config.get("OimageHeight"), params.config.get("OimageWidth"))
    if None not in stated and stated != tuple(input_shape[-2:]):
        print_note(
            f"warning: the vdsp JSON makes {stated[1]}x{stated[0]} pixels, the model takes "
            f"{input_shape[-1]}x{input_shape[-2]}: the model's size is used\n  --> {params.source}"
        )
    if recipe is not None and params.op_type.startswith("FUSION_OP_"):
        # Luma is not the operator's to make: it is handed over three times.
        pixels = replace(path_of_vdsp(params, recipe.size), gray=recipe.color == "y")
        for difference in differences_from_recipe(pixels, recipe):
            print_note(f"warning: the vdsp JSON {difference}\n  --> {params.source}")
