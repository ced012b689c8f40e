"""Changes of a picture of any vdsp format: other size, a window of it, mirrored, warped, with a border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data import letterbox
from vacc_deploy.data.letterbox import PadMode
from vacc_deploy.data.resize import ResizeMethod, resize
from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp import nv12
from vacc_deploy.runtime.vdsp.image import PLANAR, Image, ImageFormat
from vacc_deploy.runtime.vdsp.settings import ResizeType


def resize_image(image: Image, size: tuple[int, int], kind: ResizeType) -> Image:
    """Resize a picture of any format to `size` (height, width).

    Raises:
        RunError: The size is not positive.
    """
    if min(size) < 1:
        raise RunError(f"cannot resize a picture to {size[1]}x{size[0]} pixels")
    if image.format == ImageFormat.YUV_NV12:
        return nv12.resize_nv12(image, size, kind.method)
    return _each_plane(image, lambda plane: resize(plane, size, kind.method))


def crop_image(image: Image, x: int, y: int, width: int, height: int) -> Image:
    """Cut a window out of a picture of any format.

    Raises:
        RunError: The window leaves the picture.
    """
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > image.width or y + height > image.height:
        raise RunError(
            f"cannot crop {width}x{height} at ({x}, {y}) out of {image.width}x{image.height} pixels"
        )
    if image.format == ImageFormat.YUV_NV12:
        return nv12.crop_nv12(image, x, y, width, height)
    return _each_plane(image, lambda plane: plane[y : y + height, x : x + width])


def flip_image(image: Image, axis: int) -> Image:
    """Turn a picture of any format upside down (`axis` 0), or exchange left and right (1)."""
    return _each_plane(image, lambda plane: np.flip(plane, axis))


def warp_image(
    image: Image, matrix: Sequence[float], method: ResizeMethod, value: tuple[int, ...] = (0, 0, 0)
) -> Image:
    """Affine warp to a picture of the same size; `matrix` is the 2×3 one that maps source to result (OpenCV).

    Args:
        image: A picture of any format; the chroma of NV12 moves half as far.
        matrix: Six numbers, row by row.
        method: ``nearest`` or ``bilinear_cv``.
        value: What comes in from outside, per channel (Y, U, V for NV12).
    """
    forward = np.asarray(matrix, np.float64).reshape(2, 3)
    flag = cv2.INTER_NEAREST if method == "nearest" else cv2.INTER_LINEAR

    def warp(plane: NDArray[Any], transform: NDArray[np.float64], fill: tuple[int, ...]) -> NDArray[Any]:
        size = (plane.shape[1], plane.shape[0])
        warped: NDArray[Any] = cv2.warpAffine(
            np.ascontiguousarray(plane), transform, size, flags=flag, borderValue=fill
        )
        return warped

    if image.format == ImageFormat.YUV_NV12:
        half = forward.copy()
        half[:, 2] /= 2
        luma, chroma = nv12.planes(image)
        return nv12.assemble(warp(luma, forward, value[:1]), warp(chroma, half, tuple(value[1:3])))
    if image.format in PLANAR:
        planes = [warp(plane, forward, (value[c % len(value)],)) for c, plane in enumerate(image.array)]
        return Image.from_planes(planes, image.format)
    return Image(warp(image.array, forward, value), image.format)


def add_border(
    image: Image, edges: tuple[int, int, int, int], value: tuple[int, ...], mode: PadMode = "constant"
) -> Image:
    """Borders around a picture.

    Args:
        image: A picture of any format.
        edges: Rows and columns to add: top, bottom, left, right.
        value: The colour of constant borders, per channel (Y, U, V for NV12).
        mode: See `letterbox.pad`.

    Raises:
        RunError: An edge is negative, or odd where the picture is NV12.
    """
    if min(edges) < 0:
        raise RunError(f"borders {edges} cannot be negative")
    if image.format == ImageFormat.YUV_NV12:
        return _add_border_nv12(image, edges, value * 3 if len(value) == 1 else value, mode)
    box = letterbox.Letterbox(image.height, image.width, *edges)
    if image.format in PLANAR:
        planes = [letterbox.pad(p, box, (value[c % len(value)],), mode) for c, p in enumerate(image.array)]
        return Image.from_planes(planes, image.format)
    return Image(letterbox.pad(image.array, box, value, mode), image.format)


def _add_border_nv12(
    image: Image, edges: tuple[int, int, int, int], value: tuple[int, ...], mode: PadMode
) -> Image:
    if any(edge % 2 for edge in edges):
        raise RunError(f"borders of an NV12 picture are even numbers, not {edges}")
    top, bottom, left, right = (edge // 2 for edge in edges)
    luma, chroma = nv12.planes(image)
    luma_box = letterbox.Letterbox(image.height, image.width, *edges)
    chroma_box = letterbox.Letterbox(image.height // 2, image.width // 2, top, bottom, left, right)
    padded = letterbox.pad(chroma, chroma_box, value[1:3], mode)
    return nv12.assemble(letterbox.pad(luma, luma_box, value[:1], mode), padded)


def _each_plane(image: Image, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Image:
    """Apply `change` to H×W or H×W×C arrays so that the whole picture is covered."""
    if image.format == ImageFormat.YUV_NV12:
        luma, chroma = nv12.planes(image)
        return nv12.assemble(change(luma), np.ascontiguousarray(change(chroma)))
    if image.format in PLANAR:
        return Image.from_planes([change(plane) for plane in image.array], image.format)
    return Image(np.ascontiguousarray(change(image.array)), image.format)
