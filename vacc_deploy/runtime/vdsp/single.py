"""SINGLE_OP_*: one uint8 picture in, one or more uint8 pictures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vacc_deploy.data.resize import ResizeMethod
from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp.cvt_color import convert_by_code, convert_format
from vacc_deploy.runtime.vdsp.image import Image, ImageFormat
from vacc_deploy.runtime.vdsp.image_changes import (
    add_border,
    crop_image,
    flip_image,
    resize_image,
    warp_image,
)
from vacc_deploy.runtime.vdsp.op_type import OpType
from vacc_deploy.runtime.vdsp.settings import ColorCvtCode, OpSettings

Output = tuple[ImageFormat, int, int]  # format, width, height: what the caller has made room for

_NEAREST_WARP = 0


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
