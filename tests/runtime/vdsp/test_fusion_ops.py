"""Fusion ops against the arithmetic of vdsp_params.md written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from vacc_deploy.config import load_vdsp_params, vdsp_names
from vacc_deploy.errors import ConfigError, RunError, VdeployError
from vacc_deploy.runtime.vdsp import ColorCvtCode, Image, ImageFormat, OpType, ResizeType, VdspOp
from vacc_deploy.runtime.vdsp.norm_table import NormaType

RGB = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
PLANAR = Image(np.ascontiguousarray(RGB.transpose(2, 0, 1)), ImageFormat.RGB_PLANAR)
RESIZE = "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR"
CROP = "FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR"
LETTERBOX = "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR"
EXT = "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT"
SHAPE = (1, 3, 32, 48)


def op(name: str = RESIZE, **config: Any) -> VdspOp:
    return VdspOp.from_config(name, {"NormaType": "EQUAL", **config})


def chw(picture: Any) -> Any:
    return picture.transpose(2, 0, 1)


NORMS: dict[str, tuple[dict[str, Any], Any]] = {
    "EQUAL": ({}, lambda x: x),
    "DIV255": ({}, lambda x: x / np.float32(255)),
    "DIV1275_MINUSONE": ({}, lambda x: x / np.float32(127.5) - np.float32(1)),
    "MINUSMEAN_DIVSTD": (
        {"Mean": [123.675] * 3, "Std": [58.395] * 3},
        lambda x: (x - np.float32(123.6875)) / np.float32(58.40625),
    ),
    "DIV255_MINUSMEAN_DIVSTD": (
        {"Mean": [0.485] * 3, "Std": [0.229] * 3},
        lambda x: (x / np.float32(255) - np.float32(0.485107421875)) / np.float32(0.22900390625),
    ),
}


@pytest.mark.parametrize("kind", NORMS)
def test_normalisation_rounds_mean_and_std_to_half_first(kind: str) -> None:
    config, formula = NORMS[kind]
    out = op(NormaType=kind, **config).run(PLANAR, input_shape=(1, 3, 60, 80))
    expected = formula(chw(RGB).astype(np.float32)).astype(np.float16)
    assert out.dtype == np.float16
    np.testing.assert_array_equal(out, expected)


def test_left_over_mean_and_std_have_no_effect() -> None:
    plain = op(NormaType="DIV255").run(PLANAR, input_shape=SHAPE)
    for std in ([5.960464477539063e-08] * 3, [0, 0, 0]):
        left_over = op(NormaType="DIV255", Mean=[9, 9, 9], Std=std)
        np.testing.assert_array_equal(left_over.run(PLANAR, input_shape=SHAPE), plain)


def test_a_std_that_counts_must_be_usable() -> None:
    with pytest.raises(ConfigError, match="is 0 in fp16"):
        op(NormaType="MINUSMEAN_DIVSTD", Mean=[0] * 3, Std=[0] * 3).run(PLANAR, input_shape=SHAPE)
    with pytest.raises(ConfigError, match="needs Mean"):
        op(NormaType="MINUSMEAN_DIVSTD").run(PLANAR, input_shape=SHAPE)


RESIZE_TYPES = {
    "BILINEAR_CV": lambda: cv2.resize(RGB, (48, 32), interpolation=cv2.INTER_LINEAR),
    "BILINEAR": lambda: cv2.resize(RGB, (48, 32), interpolation=cv2.INTER_LINEAR),
    "NEAREST": lambda: cv2.resize(RGB, (48, 32), interpolation=cv2.INTER_NEAREST),
    "BILINEAR_PILLOW": lambda: np.asarray(PillowImage.fromarray(RGB).resize((48, 32), 2)),
    "BICUBIC_PILLOW": lambda: np.asarray(PillowImage.fromarray(RGB).resize((48, 32), 3)),
}


@pytest.mark.parametrize("kind", RESIZE_TYPES)
def test_resize_types(kind: str) -> None:
    out = op(ResizeType=kind).run(PLANAR, input_shape=SHAPE)
    np.testing.assert_array_equal(out, chw(RESIZE_TYPES[kind]()))


@pytest.mark.parametrize("code", ["BGR2RGB", "RGB2BGR"])
@pytest.mark.parametrize("kind", [ImageFormat.RGB_INTERLEAVE, ImageFormat.BGR_INTERLEAVE])
def test_both_colour_codes_swap_whatever_the_format_says(code: str, kind: ImageFormat) -> None:
    out = op(ColorCvtCode=code).run(Image(RGB, kind), input_shape=(1, 3, 60, 80))
    np.testing.assert_array_equal(out, chw(RGB[:, :, ::-1]))


def test_one_channel_models_take_the_first_plane() -> None:
    out = op().run(PLANAR, input_shape=(1, 1, 60, 80))
    np.testing.assert_array_equal(out, chw(RGB)[:1])
    swapped = op(ColorCvtCode="RGB2BGR").run(PLANAR, input_shape=(1, 1, 60, 80))
    np.testing.assert_array_equal(swapped, chw(RGB)[2:])


def test_gray_counts_as_three_equal_planes() -> None:
    out = op().run(Image(RGB[:, :, 1].copy(), ImageFormat.GRAY), input_shape=(1, 3, 60, 80))
    np.testing.assert_array_equal(out, np.stack([RGB[:, :, 1]] * 3))


def test_the_models_size_rules() -> None:
    configured = op(OimageWidth=1024, OimageHeight=678)
    assert configured.run(PLANAR, input_shape=SHAPE).shape == (3, 32, 48)
    assert op(OimageWidth=48, OimageHeight=32).run(PLANAR).shape == (3, 32, 48)
    with pytest.raises(RunError, match="does not know the size"):
        op().run(PLANAR)


def test_crop_lies_at_its_corner_or_in_the_middle() -> None:
    resized = cv2.resize(RGB, (70, 50))
    out = op(CROP, ResizeWidth=70, ResizeHeight=50, CropX=5, CropY=3).run(PLANAR, input_shape=SHAPE)
    np.testing.assert_array_equal(out, chw(resized[3:35, 5:53]))
    middle = op(CROP, ResizeWidth=71, ResizeHeight=50).run(PLANAR, input_shape=SHAPE)
    np.testing.assert_array_equal(middle, chw(cv2.resize(RGB, (71, 50))[9:41, 11:59]))
    with pytest.raises(RunError, match="cannot crop"):
        op(CROP, ResizeWidth=40, ResizeHeight=50).run(PLANAR, input_shape=SHAPE)
    with pytest.raises(RunError, match="needs ResizeWidth"):
        op(CROP).run(PLANAR, input_shape=SHAPE)


def test_sizes_can_be_set_for_one_call() -> None:
    plain = op(CROP)
    out = plain.run(PLANAR, input_shape=SHAPE, resize_width=70, resize_height=50, crop_x=5, crop_y=3)
    np.testing.assert_array_equal(out, chw(cv2.resize(RGB, (70, 50))[3:35, 5:53]))
    assert plain.settings.resize_width is None
    with pytest.raises(RunError, match="no parameter 'resize_depth'"):
        plain.run(PLANAR, input_shape=SHAPE, resize_depth=1)


def test_letterbox_is_centred_on_114() -> None:
    out = op(LETTERBOX).run(PLANAR, input_shape=(1, 3, 40, 80))  # 60x80 → 40x53, 27 columns left: 13 and 14
    expected = np.full((40, 80, 3), 114, np.uint8)
    expected[:, 13:66] = cv2.resize(RGB, (53, 40))
    np.testing.assert_array_equal(out, chw(expected))


def test_letterbox_paints_each_plane_in_its_colour() -> None:
    out = op(LETTERBOX, Padding=[1, 2, 3], ColorCvtCode="RGB2BGR").run(PLANAR, input_shape=(1, 3, 60, 100))
    assert out[:, 0, 0].tolist() == [3, 2, 1]  # the letterbox comes before the swap


def test_letterbox_ext_follows_the_call_then_the_file() -> None:
    configured = op(EXT, ResizeWidth=20, ResizeHeight=10, PaddingRight=4, Padding=[127] * 3)
    np.testing.assert_array_equal(configured.run(PLANAR)[:, :, :20], chw(cv2.resize(RGB, (20, 10))))
    out = configured.run(PLANAR, rgb_letterbox_ext=[(40, 30, 1, 1, 0, 8)], input_shape=SHAPE)
    assert out.shape == (3, 32, 48)
    np.testing.assert_array_equal(out[:, 1:31, :40], chw(cv2.resize(RGB, (40, 30))))
    assert (out[:, :, 40:] == 127).all()
    with pytest.raises(RunError, match="makes 44x30 pixels, the model takes 48x32"):
        configured.run(PLANAR, rgb_letterbox_ext=(40, 30, 0, 0, 0, 4), input_shape=SHAPE)


def nv12_picture(height: int = 60, width: int = 80) -> Image:
    patches = np.random.default_rng(5).integers(110, 140, (3, 4, 3), dtype=np.uint8)
    smooth = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    i420 = cv2.cvtColor(smooth, cv2.COLOR_RGB2YUV_I420)
    uv = i420[height:].reshape(2, -1).T.reshape(height // 2, width)
    return Image(np.concatenate([i420[:height], uv]), ImageFormat.YUV_NV12)


NV12 = {name: kind for name, kind in OpType.__members__.items() if kind.takes_nv12}


@pytest.mark.parametrize("name", NV12)
def test_nv12_ops_agree_with_their_rgb_twins(name: str) -> None:
    picture = nv12_picture()
    rgb = cv2.cvtColor(picture.array, cv2.COLOR_YUV2RGB_NV12)
    twin = {
        "RESIZE_2RGB": RESIZE, "CVTCOLOR_RESIZE": RESIZE, "RESIZE_CVTCOLOR_CROP": CROP,
        "CVTCOLOR_RESIZE_CROP": CROP,
        "CROP_CVTCOLOR_RESIZE": "FUSION_OP_RGB_CROP_RESIZE_CVTCOLOR_NORM_TENSOR",
        "CVTCOLOR_LETTERBOX": LETTERBOX, "LETTERBOX_2RGB": LETTERBOX,
    }["_".join(NV12[name].steps)]  # fmt: skip
    config = {
        "ResizeWidth": 56,
        "ResizeHeight": 40,
        "CropX": 4,
        "CropY": 2,
        "CropWidth": 60,
        "CropHeight": 40,
    }
    out = op(name, **config, ColorCvtCode="YUV2RGB_NV12").run(picture, input_shape=SHAPE)
    same = op(twin, **config).run(Image(rgb, ImageFormat.RGB_INTERLEAVE), input_shape=SHAPE)
    # chroma is interpolated at half size in one and at full size in the other
    assert np.abs(out.astype(np.float32) - same.astype(np.float32)).mean() < 1.5
    swapped = op(name, **config, ColorCvtCode="YUV2BGR_NV12").run(picture, input_shape=SHAPE)
    if "CVTCOLOR" in name:
        np.testing.assert_array_equal(swapped, out[::-1])


def test_nv12_resize_makes_odd_sizes_too() -> None:
    out = op("FUSION_OP_YUV_NV12_RESIZE_2RGB_NORM_TENSOR").run(nv12_picture(), input_shape=(1, 3, 31, 47))
    assert out.shape == (3, 31, 47)


MISFITS: dict[str, tuple[Any, str]] = {
    "nv12 into an rgb op": (lambda: op().run(nv12_picture(), input_shape=SHAPE), "no RGB planes"),
    "rgb into an nv12 op": (lambda: op(next(iter(NV12))).run(PLANAR, input_shape=SHAPE), "takes a YUV_NV12"),
    "two channels": (lambda: op().run(PLANAR, input_shape=(1, 2, 8, 8)), "1 or 3 channels"),
    "no resize, wrong size": (
        lambda: op("FUSION_OP_RGB_CVTCOLOR_NORM_TENSOR").run(PLANAR, input_shape=SHAPE),
        "makes 80x60 pixels, the model takes 48x32",
    ),
    "single op before a model": (lambda: op("SINGLE_OP_FLIP").run(PLANAR), "makes no image tensor"),
    "unknown op": (lambda: op("FUSION_OP_HSV"), "unknown vdsp op"),
    "unknown kernel": (lambda: op(ResizeType="LANCZOS"), "cannot use 'LANCZOS' as ResizeType"),
    "unknown norm": (lambda: op(NormaType="DIV127"), "cannot use 'DIV127' as NormaType"),
    "float pixels": (lambda: Image(np.zeros((4, 4), np.float32), ImageFormat.GRAY), "uint8"),  # type: ignore
    "interleaved as planar": (lambda: Image(RGB, ImageFormat.RGB_PLANAR), "has shape"),
}


@pytest.mark.parametrize("case", MISFITS.values(), ids=MISFITS.keys())
def test_misfits_are_refused(case: tuple[Any, str]) -> None:
    call, message = case
    with pytest.raises(VdeployError, match=message):
        call()


def test_token_tensors_pass_through() -> None:
    tokens = [np.arange(6, dtype=np.int32)[np.newaxis]] * 6
    out = VdspOp.from_config("BERT_EMBEDDING_OP").run_tensors(tokens)
    assert all(a is b for a, b in zip(tokens, out, strict=True))


def test_unknown_keys_are_kept() -> None:
    assert op(TensorType0="FP16", Scale=[127] * 3).settings.unknown == {
        "TensorType0": "FP16",
        "Scale": [127] * 3,
    }


def test_the_file_reader_and_the_ops_know_the_same_names() -> None:
    assert set(vdsp_names.OP_TYPES) == set(OpType.__members__)
    assert set(vdsp_names.RESIZE_TYPES) == set(ResizeType.__members__)
    assert set(vdsp_names.NORMA_TYPES) == set(NormaType.__members__)
    assert set(vdsp_names.COLOR_CVT_CODES) == set(ColorCvtCode.__members__)
    assert {name: int(kind) for name, kind in ImageFormat.__members__.items()} == vdsp_names.IMAGE_FORMATS


def test_every_op_of_the_zoo_runs(shared_zoo: Path) -> None:
    count = 0
    for path in sorted(shared_zoo.rglob("*vdsp_params*/*.json")):
        (params,) = load_vdsp_params(path)
        operator = VdspOp.from_params(params)
        if operator.op_type.is_fusion:
            size = operator.settings.oimage_height or 224, operator.settings.oimage_width or 224
            extra: dict[str, Any] = {}
            if params.op_type.endswith("_EXT"):
                extra = {"rgb_letterbox_ext": (size[1], size[0], 0, 0, 0, 0)}
            elif "CROP" in operator.op_type.steps and operator.settings.resize_width is None:
                extra = {"resize_width": size[1] + 32, "resize_height": size[0] + 32}
            assert operator.run(PLANAR, input_shape=(1, 3, *size), **extra).shape == (3, *size), path
        count += 1
    assert count > 500
