"""What calibration and the run stream each do to a picture, in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vacc_deploy.config import ProcessOp, VdspParams
from vacc_deploy.config.process_ops import (
    CenterCrop,
    ChannelSplit,
    CvtColor,
    DecodeImage,
    Normalize,
    Pad,
    Resize,
)

Geometry = Literal["resize", "resize and crop", "letterbox", "crop", "none"]

_SWAPS = frozenset({"COLOR_RGB2BGR", "COLOR_BGR2RGB", "RGB2BGR", "BGR2RGB"})
_PROCESS_KERNELS = {"linear": "bilinear", "cubic": "bicubic"}
_VDSP_KERNELS = {
    "NEAREST": "nearest_cv", "BILINEAR": "bilinear_cv", "BILINEAR_CV": "bilinear_cv",
    "BILINEAR_PILLOW": "bilinear_pillow", "BICUBIC_PILLOW": "bicubic_pillow",
}  # fmt: skip
_NORMALISATIONS = {
    "DIV255": (255.0, False), "DIV255_MINUSMEAN_DIVSTD": (255.0, True), "MINUSMEAN_DIVSTD": (1.0, True),
    "EQUAL": (1.0, False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Normalisation:
    """``(x / divisor − mean) / std``."""

    divisor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def at(self, pixel: float) -> tuple[float, float, float]:
        """The result for a pixel value in each of three channels."""
        mean, std = (_three(values) for values in (self.mean or (0.0,), self.std or (1.0,)))
        r, g, b = ((pixel / self.divisor - m) / s for m, s in zip(mean, std, strict=True))
        return r, g, b

    def agrees_with(self, other: Normalisation) -> bool:
        """Whether both agree to half a step: mean and std of a vdsp JSON are rounded to fp16."""
        step = [abs(one - zero) for one, zero in zip(self.at(1.0), self.at(0.0), strict=True)]
        return all(
            abs(ours - theirs) <= 0.5 * size
            for pixel in (0.0, 255.0)
            for ours, theirs, size in zip(self.at(pixel), other.at(pixel), step, strict=True)
        )

    def __str__(self) -> str:
        mean, std = self.mean or (0.0,), self.std or (1.0,)
        text = "x" if self.divisor == 1 else f"x / {self.divisor:g}"
        if any(mean):
            text = f"({text} − {_short(mean)})"
        return text if all(value == 1 for value in std) else f"{text} / {_short(std)}"


@dataclass(frozen=True, slots=True)
class PixelPath:
    """The way of a picture's pixels into the network.

    Attributes:
        kernel: The resize kernel and whose it is, such as ``bilinear_cv``.
        sizes: (height, width) of each resize; the run stream's last one is the network's.
        geometry: How the picture is made to fit.
        swaps_channels: Whether the first and third channel trade places.
        gray: Whether one channel is left.
        normalisation: What happens to the values.
    """

    kernel: str
    sizes: tuple[tuple[int, int], ...]
    geometry: Geometry
    swaps_channels: bool
    gray: bool
    normalisation: Normalisation


def path_of_process_ops(ops: Sequence[ProcessOp]) -> PixelPath:
    """What the build YAML's process_ops do."""
    resizes = [op for op in ops if isinstance(op, Resize)]
    normalize = next((op for op in ops if isinstance(op, Normalize)), None)
    crops, pads = any(isinstance(op, CenterCrop) for op in ops), any(isinstance(op, Pad) for op in ops)
    geometry: Geometry = (
        "letterbox" if pads else "resize and crop" if crops else "resize" if resizes else "none"
    )
    return PixelPath(
        kernel=_process_kernel(resizes[-1]) if resizes else "none",
        sizes=tuple(op.size for op in resizes),
        geometry=geometry,
        swaps_channels=sum(isinstance(op, CvtColor) and op.code in _SWAPS for op in ops) % 2 == 1,
        gray=any(
            isinstance(op, ChannelSplit) or (isinstance(op, DecodeImage) and op.cv2_flags == 0) for op in ops
        ),
        normalisation=Normalisation(normalize.divisor, normalize.mean or (), normalize.std or ())
        if normalize is not None
        else Normalisation(1.0, (), ()),
    )


def path_of_vdsp(params: VdspParams, input_size: tuple[int, int]) -> PixelPath:
    """What the vdsp operator does for a network that takes pictures of `input_size` (height, width)."""
    config, steps = params.config, params.op_type
    geometry: Geometry = (
        "letterbox" if "LETTERBOX" in steps
        else "resize and crop" if "RESIZE" in steps and "CROP" in steps
        else "resize" if "RESIZE" in steps
        else "none"
    )  # fmt: skip
    kind = str(config.get("NormaType", "EQUAL"))
    if kind == "DIV1275_MINUSONE":
        normalisation = Normalisation(127.5, (1.0,), (1.0,))
    else:
        divisor, uses_mean = _NORMALISATIONS.get(kind, (1.0, False))
        mean, std = ((_floats(config.get(key)) if uses_mean else ()) for key in ("Mean", "Std"))
        normalisation = Normalisation(divisor, mean, std)
    size = (config["ResizeHeight"], config["ResizeWidth"]) if "ResizeHeight" in config else input_size
    return PixelPath(
        kernel="none"
        if geometry == "none"
        else _VDSP_KERNELS.get(str(config.get("ResizeType", "BILINEAR_CV")), "?"),
        sizes=(size,) if geometry == "resize and crop" else (input_size,),
        geometry=geometry,
        swaps_channels=str(config.get("ColorCvtCode", "NO_CHANGE")) in _SWAPS,
        gray=False,
        normalisation=normalisation,
    )


def _process_kernel(op: Resize) -> str:
    library = "pillow" if (op.backend or "cv2") in ("pillow", "pil") else "cv"
    interpolation = op.interpolation or "bilinear"
    return f"{_PROCESS_KERNELS.get(interpolation, interpolation)}_{library}"


def _floats(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    return tuple(map(float, value)) if isinstance(value, list) else (float(value),)


def _three(values: tuple[float, ...]) -> tuple[float, ...]:
    return values * 3 if len(values) == 1 else (*values, *values[-1:] * 3)[:3]


def _short(values: tuple[float, ...]) -> str:
    numbers = [f"{value:.4g}" for value in values]
    return numbers[0] if len(set(numbers)) == 1 else "[" + ", ".join(numbers) + "]"
