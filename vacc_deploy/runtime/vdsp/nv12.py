"""NV12 pictures: resize, crop and the way to and from RGB."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import ResizeMethod, resize
from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp.image import Image, ImageFormat

# Y'CbCr limited range to RGB: Cr→R, Cb→G, Cr→G, Cb→B (ITU-R BT.709, scaled by 255/224).
_BT709 = (1.792741, -0.213249, -0.532909, 2.112402)


def planes(image: Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The Y plane (H, W) and the UV pairs (H/2, W/2, 2), as views."""
    height, width = image.height, image.width
    return image.array[:height], image.array[height:].reshape(height // 2, width // 2, 2)


def assemble(luma: NDArray[Any], chroma: NDArray[Any]) -> Image:
    """The NV12 picture of a Y plane (H, W) and UV pairs (H/2, W/2, 2)."""
    return Image(np.concatenate([luma, chroma.reshape(-1, luma.shape[1])]), ImageFormat.YUV_NV12)


def even(value: int) -> int:
    """The next even number: half-size chroma has no odd pixels."""
    return value + value % 2


def resize_nv12(image: Image, size: tuple[int, int], method: ResizeMethod) -> Image:
    """Resize luma and chroma separately to `size` (height, width), rounded up to even numbers."""
    height, width = even(size[0]), even(size[1])
    luma, chroma = planes(image)
    return assemble(resize(luma, (height, width), method), resize(chroma, (height // 2, width // 2), method))


def crop_nv12(image: Image, x: int, y: int, width: int, height: int) -> Image:
    """Crop; odd numbers move to the even ones that NV12 can express (x, y down; width, height up)."""
    x, y, width, height = x - x % 2, y - y % 2, even(width), even(height)
    luma, chroma = planes(image)
    cropped = chroma[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
    return assemble(luma[y : y + height, x : x + width], np.ascontiguousarray(cropped))


def to_rgb(image: Image, color_space: str = "BT601") -> NDArray[np.uint8]:
    """The RGB picture (H, W, 3) of limited-range NV12.

    Raises:
        RunError: The colour space is neither BT601 nor BT709.
    """
    if color_space.endswith("BT601"):
        rgb: NDArray[np.uint8] = cv2.cvtColor(image.array, cv2.COLOR_YUV2RGB_NV12)
        return rgb
    if not color_space.endswith("BT709"):
        raise RunError(f"unknown colour space '{color_space}'", hint="BT601 or BT709")
    luma, chroma = planes(image)
    y = (luma.astype(np.float32) - 16) * np.float32(255 / 219)
    cb, cr = (np.repeat(np.repeat(chroma[:, :, c].astype(np.float32) - 128, 2, 0), 2, 1) for c in (0, 1))
    red, green, blue = y + _BT709[0] * cr, y + _BT709[1] * cb + _BT709[2] * cr, y + _BT709[3] * cb
    picture: NDArray[np.float32] = np.stack([red, green, blue], axis=2)
    rounded: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return rounded


def from_rgb(rgb: NDArray[np.uint8]) -> Image:
    """The limited-range BT.601 NV12 picture of an RGB one (H, W, 3).

    Raises:
        RunError: A side is odd.
    """
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        raise RunError(f"NV12 needs even sides, the picture is {width}x{height}")
    i420 = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YUV_I420)
    quarter = i420[height:].reshape(2, height // 2, width // 2)
    return assemble(i420[:height], np.ascontiguousarray(quarter.transpose(1, 2, 0)))
