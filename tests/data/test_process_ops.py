"""The vendor's meaning of every process op, against the arithmetic written out."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from vacc_deploy.data import apply_process_ops
from vacc_deploy.errors import ConfigError, DataError

RGB = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)
DECODE = {"type": "DecodeImage"}
TENSOR = {"type": "ToTensor"}


def run(*ops: dict[str, Any], shape: tuple[int, ...] | None = None, rgb: Any = RGB) -> Any:
    return apply_process_ops(rgb, [DECODE, *ops, TENSOR], shape)[0].transpose(1, 2, 0)


NORMALIZE = {
    # what the file gives → (divisor, mean, std)
    "nothing": ({}, 255.0, 0.0, 1.0),
    "norm type null": ({"norm_type": None}, 255.0, 0.0, 1.0),
    "norm type as a string": ({"norm_type": "None"}, 255.0, 0.0, 1.0),
    "div255 true": ({"norm_type": None, "div255": True}, 255.0, 0.0, 1.0),
    "div255 false": ({"norm_type": None, "div255": False}, 1.0, 0.0, 1.0),
    "mean and std": ({"mean": [0.5] * 3, "std": [0.25] * 3}, 255.0, 0.5, 0.25),
    "mean and std on 0..255": ({"mean": [127.5] * 3, "std": [128.0] * 3, "div255": False}, 1.0, 127.5, 128.0),
    "div255 null counts as false": (
        {"mean": [127.5] * 3, "std": [128.0] * 3, "div255": None},
        1.0,
        127.5,
        128.0,
    ),
    "one mean for all channels": ({"mean": [0.5], "std": [0.5]}, 255.0, 0.5, 0.5),
}


@pytest.mark.parametrize("case", NORMALIZE.values(), ids=NORMALIZE.keys())
def test_normalize(case: tuple[dict[str, Any], float, float, float]) -> None:
    parameters, divisor, mean, std = case
    expected = (RGB.astype(np.float32) / np.float32(divisor) - np.float32(mean)) / np.float32(std)
    np.testing.assert_array_equal(run({"type": "Normalize", **parameters}), expected)


def test_to_tensor_divides_by_nothing() -> None:
    np.testing.assert_array_equal(run(), RGB.astype(np.float32))


def test_a_default_in_a_typed_record_is_not_a_given_value() -> None:
    pydantic = pytest.importorskip("vacc_deploy.config.process_ops")
    op = pydantic.Normalize(type="Normalize", mean=[0.5] * 3, std=[0.5] * 3)
    expected = (RGB.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    np.testing.assert_array_equal(apply_process_ops(RGB, [op], None)[0].transpose(1, 2, 0), expected)


PILLOW = Image.fromarray(RGB)
RESIZES = {
    "size is height, width": ({"size": [20, 30]}, lambda: cv2.resize(RGB, (30, 20))),
    "one number is both": ({"size": 24}, lambda: cv2.resize(RGB, (24, 24))),
    "bicubic": (
        {"size": [20, 30], "interpolation": "bicubic"},
        lambda: cv2.resize(RGB, (30, 20), interpolation=2),
    ),
    "pillow": ({"size": [20, 30], "backend": "pillow"}, lambda: np.asarray(PILLOW.resize((30, 20), 2))),
    "pillow bicubic": (
        {"size": [20, 30], "backend": "pillow", "interpolation": "bicubic"},
        lambda: np.asarray(PILLOW.resize((30, 20), 3)),
    ),
    "long side": ({"size": [30, -1], "adaptive_side": "long"}, lambda: cv2.resize(RGB, (30, 20))),
    "long side with a full pair": (
        {"size": [30, 99], "adaptive_side": "long"},
        lambda: cv2.resize(RGB, (30, 20)),
    ),
    "short side": ({"size": [20, -1], "adaptive_side": "short"}, lambda: cv2.resize(RGB, (30, 20))),
}


@pytest.mark.parametrize("case", RESIZES.values(), ids=RESIZES.keys())
def test_resize(case: tuple[dict[str, Any], Any]) -> None:
    parameters, expected = case
    np.testing.assert_array_equal(run({"type": "Resize", **parameters}), expected())


def test_pad_centres_on_114_in_a_square_of_the_resize() -> None:
    out = run(
        {"type": "Resize", "size": [30, -1], "adaptive_side": "long"}, {"type": "Pad", "pad_to_square": True}
    )
    assert out.shape == (30, 30, 3)
    assert (out[:5] == 114).all()
    assert (out[25:] == 114).all()
    np.testing.assert_array_equal(out[5:25], cv2.resize(RGB, (30, 20)))


def test_center_crop_rounds_its_corner_down() -> None:
    out = run({"type": "CenterCrop", "crop_size": [15, 21]})
    np.testing.assert_array_equal(out, RGB[12:27, 19:40])


def test_vdsr_takes_the_y_plane() -> None:
    out = run({"type": "CvtColor", "code": "COLOR_RGB2YCrCb"}, {"type": "ChannelSplit", "index": 0})
    np.testing.assert_array_equal(out[:, :, 0], cv2.cvtColor(RGB, cv2.COLOR_RGB2YCrCb)[:, :, 0])


@pytest.mark.parametrize("code", ["COLOR_RGB2BGR", "COLOR_BGR2RGB"])
def test_both_swaps_swap(code: str) -> None:
    np.testing.assert_array_equal(run({"type": "CvtColor", "code": code}), RGB[:, :, ::-1])


def test_grayscale_decoding() -> None:
    out = apply_process_ops(RGB, [{"type": "DecodeImage", "cv2_flags": 0}, TENSOR], (1, 1, 40, 60))
    np.testing.assert_array_equal(out[0, 0], cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY))


REFUSED = {
    "unknown op": ({"type": "LetterBox"}, "unknown process op 'LetterBox'"),
    "custom code": (
        {"type": "CustomFunc", "module_path": "a.py", "func_name": "f"},
        "CustomFunc would run 'f'",
    ),
    "open side": ({"type": "Resize", "size": [640, -1]}, "leaves a side open"),
    "no size": ({"type": "Resize"}, "size None is not"),
    "unknown kernel": ({"type": "Resize", "size": 8, "interpolation": "lanczos"}, "no resize 'cv2/lanczos'"),
    "unknown colour": ({"type": "CvtColor", "code": "COLOR_RGB2XYZ"}, "unknown colour conversion"),
    "mean alone": ({"type": "Normalize", "mean": [0.5]}, "both mean and std"),
    "std of zero": ({"type": "Normalize", "mean": [0.5], "std": [0.0]}, "a std of 0"),
    "means of another channel count": (
        {"type": "Normalize", "mean": [0.1, 0.2], "std": [1, 1]},
        "2 values of mean",
    ),
    "crop larger than the picture": ({"type": "CenterCrop", "crop_size": [224, 224]}, "cannot crop 224×224"),
    "channel that is not there": ({"type": "ChannelSplit", "index": 3}, "3 channel"),
    "pad without square": ({"type": "Pad"}, "pad_to_square"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_the_entry(case: tuple[dict[str, Any], str]) -> None:
    op, message = case
    with pytest.raises(ConfigError, match=message) as caught:
        run(op)
    assert caught.value.where == f"process_ops[1] {op['type']}"


def test_result_must_fit_the_network() -> None:
    with pytest.raises(DataError, match="3×40×60, the network takes 3×256×256") as caught:
        run(shape=(1, 3, 256, 256))
    assert "[256, 256]" in str(caught.value.hint)
    with pytest.raises(DataError, match="the network takes 1×40×60") as caught:
        run(shape=(1, 1, 40, 60))
    assert "ChannelSplit" in str(caught.value.hint)


def test_nan_is_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        run({"type": "Normalize", "mean": [float("nan")] * 3, "std": [1.0] * 3})
