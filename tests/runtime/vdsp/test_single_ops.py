"""SINGLE_OP_*: pictures in, pictures out, in every format."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp import ColorCvtCode, Image, ImageFormat, OpType, VdspOp
from vacc_deploy.runtime.vdsp.cvt_color import convert_format
from vacc_deploy.runtime.vdsp.image_changes import add_border, crop_image, flip_image, warp_image

RGB = cv2.resize(np.random.default_rng(2).integers(110, 140, (3, 4, 3), dtype=np.uint8), (40, 24))
PICTURES = {kind.name: convert_format(Image(RGB, ImageFormat.RGB_INTERLEAVE), kind) for kind in ImageFormat}
each_format = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES.keys())


def run(op_type: OpType, picture: Image, outputs: Any = None, **config: Any) -> list[Image]:
    return VdspOp.from_config(op_type.name, config).run_images(picture, outputs)


def rgb_of(picture: Image) -> Any:
    return convert_format(picture, ImageFormat.RGB_INTERLEAVE).array


def test_every_single_op_has_a_runner() -> None:
    from vacc_deploy.runtime.vdsp.single import _RUNNERS

    assert set(_RUNNERS) == {kind for kind in OpType if kind.name.startswith("SINGLE_OP_")}


@each_format
def test_resize_keeps_the_format(picture: Image) -> None:
    (out,) = run(OpType.SINGLE_OP_RESIZE, picture, OimageWidth=20, OimageHeight=12)
    assert (out.format, out.height, out.width) == (picture.format, 12, 20)
    expected = cv2.resize(rgb_of(picture), (20, 12))
    assert np.abs(rgb_of(out).astype(int) - expected).mean() < 2


@each_format
def test_crop(picture: Image) -> None:
    (out,) = run(OpType.SINGLE_OP_CROP, picture, CropX=4, CropY=6, CropWidth=10, CropHeight=8)
    np.testing.assert_array_equal(rgb_of(out), rgb_of(picture)[6:14, 4:14])
    with pytest.raises(RunError, match="cannot crop"):
        crop_image(picture, 38, 0, 10, 8)


@each_format
@pytest.mark.parametrize("axis", [0, 1])
def test_flip_twice_is_nothing(picture: Image, axis: int) -> None:
    once = flip_image(picture, axis)
    np.testing.assert_array_equal(rgb_of(once), np.flip(rgb_of(picture), axis))
    np.testing.assert_array_equal(flip_image(once, axis).array, picture.array)


@each_format
def test_border(picture: Image) -> None:
    out = add_border(picture, (2, 4, 6, 8), (10, 10, 10))
    assert (out.height, out.width) == (picture.height + 6, picture.width + 14)
    np.testing.assert_array_equal(rgb_of(crop_image(out, 6, 2, 40, 24)), rgb_of(picture))


@each_format
def test_warp_by_a_shift(picture: Image) -> None:
    out = warp_image(picture, [1, 0, 4, 0, 1, 2], "nearest")
    np.testing.assert_array_equal(
        rgb_of(crop_image(out, 4, 2, 36, 22)), rgb_of(crop_image(picture, 0, 0, 36, 22))
    )


def test_batch_crop_resize_makes_one_picture_per_window() -> None:
    picture = PICTURES["RGB_PLANAR"]
    out = run(
        OpType.SINGLE_OP_BATCH_CROP_RESIZE, picture,
        CropNum=2, CropX=[0, 10], CropY=[0, 4], CropWidth=[8, 20], CropHeight=[8, 10],
        OimageWidth=16, OimageHeight=16,
    )  # fmt: skip
    assert [(image.width, image.height) for image in out] == [(16, 16)] * 2
    np.testing.assert_array_equal(rgb_of(out[1]), cv2.resize(RGB[4:14, 10:30], (16, 16)))


def test_scale_makes_one_picture_per_output() -> None:
    kind = ImageFormat.YUV_NV12
    out = run(OpType.SINGLE_OP_SCALE, PICTURES["YUV_NV12"], [(kind, 20, 12), (kind, 10, 6)])
    assert [(image.width, image.height) for image in out] == [(20, 12), (10, 6)]


def test_copy_make_border_resizes_first() -> None:
    (out,) = run(
        OpType.SINGLE_OP_COPY_MAKE_BORDER, PICTURES["BGR_INTERLEAVE"],
        ResizeWidth=20, ResizeHeight=12, EdgeTop=1, EdgeBottom=2, EdgeLeft=3, EdgeRight=4, Padding=[7, 8, 9],
    )  # fmt: skip
    assert out.array.shape == (15, 27, 3)
    assert out.array[0, 0].tolist() == [7, 8, 9]
    np.testing.assert_array_equal(out.array[1:13, 3:23], cv2.resize(RGB[:, :, ::-1], (20, 12)))


CODES = {code.name: code for code in ColorCvtCode if code != ColorCvtCode.NO_CHANGE}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())
def test_colour_codes_keep_the_picture(code: ColorCvtCode) -> None:
    from vacc_deploy.runtime.vdsp.cvt_color import _CONVERSIONS

    source, target = _CONVERSIONS[code]
    picture = convert_format(Image(RGB, ImageFormat.RGB_INTERLEAVE), source)
    (out,) = run(OpType.SINGLE_OP_CVT_COLOR, picture, ColorCvtCode=code.name)
    assert out.format == target
    if target == ImageFormat.GRAY:
        return
    assert np.abs(rgb_of(out).astype(int) - RGB).mean() < 4  # NV12 loses some chroma
    wrong = Image(np.zeros((4, 4), np.uint8), ImageFormat.GRAY)
    with pytest.raises(RunError, match="takes a"):
        run(OpType.SINGLE_OP_CVT_COLOR, wrong, ColorCvtCode=code.name)


def test_bt709_is_another_reading_of_nv12() -> None:
    flat = Image(np.full((36, 40), 128, np.uint8), ImageFormat.YUV_NV12)
    flat.array[:24] = 126
    assert rgb_of(flat)[0, 0].tolist() == [128, 128, 128]
    out = convert_format(flat, ImageFormat.RGB_INTERLEAVE, "BT709").array
    assert out[0, 0].tolist() == [128, 128, 128]
    flat.array[24:] = 200
    bt601, bt709 = (
        convert_format(flat, ImageFormat.RGB_INTERLEAVE, s).array[0, 0, 0] for s in ("BT601", "BT709")
    )
    assert bt709 > bt601  # 1.793 against 1.596 of Cr
    with pytest.raises(RunError, match="colour space"):
        convert_format(flat, ImageFormat.RGB_INTERLEAVE, "BT2020")


def test_borders_that_continue_the_picture() -> None:
    config = dict.fromkeys(("EdgeTop", "EdgeBottom", "EdgeLeft", "EdgeRight"), 2)
    for name, flag in (
        ("REPLICATE", cv2.BORDER_REPLICATE),
        ("REFLECT", cv2.BORDER_REFLECT),
        ("REFLECT_101", cv2.BORDER_REFLECT_101),
    ):
        (out,) = run(
            OpType.SINGLE_OP_COPY_MAKE_BORDER, PICTURES["RGB_PLANAR"], EdgePaddingType=name, **config
        )
        np.testing.assert_array_equal(rgb_of(out), cv2.copyMakeBorder(RGB, 2, 2, 2, 2, flag))
    with pytest.raises(RunError, match="EdgePaddingType 'WRAP'"):
        run(OpType.SINGLE_OP_COPY_MAKE_BORDER, PICTURES["GRAY"], EdgePaddingType="WRAP", **config)
