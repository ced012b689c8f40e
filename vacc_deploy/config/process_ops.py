"""The entries of ``dataset.process_ops``: how a picture file becomes the network's calibration input."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from vacc_deploy.config.section import Bool, Float, Int, Section, Text

PixelLibrary = Literal["cv2", "opencv", "pillow", "pil"]
Interpolation = Literal["nearest", "bilinear", "linear", "bicubic", "cubic", "area"]
ColorCode = Literal[
    "COLOR_RGB2BGR", "COLOR_BGR2RGB", "COLOR_RGB2YCrCb", "COLOR_BGR2YCrCb", "COLOR_YCrCb2RGB",
    "COLOR_YCrCb2BGR", "COLOR_RGB2YUV", "COLOR_BGR2YUV", "COLOR_RGB2GRAY", "COLOR_BGR2GRAY", "COLOR_GRAY2RGB",
    "COLOR_GRAY2BGR", "COLOR_RGB2HSV", "COLOR_BGR2HSV", "COLOR_RGB2LAB", "COLOR_BGR2LAB",
]  # fmt: skip


def _pair(value: Any) -> Any:
    """[height, width]; a single number is both."""
    sides = [value, value] if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(sides, (list, tuple)) or len(sides) not in (1, 2):
        raise PydanticCustomError("size", "must be [height, width]")
    sides = list(sides) * (2 // len(sides))
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int) or not (side == -1 or 1 <= side <= 1 << 16):
            raise PydanticCustomError(
                "size", "must hold whole numbers of pixels, not {side}", {"side": repr(side)}
            )
    return tuple(sides)


def _positive(value: tuple[int, int]) -> tuple[int, int]:
    if min(value) < 1:
        raise PydanticCustomError("size", "must hold two numbers of pixels from 1 on")
    return value


def _per_channel(value: Any) -> Any:
    values = [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if not isinstance(values, (list, tuple)) or len(values) not in (1, 2, 3, 4):
        raise PydanticCustomError("channels", "must be a list of 1 to 4 numbers, one per channel")
    return values


def _norm_type(value: Any) -> Any:
    return None if value in (None, "None", "none", "null") else value


Pair = Annotated[tuple[int, int], BeforeValidator(_pair)]
ChannelValues = Annotated[tuple[Float, ...], BeforeValidator(_per_channel)]


class DecodeImage(Section):
    """Read the file as RGB, or as grey with ``cv2_flags: 0``."""

    type: Literal["DecodeImage"]
    cv2_flags: Literal[0, 1] | None = None
    backend: PixelLibrary | None = None


class Resize(Section):
    """Resize to ``size`` [height, width]; ``adaptive_side`` becomes size[0] long, keeping the aspect."""

    type: Literal["Resize"]
    size: Pair
    adaptive_side: Literal["long", "short"] | None = None
    interpolation: Interpolation | None = None
    backend: PixelLibrary | None = None

    @model_validator(mode="after")
    def _size_is_complete(self) -> Resize:
        if self.size[0] < 1 or (self.size[1] < 1 and self.adaptive_side is None):
            raise PydanticCustomError(
                "size",
                "size has -1 where pixels are counted; [N, -1] goes with adaptive_side: long",
            )
        return self


class Pad(Section):
    """Pad the picture, in its middle, to a square with the side of the Resize before it."""

    type: Literal["Pad"]
    pad_to_square: Bool


class CenterCrop(Section):
    """Cut ``crop_size`` [height, width] out of the middle."""

    type: Literal["CenterCrop"]
    crop_size: Annotated[Pair, AfterValidator(_positive)]
    backend: PixelLibrary | None = None


class CvtColor(Section):
    """Convert colours by an OpenCV code."""

    type: Literal["CvtColor"]
    code: ColorCode


class ChannelSplit(Section):
    """Keep one channel."""

    type: Literal["ChannelSplit"]
    index: Annotated[Int, Field(ge=0, le=3)] = 0


class Normalize(Section):
    """``(x / 255 − mean) / std``, without what the entry turns off.

    ``div255`` is true unless given (null is read as false before it gets here); ``norm_type`` null or "None"
    goes without mean and std.
    """

    type: Literal["Normalize"]
    mean: ChannelValues | None = None
    std: ChannelValues | None = None
    div255: Bool = True
    norm_type: Annotated[Literal["mean_std"] | None, BeforeValidator(_norm_type)] = None

    @model_validator(mode="after")
    def _mean_goes_with_std(self) -> Normalize:
        if (self.mean is None) != (self.std is None):
            given, missing = ("std", "mean") if self.mean is None else ("mean", "std")
            raise PydanticCustomError(
                "pair", "{given} is given without {missing}", {"given": given, "missing": missing}
            )
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise PydanticCustomError(
                "pair", "mean has {m} values and std has {s}", {"m": len(self.mean), "s": len(self.std)}
            )
        if self.std is not None and 0.0 in self.std:
            raise PydanticCustomError("zero", "std holds a 0, by which nothing can be divided")
        if self.norm_type == "mean_std" and self.mean is None:
            raise PydanticCustomError("pair", "norm_type mean_std needs mean and std")
        return self

    @property
    def divisor(self) -> float:
        """What pixel values are divided by first: 255, or 1."""
        return 255.0 if self.div255 else 1.0


class ToTensor(Section):
    """Height × width × channels becomes channels × height × width; nothing is scaled."""

    type: Literal["ToTensor"]


class CustomFunc(Section):
    """A function from a Python file, which vamc would call.  It parses here; a dataset refuses to run it."""

    type: Literal["CustomFunc"]
    module_path: Text
    func_name: Text
    input_shape: tuple[Int, ...] | None = None


ProcessOp = Annotated[
    DecodeImage | Resize | Pad | CenterCrop | CvtColor | ChannelSplit | Normalize | ToTensor | CustomFunc,
    Field(discriminator="type"),
]
OP_TYPES = (
    "CenterCrop", "ChannelSplit", "CustomFunc", "CvtColor", "DecodeImage", "Normalize", "Pad", "Resize",
    "ToTensor",
)  # fmt: skip
