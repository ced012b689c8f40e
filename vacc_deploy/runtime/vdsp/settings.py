"""The OpConfig of a vdsp op as typed values; absent keys are None or the card's default."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vacc_deploy.data.letterbox import PadMode
from vacc_deploy.data.resize import ResizeMethod
from vacc_deploy.errors import ConfigError, RunError
from vacc_deploy.runtime.vdsp.image import ImageFormat
from vacc_deploy.runtime.vdsp.norm_table import NormaType
from vacc_deploy.runtime.vdsp.vendor_enum import VendorEnum


class ColorCvtCode(VendorEnum):
    """Colour conversions with the vendor's numbers; RGB2BGR's number is not public."""

    YUV2RGB_NV12 = 0
    YUV2BGR_NV12 = 1
    NO_CHANGE = 2
    BGR2RGB = 3
    BGR2RGB_INTERLEAVE2PLANAR = 4
    RGB2BGR_INTERLEAVE2PLANAR = 5
    BGR2BGR_INTERLEAVE2PLANAR = 6
    RGB2RGB_INTERLEAVE2PLANAR = 7
    YUV2GRAY_NV12 = 8
    BGR2GRAY_INTERLEAVE = 9
    BGR2GRAY_PLANAR = 10
    RGB2GRAY_INTERLEAVE = 11
    RGB2GRAY_PLANAR = 12
    RGB2YUV_NV12_PLANAR = 13
    BGR2YUV_NV12_PLANAR = 14
    RGB2BGR = 15


class ResizeType(VendorEnum):
    """Resize kernels by their vdsp names (the old file format writes BILINEAR_CV as 1)."""

    NEAREST = 0
    BILINEAR_CV = 1
    BILINEAR = 2  # how it differs from BILINEAR_CV is not public; taken as the same
    BILINEAR_PILLOW = 3
    BICUBIC_PILLOW = 4

    @property
    def method(self) -> ResizeMethod:
        """The kernel of `vacc_deploy.data.resize` that it names."""
        return _METHODS[self]


_METHODS: dict[ResizeType, ResizeMethod] = {
    ResizeType.NEAREST: "nearest",
    ResizeType.BILINEAR_CV: "bilinear_cv",
    ResizeType.BILINEAR: "bilinear_cv",
    ResizeType.BILINEAR_PILLOW: "bilinear_pillow",
    ResizeType.BICUBIC_PILLOW: "bicubic_pillow",
}

_PAD_MODES: dict[str, PadMode] = {
    "CONSTANT": "constant",
    "REPLICATE": "edge",
    "REFLECT": "symmetric",
    "REFLECT_101": "reflect",
}

# Fields that BATCH_CROP_RESIZE gives as lists, one entry per crop.
Crops = int | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class OpSettings:
    """One op's configuration.  Field names are the JSON's keys (and vaststreamx's AttrKeys) in snake case.

    The Iimage sizes and pitches are placeholders in the vendor's files: the op takes the size of the
    picture it gets, and these only answer ``get_attribute``.
    """

    iimage_format: ImageFormat = ImageFormat.RGB_PLANAR
    iimage_width: int | None = None
    iimage_height: int | None = None
    iimage_width_pitch: int | None = None
    iimage_height_pitch: int | None = None
    oimage_format: ImageFormat | None = None
    oimage_width: int | None = None
    oimage_height: int | None = None
    oimage_width_pitch: int | None = None
    oimage_height_pitch: int | None = None
    oimage_cnt: int | None = None
    resize_type: ResizeType = ResizeType.BILINEAR_CV
    resize_width: int | None = None
    resize_height: int | None = None
    crop_x: Crops = None
    crop_y: Crops = None
    crop_width: Crops = None
    crop_height: Crops = None
    crop_num: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    norma_type: NormaType = NormaType.EQUAL
    color_cvt_code: ColorCvtCode = ColorCvtCode.NO_CHANGE
    color_space: str = "BT601"
    padding: tuple[int, ...] = (114, 114, 114)
    padding_left: int = 0
    padding_right: int = 0
    padding_top: int = 0
    padding_bottom: int = 0
    edge_padding_type: str = "CONSTANT"
    edge_left: int = 0
    edge_right: int = 0
    edge_top: int = 0
    edge_bottom: int = 0
    direction: int = 0
    flags: int = 1
    border_mode: int = 0
    border_value: tuple[int, ...] = (0, 0, 0)
    m: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    unknown: Mapping[str, Any] = field(default_factory=dict)  # kept, without effect

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> OpSettings:
        """Read an OpConfig object (CamelCase keys).

        Raises:
            ConfigError: A value is of the wrong kind.
        """
        known, unknown = {}, {}
        for key, value in config.items():
            name = snake_case(key)
            if name in _READERS:
                known[name] = _parse(name, key, value)
            else:
                unknown[key] = value
        return cls(**known, unknown=unknown)

    @property
    def pad_mode(self) -> PadMode:
        """What EdgePaddingType asks for.

        Raises:
            RunError: It is not known.
        """
        if self.edge_padding_type not in _PAD_MODES:
            raise RunError(
                f"unknown EdgePaddingType '{self.edge_padding_type}'", hint=f"one of {', '.join(_PAD_MODES)}"
            )
        return _PAD_MODES[self.edge_padding_type]

    def override(self, values: Mapping[str, Any]) -> OpSettings:
        """The settings with some fields (snake case) replaced for one call.

        Raises:
            RunError: There is no such field.
        """
        if not values:
            return self
        wrong = sorted(set(values) - set(_READERS))
        if wrong:
            raise RunError(
                f"a vdsp op has no parameter '{wrong[0]}'", hint=f"one of {', '.join(sorted(_READERS))}"
            )
        return replace(self, **{name: _parse(name, name, value) for name, value in values.items()})


def snake_case(key: str) -> str:
    """``IimageWidthPitch`` → ``iimage_width_pitch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def _int(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _ints(value: Any) -> tuple[int, ...]:
    return tuple(_int(item) for item in value) if isinstance(value, Sequence) else (_int(value),) * 3


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(item) for item in value) if isinstance(value, Sequence) else (float(value),)


def _crops(value: Any) -> Crops:
    return tuple(_int(item) for item in value) if isinstance(value, Sequence) else _int(value)


def _resize_type(value: Any) -> ResizeType:
    return ResizeType[value] if isinstance(value, str) else ResizeType(value)


def _color_code(value: Any) -> ColorCvtCode:
    return ColorCvtCode[value] if isinstance(value, str) else ColorCvtCode(value)


_READERS: dict[str, Any] = {item.name: _int for item in fields(OpSettings) if item.name != "unknown"} | {
    "iimage_format": ImageFormat.parse,
    "oimage_format": ImageFormat.parse,
    "resize_type": _resize_type,
    "color_cvt_code": _color_code,
    "norma_type": NormaType.parse,
    "mean": _floats,
    "std": _floats,
    "m": _floats,
    "padding": _ints,
    "border_value": _ints,
    "color_space": str,
    "edge_padding_type": str,
    "crop_x": _crops,
    "crop_y": _crops,
    "crop_width": _crops,
    "crop_height": _crops,
}


def _parse(name: str, key: str, value: Any) -> Any:
    try:
        return _READERS[name](value)
    except (KeyError, ValueError, TypeError, RunError) as error:
        raise ConfigError(f"the vdsp op cannot use {value!r} as {key}", why=str(error) or None) from error
