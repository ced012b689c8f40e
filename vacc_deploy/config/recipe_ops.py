"""A recipe's pre-processing as the build YAML's ``process_ops``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vacc_deploy.errors import ConfigError
from vacc_deploy.processing import Preprocess

_RESIZE_OPS: dict[str, dict[str, str]] = {
    "bilinear_cv": {},
    "bilinear_pillow": {"backend": "pillow"},
    "bicubic_pillow": {"backend": "pillow", "interpolation": "bicubic"},
    "nearest": {"interpolation": "nearest"},
}


def process_ops(preprocess: Preprocess, resizes: Sequence[tuple[int, str]] = ()) -> list[dict[str, Any]]:
    """The ``process_ops`` that do what `preprocess` states.

    Args:
        preprocess: The recipe's statement.
        resizes: (side, interpolation) steps instead of its resize, for networks calibrated on pictures
            that are first made as small as the ones they will see.

    Raises:
        ConfigError: Build YAMLs have no words for it.
    """
    ops: list[dict[str, Any]] = [{"type": "DecodeImage"}]
    if preprocess.color == "y":
        ops.append({"type": "CvtColor", "code": "COLOR_RGB2YCrCb"})
    elif preprocess.color == "bgr":
        ops.append({"type": "CvtColor", "code": "COLOR_RGB2BGR"})
    for side, interpolation in resizes:
        ops.append({"type": "Resize", "size": [side, side], "interpolation": interpolation})
    if not resizes:
        ops.append({"type": "Resize", "size": list(preprocess.size)} | _RESIZE_OPS[preprocess.resize])
    if preprocess.color == "y":
        ops.append({"type": "ChannelSplit", "index": 0})
    normalize = _normalize(preprocess)
    return [*ops, *([normalize] if normalize else []), {"type": "ToTensor"}]


def _normalize(preprocess: Preprocess) -> dict[str, Any] | None:
    div255 = preprocess.divisor == 255.0
    if preprocess.divisor not in (1.0, 255.0):
        raise ConfigError(
            f"build YAMLs cannot divide by {preprocess.divisor:g}",
            hint="use divisor 1 or 255, and fold the rest into mean and std",
        )
    if not preprocess.mean:
        return {"type": "Normalize", "norm_type": None} if div255 else None
    numbers = {"mean": list(preprocess.mean), "std": list(preprocess.std)}
    return {"type": "Normalize"} | ({} if div255 else {"div255": False}) | numbers
