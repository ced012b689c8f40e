"""SINGLE_OP_*: one uint8 picture in, one or more uint8 pictures out."""

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
from vacc_deploy.runtime.vdsp.cvt_color import convert_by_code, convert_format
from vacc_deploy.runtime.vdsp.image import PLANAR, Image, ImageFormat
from vacc_deploy.runtime.vdsp.op_type import OpType
from vacc_deploy.runtime.vdsp.settings import ColorCvtCode, OpSettings, ResizeType

Output = tuple[ImageFormat, int, int]  # format, width, height: what the caller has made room for

_NEAREST_WARP = 0
FLIP_X_AXIS = 0  # upside down
FLIP_Y_AXIS = 1  # left becomes right


def run_single(
    op_type: OpType, settings: OpSettings, image: Image, outputs: Sequence[Output] | None = None
) -> list[Image]:
    """Run a SINGLE_OP on one picture.

    Args:
        op_type: Which one.
        settings: Its attributes.
        image: A picture of any format.
        outputs: Format, width and height of each result, where the caller names them; they stand in for
            OimageFormat, OimageWidth and OimageHeight.

    Raises:
        RunError: A size is missing or does not fit.
    """
    return _RUNNERS[op_type](settings, image, list(outputs or ()))


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
    """Mirror a picture at its horizontal (`FLIP_X_AXIS`) or vertical (`FLIP_Y_AXIS`) middle line."""
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


def _output_size(settings: OpSettings, outputs: list[Output], op: str) -> tuple[int, int]:
    if outputs:
        return outputs[0][2], outputs[0][1]
    height, width = settings.oimage_height, settings.oimage_width
    if height is None or width is None:
        height, width = settings.resize_height, settings.resize_width
    if height is None or width is None:
        raise RunError(f"{op} needs OimageWidth and OimageHeight")
    return height, width


def _resize(settings: OpSettings, image: Image, outputs: list[Output]) -> list[Image]:
    return [resize_image(image, _output_size(settings, outputs, "SINGLE_OP_RESIZE"), settings.resize_type)]


def _crop(settings: OpSettings, image: Image, outputs: list[Output]) -> list[Image]:
    width, height = settings.crop_width, settings.crop_height
    if width is None or height is None:
        height, width = _output_size(settings, outputs, "SINGLE_OP_CROP")
    return [crop_image(image, *_numbers(settings.crop_x, settings.crop_y, width, height))]


def _cvt_color(settings: OpSettings, image: Image, outputs: list[Output]) -> list[Image]:
    target = outputs[0][0] if outputs else settings.oimage_format
    if settings.color_cvt_code == ColorCvtCode.NO_CHANGE and target is not None:
        return [convert_format(image, target, settings.color_space)]
    return [convert_by_code(image, settings.color_cvt_code, settings.color_space)]


def _batch_crop_resize(settings: OpSettings, image: Image, outputs: list[Output]) -> list[Image]:
    columns = [settings.crop_x, settings.crop_y, settings.crop_width, settings.crop_height]
    rows = list(zip(*(c if isinstance(c, tuple) else (c,) for c in columns), strict=False))
    count = settings.crop_num if settings.crop_num is not None else len(rows)
    if len(rows) < count or count < 1:
        raise RunError(f"SINGLE_OP_BATCH_CROP_RESIZE needs {count} windows, {len(rows)} are given")
    size = _output_size(settings, outputs, "SINGLE_OP_BATCH_CROP_RESIZE")
    windows = [crop_image(image, *_numbers(*row)) for row in rows[:count]]
    return [resize_image(window, size, settings.resize_type) for window in windows]


def _warp_affine(settings: OpSettings, image: Image, _outputs: list[Output]) -> list[Image]:
    method: ResizeMethod = "nearest" if settings.flags == _NEAREST_WARP else "bilinear_cv"
    return [warp_image(image, settings.m, method, settings.border_value)]


def _flip(settings: OpSettings, image: Image, _outputs: list[Output]) -> list[Image]:
    return [flip_image(image, settings.direction)]


def _scale(settings: OpSettings, image: Image, outputs: list[Output]) -> list[Image]:
    sizes = [(h, w) for _, w, h in outputs] or [_output_size(settings, [], "SINGLE_OP_SCALE")]
    return [resize_image(image, size, settings.resize_type) for size in sizes]


def _copy_make_border(settings: OpSettings, image: Image, _outputs: list[Output]) -> list[Image]:
    if settings.resize_height is not None and settings.resize_width is not None:
        image = resize_image(image, (settings.resize_height, settings.resize_width), settings.resize_type)
    edges = (settings.edge_top, settings.edge_bottom, settings.edge_left, settings.edge_right)
    return [add_border(image, edges, settings.padding, settings.pad_mode)]


def _numbers(*values: int | tuple[int, ...] | None) -> tuple[int, int, int, int]:
    """x, y, width, height of one window."""
    if len(values) != 4 or not all(isinstance(value, int) for value in values):
        raise RunError("a crop needs CropX, CropY, CropWidth and CropHeight as single numbers")
    x, y, width, height = (int(value) for value in values if isinstance(value, int))
    return x, y, width, height


_RUNNERS: dict[OpType, Callable[[OpSettings, Image, list[Output]], list[Image]]] = {
    OpType.SINGLE_OP_RESIZE: _resize,
    OpType.SINGLE_OP_CROP: _crop,
    OpType.SINGLE_OP_CVT_COLOR: _cvt_color,
    OpType.SINGLE_OP_BATCH_CROP_RESIZE: _batch_crop_resize,
    OpType.SINGLE_OP_WARP_AFFINE: _warp_affine,
    OpType.SINGLE_OP_FLIP: _flip,
    OpType.SINGLE_OP_SCALE: _scale,
    OpType.SINGLE_OP_COPY_MAKE_BORDER: _copy_make_border,
}
