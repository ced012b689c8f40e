"""How a picture becomes a network input and an output becomes a picture, stated once per recipe.

The build YAML's ``process_ops``, the vdsp JSON and the run-time picture writer are all rendered from
these two records, so calibration and run time cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Color = Literal["rgb", "bgr", "y"]
Resize = Literal["bilinear_cv", "bilinear_pillow", "bicubic_pillow", "nearest"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Picture (uint8 RGB, H×W×3) to network input: resize, colour, then ``(x / divisor − mean) / std``."""

    size: tuple[int, int]  # (height, width) of the network input, pixels
    color: Color = "rgb"
    resize: Resize = "bilinear_cv"
    divisor: float = 255.0
    mean: tuple[float, ...] = ()  # empty: no mean and std
    std: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocess:
        """The record that `to_json` wrote."""
        return cls(
            size=(int(data["size"][0]), int(data["size"][1])),
            color=data["color"],
            resize=data["resize"],
            divisor=float(data["divisor"]),
            mean=tuple(data["mean"]),
            std=tuple(data["std"]),
        )


@dataclass(frozen=True, slots=True)
class Postprocess:
    """Network output (C×H×W) to picture: ``round(clip(y·scale + shift, 0, 255))``."""

    scale: float = 255.0
    shift: float = 0.0
    color: Color = "rgb"
    output: int = 0  # which of the network's outputs is the picture

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Postprocess:
        """The record that `to_json` wrote."""
        return cls(
            scale=float(data["scale"]), shift=float(data["shift"]), color=data["color"], output=data["output"]
        )
