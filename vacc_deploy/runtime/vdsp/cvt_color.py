"""SINGLE_OP_CVT_COLOR: one picture format into another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.color import luma
from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp import nv12
from vacc_deploy.runtime.vdsp.image import INTERLEAVED, PLANAR, Image, ImageFormat
from vacc_deploy.runtime.vdsp.settings import ColorCvtCode

F = ImageFormat
_BGR_FORMATS = (F.BGR_PLANAR, F.BGR_INTERLEAVE)

# What each code takes and gives.
_CONVERSIONS: dict[ColorCvtCode, tuple[ImageFormat, ImageFormat]] = {
    ColorCvtCode.YUV2RGB_NV12: (F.YUV_NV12, F.RGB_PLANAR),
    ColorCvtCode.YUV2BGR_NV12: (F.YUV_NV12, F.BGR_PLANAR),
    ColorCvtCode.BGR2RGB: (F.BGR_PLANAR, F.RGB_PLANAR),
    ColorCvtCode.RGB2BGR: (F.RGB_PLANAR, F.BGR_PLANAR),
    ColorCvtCode.BGR2RGB_INTERLEAVE2PLANAR: (F.BGR_INTERLEAVE, F.RGB_PLANAR),
    ColorCvtCode.RGB2BGR_INTERLEAVE2PLANAR: (F.RGB_INTERLEAVE, F.BGR_PLANAR),
    ColorCvtCode.BGR2BGR_INTERLEAVE2PLANAR: (F.BGR_INTERLEAVE, F.BGR_PLANAR),
    ColorCvtCode.RGB2RGB_INTERLEAVE2PLANAR: (F.RGB_INTERLEAVE, F.RGB_PLANAR),
    ColorCvtCode.YUV2GRAY_NV12: (F.YUV_NV12, F.GRAY),
    ColorCvtCode.BGR2GRAY_INTERLEAVE: (F.BGR_INTERLEAVE, F.GRAY),
    ColorCvtCode.BGR2GRAY_PLANAR: (F.BGR_PLANAR, F.GRAY),
    ColorCvtCode.RGB2GRAY_INTERLEAVE: (F.RGB_INTERLEAVE, F.GRAY),
    ColorCvtCode.RGB2GRAY_PLANAR: (F.RGB_PLANAR, F.GRAY),
    ColorCvtCode.RGB2YUV_NV12_PLANAR: (F.RGB_PLANAR, F.YUV_NV12),
    ColorCvtCode.BGR2YUV_NV12_PLANAR: (F.BGR_PLANAR, F.YUV_NV12),
}


def convert_by_code(image: Image, code: ColorCvtCode, color_space: str = "BT601") -> Image:
    """Apply a ColorCvtCode.

    Raises:
        RunError: The picture is not of the format that the code takes.
    """
    if code == ColorCvtCode.NO_CHANGE:
        return image
    source, target = _CONVERSIONS[code]
    if image.format != source:
        raise RunError(f"{code.name} takes a {source.name} picture, not {image.format.name}")
    return convert_format(image, target, color_space)


def convert_format(image: Image, target: ImageFormat, color_space: str = "BT601") -> Image:
    """The same picture in another format; a gray source stays gray in all channels.

    `color_space` (BT601 or BT709) says how NV12 is read; NV12 is always written as BT601.
    """
    if image.format == target:
        return image
    if target == F.GRAY and image.format == F.YUV_NV12:
        return Image(np.ascontiguousarray(image.array[: image.height]), F.GRAY)
    rgb = _to_rgb(image, color_space)
    if target == F.GRAY:
        return Image(luma(rgb), F.GRAY)
    if target == F.YUV_NV12:
        return nv12.from_rgb(rgb)
    ordered = rgb[:, :, ::-1] if target in _BGR_FORMATS else rgb
    if target in PLANAR:
        ordered = ordered.transpose(2, 0, 1)
    return Image(np.ascontiguousarray(ordered), target)


def _to_rgb(image: Image, color_space: str) -> NDArray[np.uint8]:
    if image.format == F.YUV_NV12:
        return nv12.to_rgb(image, color_space)
    pixels = image.array if image.format in INTERLEAVED else np.stack(image.planes(), axis=2)
    ordered = pixels[:, :, ::-1] if image.format in _BGR_FORMATS else pixels
    return np.ascontiguousarray(ordered)
