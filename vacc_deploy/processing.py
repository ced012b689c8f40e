"""How a picture becomes a network input and an output becomes a picture, stated once per recipe.

The build YAML's ``process_ops``, the vdsp JSON and the run-time picture writer are all rendered from
these two records, so calibration and run time cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vacc_deploy.errors import ModelError

_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)

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
        """The record that `to_json` wrote.

        Raises:
            ModelError: A field is missing or no such value can have been written.
        """
        try:
            record = cls(
                size=(int(data["size"][0]), int(data["size"][1])),
                color=_one_of(data["color"], Color),
                resize=_one_of(data["resize"], Resize),
                divisor=float(data["divisor"]),
                mean=tuple(map(float, data["mean"])),
                std=tuple(map(float, data["std"])),
            )
            if not record.divisor or not all(record.std) or len(record.mean) != len(record.std):
                raise ValueError("mean and std of different lengths, or a division by zero")
        except _DAMAGE as error:
            raise _damaged("preprocess", error) from error
        return record


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
        """The record that `to_json` wrote.

        Raises:
            ModelError: A field is missing or no such value can have been written.
        """
        try:
            return cls(
                scale=float(data["scale"]),
                shift=float(data["shift"]),
                color=_one_of(data["color"], Color),
                output=int(data["output"]),
            )
        except _DAMAGE as error:
            raise _damaged("postprocess", error) from error


def _one_of(value: Any, choices: Any) -> Any:
    if value not in get_args(choices):
        raise ValueError(f"'{value}' is none of {', '.join(get_args(choices))}")
    return value


def _damaged(what: str, error: Exception) -> ModelError:
    return ModelError(
        f"the model's own record of its {what} is damaged",
        where=f"metadata 'vdeploy', {what}",
        why=f"{type(error).__name__}: {error}"[:200],
        hint="export the model again",
    )
