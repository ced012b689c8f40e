"""What a vdsp JSON should make its owner look at before believing what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vacc_deploy.cli.console import print_note
from vacc_deploy.config import load_vdsp_params


def print_vdsp_warnings(path: Path, input_shape: Sequence[int]) -> None:
    """Write to stderr what is doubtful in a vdsp JSON that is about to be used.

    Args:
        path: The file, or a shipped one's name.
        input_shape: Shape of the network's first input.

    Raises:
        VdeployError: The file cannot be read, or an operator or value in it is unknown.
    """
    for params in load_vdsp_params(path):
        for remark in params.warnings:
            print_note(str(remark))
        stated = (params.config.get("OimageHeight"), params.config.get("OimageWidth"))
        if None not in stated and stated != tuple(input_shape[-2:]):
            print_note(
                f"warning: the vdsp JSON makes {stated[1]}x{stated[0]} pixels, the model takes "
                f"{input_shape[-1]}x{input_shape[-2]}: the model's size is used\n  --> {path}"
            )
