"""The fusion ops: a picture in, the network's fp16 input out, in the order that the op's name spells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data import letterbox
from vacc_deploy.data.resize import resize
from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp import nv12
from vacc_deploy.runtime.vdsp.image import Image, ImageFormat
from vacc_deploy.runtime.vdsp.norm_table import norm_table
from vacc_deploy.runtime.vdsp.op_type import OpType
from vacc_deploy.runtime.vdsp.settings import ColorCvtCode, OpSettings

Planes = list[NDArray[np.uint8]]
ExtGeometry = tuple[int, int, int, int, int, int]  # resize_w, resize_h, top, bottom, left, right

_SWAPS = (ColorCvtCode.BGR2RGB, ColorCvtCode.RGB2BGR, ColorCvtCode.YUV2BGR_NV12)


@dataclass(frozen=True, slots=True)
class _Job:
    """One call: what the steps need to know beside the pixels."""

    op_type: OpType
    settings: OpSettings
    size: tuple[int, int] | None  # (height, width) of the tensor; None: whatever the steps make
    ext: ExtGeometry | None

    def frame(self, step: str) -> tuple[int, int]:
        """The tensor's (height, width), which `step` needs."""
        if self.size is None:
            raise RunError(
                f"{self.op_type.name} does not know the size of its result at {step}",
                hint="give OimageWidth and OimageHeight in the vdsp JSON, or run it before a model",
            )
        return self.size


def run_fusion(
    op_type: OpType,
    settings: OpSettings,
    image: Image,
    *,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    ext: ExtGeometry | None = None,
) -> NDArray[np.float16]:
    """Run a fusion op on one picture.

    Args:
        op_type: A fusion op.
        settings: Its configuration.
        image: NV12 for the YUV ops; for the others gray or three channels, whose order is taken as it lies.
        channels: 3, or 1 for a network that takes plane 0 only.
        size: (height, width) of the network's input; None takes OimageHeight and OimageWidth.
        ext: Geometry of one LETTERBOX_EXT call; None takes the configured one.

    Returns:
        float16 (channels, height, width).

    Raises:
        RunError: Format or sizes do not fit.
        ConfigError: The normalisation lacks numbers.
    """
    if channels not in (1, 3):
        raise RunError(f"the vdsp makes tensors of 1 or 3 channels, the model takes {channels}")
    if size is None and settings.oimage_height is not None and settings.oimage_width is not None:
        size = (settings.oimage_height, settings.oimage_width)
    job = _Job(op_type, settings, size, ext)
    steps = op_type.steps
    if op_type.takes_nv12:
        planes, steps = _nv12_planes(image, job)
    else:
        needed = 3 if settings.color_cvt_code in _SWAPS else channels
        planes = image.planes(needed)
    for step in steps:
        planes = _STEPS[step](planes, job)
    result = planes[0].shape
    if size is not None and result != size:
        raise RunError(
            f"{op_type.name} makes {result[1]}x{result[0]} pixels, the model takes {size[1]}x{size[0]}",
            hint="correct the sizes in the vdsp JSON, or give a picture of the model's size",
        )
    return _tensor(planes, settings, channels)


def _nv12_planes(image: Image, job: _Job) -> tuple[Planes, tuple[str, ...]]:
    """Carry out the steps that happen in NV12, and return RGB planes with the steps that are left."""
    if image.format != ImageFormat.YUV_NV12:
        raise RunError(f"{job.op_type.name} takes a YUV_NV12 picture, not {image.format.name}")
    steps, settings = job.op_type.steps, job.settings
    conversion = next(index for index, step in enumerate(steps) if step in ("2RGB", "CVTCOLOR"))
    left = list(steps[conversion:])
    odd = slice(None), slice(None)
    for step in steps[:conversion]:
        if step == "RESIZE":
            height, width = _resize_size(job)
            image = nv12.resize_nv12(image, (height, width), settings.resize_type.method)
            odd = slice(height), slice(width)  # NV12 rounds odd sides up
        elif step == "CROP":
            x, y, width, height = _crop_window(image.height, image.width, job)
            image = nv12.crop_nv12(image, x, y, width, height)
        else:  # LETTERBOX: shrink in NV12, and paint the borders in RGB, where their colour is given
            box = letterbox.fit(image.height, image.width, job.frame(step))
            image = nv12.resize_nv12(image, (box.height, box.width), settings.resize_type.method)
            odd = slice(box.height), slice(box.width)
            left.append("LETTERBOX")
    rgb = nv12.to_rgb(image, settings.color_space)
    planes = [cv2.extractChannel(rgb, channel)[odd] for channel in range(3)]
    if left[0] == "CVTCOLOR" and settings.color_cvt_code in _SWAPS:
        planes.reverse()
    return planes, tuple(left[1:])


def _resize(planes: Planes, job: _Job) -> Planes:
    size = _resize_size(job)
    return [resize(plane, size, job.settings.resize_type.method) for plane in planes]


def _resize_size(job: _Job) -> tuple[int, int]:
    """(height, width) of RESIZE: its own numbers where a CROP follows, else the tensor's."""
    steps, settings = job.op_type.steps, job.settings
    if "CROP" not in steps[steps.index("RESIZE") :]:
        return job.frame("RESIZE")
    if settings.resize_height is None or settings.resize_width is None:
        raise RunError(
            f"{job.op_type.name} needs ResizeWidth and ResizeHeight",
            hint="add them to the vdsp JSON, or set RESIZE_WIDTH and RESIZE_HEIGHT for each picture",
        )
    return settings.resize_height, settings.resize_width


def _crop(planes: Planes, job: _Job) -> Planes:
    x, y, width, height = _crop_window(planes[0].shape[0], planes[0].shape[1], job)
    return [plane[y : y + height, x : x + width] for plane in planes]


def _crop_window(height: int, width: int, job: _Job) -> tuple[int, int, int, int]:
    """(x, y, width, height) of CROP: the tensor's size where it is the last change of size, else its own."""
    steps, settings = job.op_type.steps, job.settings
    last = "RESIZE" not in steps[steps.index("CROP") :]
    crop_height, crop_width = job.frame("CROP") if last else (settings.crop_height, settings.crop_width)
    if not isinstance(crop_height, int) or not isinstance(crop_width, int):
        raise RunError(f"{job.op_type.name} needs one CropWidth and CropHeight")
    x, y = settings.crop_x, settings.crop_y
    left = x if isinstance(x, int) else (width - crop_width) // 2
    top = y if isinstance(y, int) else (height - crop_height) // 2
    if left < 0 or top < 0 or left + crop_width > width or top + crop_height > height:
        raise RunError(
            f"{job.op_type.name} cannot crop {crop_width}x{crop_height} at ({left}, {top}) "
            f"out of {width}x{height} pixels"
        )
    return left, top, crop_width, crop_height


def _letterbox(planes: Planes, job: _Job) -> Planes:
    settings = job.settings
    height, width = planes[0].shape
    if job.op_type == OpType.FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT:
        box = _ext_box(job)
    else:
        box = letterbox.fit(height, width, job.frame("LETTERBOX"))
    size, method = (box.height, box.width), settings.resize_type.method
    colour = settings.padding * 3 if len(settings.padding) == 1 else settings.padding
    return [
        letterbox.pad(resize(plane, size, method), box, (value,), settings.pad_mode)
        for plane, value in zip(planes, colour, strict=False)
    ]


def _ext_box(job: _Job) -> letterbox.Letterbox:
    settings = job.settings
    if job.ext is not None:
        width, height, top, bottom, left, right = job.ext
    else:
        if settings.resize_width is None or settings.resize_height is None:
            raise RunError(f"{job.op_type.name} needs ResizeWidth and ResizeHeight, or rgb_letterbox_ext")
        width, height = settings.resize_width, settings.resize_height
        top, bottom = settings.padding_top, settings.padding_bottom
        left, right = settings.padding_left, settings.padding_right
    if min(width, height) < 1 or min(top, bottom, left, right) < 0:
        raise RunError(f"rgb_letterbox_ext {(width, height, top, bottom, left, right)} has impossible sizes")
    return letterbox.Letterbox(height, width, top, bottom, left, right)


def _cvt_color(planes: Planes, job: _Job) -> Planes:
    """Both BGR2RGB and RGB2BGR swap the first and the third plane, whatever the input format claims."""
    return planes[::-1] if job.settings.color_cvt_code in _SWAPS else planes


_STEPS: dict[str, Callable[[Planes, _Job], Planes]] = {
    "RESIZE": _resize,
    "CROP": _crop,
    "LETTERBOX": _letterbox,
    "CVTCOLOR": _cvt_color,
}


def _tensor(planes: Planes, settings: OpSettings, channels: int) -> NDArray[np.float16]:
    height, width = planes[0].shape
    bits = np.empty((channels, height, width), np.uint16)
    for channel in range(channels):
        table = norm_table(settings.norma_type, settings.mean, settings.std, channel)
        cv2.LUT(planes[channel], table.reshape(1, 256), dst=bits[channel])
    return bits.view(np.float16)
