"""vaststreamx's functions on images: one call, one operator of the vdsp."""

from __future__ import annotations

from collections.abc import Sequence

from vacc_deploy.data.resize import ResizeMethod
from vacc_deploy.runtime.vdsp import ImageFormat
from vacc_deploy.runtime.vdsp import ResizeType as ImageResizeType
from vacc_deploy.runtime.vdsp.cvt_color import convert_format
from vacc_deploy.runtime.vdsp.image_changes import (
    add_border,
    crop_image,
    flip_image,
    resize_image,
    warp_image,
)
from vacc_deploy.vsx.enums import ImageColorSpace, ImageFlipType, ImagePaddingType, ImageWarpAffineMode
from vacc_deploy.vsx.image import Image

_COLOR_SPACES = {ImageColorSpace.COLOR_SPACE_BT601: "BT601", ImageColorSpace.COLOR_SPACE_BT709: "BT709"}


def cvtcolor(
    image: Image, format: ImageFormat, color_space: ImageColorSpace = ImageColorSpace.COLOR_SPACE_BT601
) -> Image:
    """The same picture in another format."""
    return Image(convert_format(image.picture, format, _COLOR_SPACES[color_space]), image.device_id)


def resize(
    image: Image, resize_type: ImageResizeType, resize_width: int = 0, resize_height: int = 0
) -> Image:
    """The picture at another size, aspect ratio not kept."""
    return Image(resize_image(image.picture, (resize_height, resize_width), resize_type), image.device_id)


def crop(image: Image, rect: Sequence[int]) -> Image:
    """A window (x, y, width, height) of the picture."""
    x, y, width, height = (int(value) for value in rect)
    return Image(crop_image(image.picture, x, y, width, height), image.device_id)


def yuvflip(image: Image, flip_type: ImageFlipType) -> Image:
    """The picture mirrored; the card does this to NV12 images only, the emulation to all."""
    return Image(flip_image(image.picture, int(flip_type)), image.device_id)


def warpaffine(
    image: Image,
    matrix: Sequence[Sequence[float]],
    mode: ImageWarpAffineMode = ImageWarpAffineMode.WARP_AFFINE_MODE_BILINEAR,
    border_mode: ImagePaddingType = ImagePaddingType.PADDING_TYPE_CONSTANT,
    value: Sequence[int] = (0, 0, 0),
) -> Image:
    """The picture moved by a 2×3 matrix (OpenCV's convention), its size kept.

    Args:
        image: The picture.
        matrix: Two rows of three numbers.
        mode: Kernel.
        border_mode: Only a constant border exists.
        value: The border's value per channel; Y, U, V for NV12.
    """
    method: ResizeMethod = (
        "nearest" if mode == ImageWarpAffineMode.WARP_AFFINE_MODE_NEAREST else "bilinear_cv"
    )
    numbers = [float(number) for row in matrix for number in row]
    return Image(
        warp_image(image.picture, numbers, method, tuple(int(item) for item in value)), image.device_id
    )


def resize_copy_make_border(
    image: Image,
    resize_type: ImageResizeType,
    resize_width: int,
    resize_height: int,
    padding_type: ImagePaddingType = ImagePaddingType.PADDING_TYPE_CONSTANT,
    padding_values: Sequence[int] = (0, 0, 0),
    padding_edges: Sequence[int] = (0, 0, 0, 0),
) -> Image:
    """The picture resized, then framed.

    Args:
        image: The picture.
        resize_type: Kernel.
        resize_width: Columns before framing.
        resize_height: Rows before framing.
        padding_type: Only a constant frame exists.
        padding_values: The frame's value per channel.
        padding_edges: Top, bottom, left and right, pixels.
    """
    resized = resize_image(image.picture, (resize_height, resize_width), resize_type)
    top, bottom, left, right = (int(edge) for edge in padding_edges)
    framed = add_border(resized, (top, bottom, left, right), tuple(int(item) for item in padding_values))
    return Image(framed, image.device_id)


def batch_crop_resize(
    image: Image,
    crop_rects: Sequence[Sequence[int]],
    resize_type: ImageResizeType,
    resize_width: int = 0,
    resize_height: int = 0,
) -> list[Image]:
    """Windows (x, y, width, height) of the picture, all resized to one size."""
    return [resize(crop(image, rect), resize_type, resize_width, resize_height) for rect in crop_rects]


def scale(image: Image, resize_type: ImageResizeType, sizes: Sequence[tuple[int, int]]) -> list[Image]:
    """The picture at several sizes (width, height)."""
    return [resize(image, resize_type, width, height) for width, height in sizes]
