"""Images, tensors, and the functions and operators on images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy import vsx
from vacc_deploy.errors import RunError

W, H = 6, 4
RGB = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)

FORMATS: dict[str, tuple[vsx.ImageFormat, tuple[int, ...]]] = {
    "planar": (vsx.ImageFormat.RGB_PLANAR, (3, H, W)),
    "interleaved": (vsx.ImageFormat.BGR_INTERLEAVE, (H, W, 3)),
    "nv12": (vsx.ImageFormat.YUV_NV12, (H * 3 // 2, W)),
    "gray": (vsx.ImageFormat.GRAY, (H, W)),
}


def planar() -> vsx.Image:
    return vsx.create_image(RGB.transpose(2, 0, 1), vsx.ImageFormat.RGB_PLANAR, W, H, 0)


@pytest.mark.parametrize(("kind", "shape"), FORMATS.values(), ids=FORMATS)
def test_an_image_comes_back_in_the_shape_of_its_format(
    kind: vsx.ImageFormat, shape: tuple[int, ...]
) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = vsx.create_image(pixels, kind, W, H, 0)
    assert (image.width, image.height, image.format, image.shape) == (W, H, kind, shape)
    assert np.array_equal(vsx.as_numpy(image), pixels)


@pytest.mark.parametrize(("kind", "shape"), FORMATS.values(), ids=FORMATS)
def test_an_image_is_read_from_a_raw_file(
    tmp_path: Path, kind: vsx.ImageFormat, shape: tuple[int, ...]
) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (tmp_path / "frame.raw").write_bytes(pixels.tobytes())
    by_keyword = vsx.create_image(
        rawdata_path=tmp_path / "frame.raw", format=kind, width=W, height=H, device_id=vsx.Context.CPU()
    )
    by_position = vsx.create_image(str(tmp_path / "frame.raw"), kind, W, H, 0)
    assert np.array_equal(vsx.as_numpy(by_keyword), pixels)
    assert np.array_equal(vsx.as_numpy(by_position), pixels)


def test_create_image_and_as_numpy_copy() -> None:
    pixels = RGB.copy()
    image = vsx.create_image(pixels, vsx.ImageFormat.RGB_INTERLEAVE, W, H, 0)
    pixels[:] = 0
    vsx.as_numpy(image)[:] = 0
    assert np.array_equal(vsx.as_numpy(image), RGB)


def test_float_pixels_are_rounded_and_clipped_with_a_warning() -> None:
    values = np.zeros((3, 2, 2))
    values[0] = [[-3.0, 0.5], [254.6, 300.0]]
    with pytest.warns(UserWarning, match="float64"):
        image = vsx.create_image(values, vsx.ImageFormat.RGB_PLANAR, 2, 2, 0)
    assert vsx.as_numpy(image)[0].tolist() == [[0, 0], [255, 255]]


def test_an_array_in_another_order_of_axes_is_not_transposed_silently() -> None:
    with pytest.warns(UserWarning, match="nothing is transposed"):
        vsx.create_image(RGB, vsx.ImageFormat.RGB_PLANAR, W, H, 0)


def test_a_picture_that_was_not_read_is_black_but_not_silently() -> None:
    with pytest.warns(UserWarning, match="no pixels were given"):
        image = vsx.create_image(cv2.imread("absent.png"), vsx.ImageFormat.BGR_INTERLEAVE, W, H, 0)
    assert not vsx.as_numpy(image).any()


def test_formats_may_be_the_numbers_that_attributes_hold() -> None:
    assert vsx.create_image(RGB, 5003, W, H, 0).format is vsx.ImageFormat.BGR_INTERLEAVE
    with pytest.raises(RunError, match="no image format 77"):
        vsx.create_image(RGB, 77, W, H, 0)


def test_a_wrong_size_names_both_counts() -> None:
    with pytest.raises(RunError, match=r"5x4 pixels has 60 values, the array has 72 \[3, 4, 6\]"):
        vsx.create_image(RGB.transpose(2, 0, 1), vsx.ImageFormat.RGB_PLANAR, 5, 4, 0)


TENSORS: dict[str, tuple[Any, Any]] = {
    "float16": (np.ones((1, 2), np.float16), np.float16),
    "int32": (np.ones((1, 2), np.int32), np.int32),
    "a list of floats": ([0.5, 1.5], np.float32),
}


@pytest.mark.parametrize(("values", "dtype"), TENSORS.values(), ids=TENSORS)
def test_tensors_keep_values_and_type(values: Any, dtype: Any) -> None:
    tensor = vsx.from_numpy(values, 0)
    assert vsx.as_numpy(tensor).dtype == dtype
    assert np.array_equal(vsx.as_numpy(tensor), np.asarray(values))
    assert tensor.shape == np.shape(values)
    assert tensor.size == np.size(values)
    assert tensor.addr == tensor.array.ctypes.data


def test_a_tensor_of_objects_is_refused() -> None:
    with pytest.raises(RunError, match="type <U1"):
        vsx.from_numpy(["a"], 0)


def test_enumerations_compare_equal_to_the_numbers_in_scripts() -> None:
    assert [vsx.ImageType.YUV_NV12, vsx.ImageType.RGB_PLANAR, vsx.ImageType.RGB888] == [0, 5000, 5002]
    assert vsx.ImageType.BGR888 == vsx.ImageFormat.BGR_INTERLEAVE == 5003
    assert [vsx.ColorCvtCode.YUV2RGB_NV12, vsx.ColorCvtCode.BGR2YUV_NV12_PLANAR] == [0, 14]
    assert vsx.CODEC_TYPE_HEVC == vsx.CodecType.CODEC_TYPE_H265


def test_resize_and_crop_match_opencv() -> None:
    resized = vsx.resize(planar(), vsx.ImageResizeType.BILINEAR_CV, resize_width=9, resize_height=7)
    assert np.array_equal(vsx.as_numpy(resized).transpose(1, 2, 0), cv2.resize(RGB, (9, 7)))
    window = vsx.crop(planar(), (1, 2, 3, 2))
    assert np.array_equal(vsx.as_numpy(window).transpose(1, 2, 0), RGB[2:4, 1:4])


def test_a_picture_cannot_vanish() -> None:
    image = vsx.create_image(RGB, vsx.ImageFormat.RGB_INTERLEAVE, W, H, 0)
    with pytest.raises(RunError, match="to 0x3 pixels"):
        vsx.resize(image, vsx.ImageResizeType.BILINEAR_CV, resize_width=0, resize_height=3)


def test_cvtcolor_changes_layout_and_channel_order() -> None:
    interleaved = vsx.cvtcolor(planar(), vsx.ImageFormat.BGR_INTERLEAVE)
    assert np.array_equal(vsx.as_numpy(interleaved), RGB[:, :, ::-1])
    nv12 = vsx.cvtcolor(planar(), vsx.ImageFormat.YUV_NV12, vsx.ImageColorSpace.COLOR_SPACE_BT601)
    assert nv12.shape == (6, 6)


def test_several_windows_and_several_sizes() -> None:
    windows = vsx.batch_crop_resize(
        planar(),
        [[0, 0, 2, 2], [1, 1, 4, 3]],
        vsx.ImageResizeType.BILINEAR_CV,
        resize_width=8,
        resize_height=5,
    )
    assert [(image.width, image.height) for image in windows] == [(8, 5), (8, 5)]
    scaled = vsx.scale(planar(), vsx.ImageResizeType.BILINEAR, [(3, 2), (12, 8)])
    assert [(image.width, image.height) for image in scaled] == [(3, 2), (12, 8)]


def test_border_flip_and_warp() -> None:
    framed = vsx.resize_copy_make_border(
        image=planar(),
        resize_type=vsx.ImageResizeType.NEAREST,
        resize_width=6,
        resize_height=4,
        padding_type=vsx.ImagePaddingType.PADDING_TYPE_CONSTANT,
        padding_values=(128, 127, 0),
        padding_edges=(1, 2, 3, 4),
    )
    assert (framed.width, framed.height) == (13, 7)
    assert vsx.as_numpy(framed)[:, 0, 0].tolist() == [128, 127, 0]
    assert np.array_equal(vsx.as_numpy(framed)[:, 1:5, 3:9].transpose(1, 2, 0), RGB)
    flipped = vsx.yuvflip(planar(), vsx.ImageFlipType.FLIP_TYPE_Y_AXIS)
    assert np.array_equal(vsx.as_numpy(flipped).transpose(1, 2, 0), RGB[:, ::-1])
    moved = vsx.warpaffine(
        planar(),
        matrix=[[1, 0, 2], [0, 1, 0]],
        mode=vsx.ImageWarpAffineMode.WARP_AFFINE_MODE_NEAREST,
        border_mode=vsx.ImagePaddingType.PADDING_TYPE_CONSTANT,
        value=(9, 9, 9),
    )
    assert np.array_equal(vsx.as_numpy(moved).transpose(1, 2, 0)[:, 2:], RGB[:, :-2])
    assert (vsx.as_numpy(moved)[:, :, 0] == 9).all()
