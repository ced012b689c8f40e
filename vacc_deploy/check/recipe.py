"""Are pictures prepared as the model's own recipe says?"""

from __future__ import annotations

from vacc_deploy.check.pipelines import Normalisation, PixelPath
from vacc_deploy.processing import Preprocess

_COLORS = {"rgb": "RGB", "bgr": "BGR", "y": "luma"}


def differences_from_recipe(path: PixelPath, preprocess: Preprocess) -> list[str]:
    """What happens to colours and values otherwise than a recipe says: ``computes x, … says x / 255``.

    Sizes and resize kernels are not compared: some networks are calibrated on pictures made small first.

    Args:
        path: What a build YAML's process_ops or a vdsp operator do.
        preprocess: What ``vdeploy export`` wrote into the model.
    """
    color = "y" if path.gray else "bgr" if path.swaps_channels else "rgb"
    said = Normalisation(preprocess.divisor, preprocess.mean, preprocess.std)
    sides = []
    if not path.normalisation.agrees_with(said):
        sides.append((f"computes {path.normalisation}", str(said)))
    if color != preprocess.color:
        sides.append((f"feeds {_COLORS[color]}", _COLORS[preprocess.color]))
    return [f"{ours}, the model's own recipe says {theirs}" for ours, theirs in sides]
