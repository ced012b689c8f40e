"""Evaluation, calibration and the run stream feed a network the same bytes for the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy.data import apply_process_ops
from vacc_deploy.data.color import luma
from vacc_deploy.evaluate import get_protocol
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.processing import Preprocess
from vacc_deploy.runtime.pictures import network_picture, vdsp_op_of
from vacc_deploy.runtime.vdsp import Image, ImageFormat, VdspOp
from vacc_deploy.safe_io import write_image

RGB = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 11, 3), dtype=np.uint8), (90, 70))
HALVES: dict[str, Any] = {"Mean": [0.5] * 3, "Std": [0.5] * 3}
DECODE, TENSOR = {"type": "DecodeImage"}, {"type": "ToTensor"}

# protocol → (picture size H×W, network input, OpConfig, process_ops between decoding and tensor)
CASES: dict[str, tuple[tuple[int, int], tuple[int, ...], dict[str, Any], list[dict[str, Any]]]] = {
    "vdsr_vamp": (
        (70, 90), (1, 1, 64, 64), {"NormaType": "DIV255"},
        [{"type": "CvtColor", "code": "COLOR_RGB2YCrCb"}, {"type": "Resize", "size": [64, 64]},
         {"type": "ChannelSplit", "index": 0}, {"type": "Normalize", "norm_type": "None"}],
    ),
    "lesrcnn_vsx": (
        (70, 90), (1, 3, 48, 64), {"NormaType": "DIV255"},
        [{"type": "Resize", "size": [48, 64]}, {"type": "Normalize", "norm_type": None}],
    ),
    "gpen": (
        (70, 90), (1, 3, 64, 64), {"NormaType": "DIV255_MINUSMEAN_DIVSTD", **HALVES},
        [{"type": "Resize", "size": [64, 64]}, {"type": "Normalize", "mean": [0.5] * 3, "std": [0.5] * 3}],
    ),
    "sparnet_vendor": (
        (8, 8), (1, 3, 64, 64), {"NormaType": "DIV255_MINUSMEAN_DIVSTD", **HALVES},
        [{"type": "Resize", "size": [64, 64]}, {"type": "Normalize", "mean": [0.5] * 3, "std": [0.5] * 3}],
    ),
    "rgb": (
        (64, 64), (1, 3, 64, 64), {"NormaType": "DIV255"},
        [{"type": "Resize", "size": [64, 64]}, {"type": "Normalize", "div255": True, "norm_type": None}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_same_picture_gives_the_same_input(name: str, tmp_path: Path) -> None:
    size, shape, config, ops = CASES[name]
    picture = cv2.resize(RGB, (size[1], size[0]))
    write_image(tmp_path / "lr.png", picture)
    write_image(tmp_path / "hr.png", RGB)
    pair = Pair("x", tmp_path / "hr.png", tmp_path / "lr.png")
    evaluated = get_protocol(name).load(pair, (shape[2], shape[3])).network_input

    planes = np.stack([luma(picture)] * 3) if shape[1] == 1 else picture.transpose(2, 0, 1)
    op = VdspOp.from_config("FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", config)
    streamed = op.run(Image(np.ascontiguousarray(planes), ImageFormat.RGB_PLANAR), input_shape=shape)
    calibrated = apply_process_ops(picture, [DECODE, *ops, TENSOR], shape)

    np.testing.assert_array_equal(evaluated.astype(np.float16)[0], streamed)
    np.testing.assert_array_equal(evaluated, calibrated)


def test_the_generic_protocol_feeds_what_a_recipes_run_stream_feeds(tmp_path: Path) -> None:
    """With a mean and std that fp16 cannot hold, which the card stores in fp16."""
    write_image(tmp_path / "lr.png", RGB)
    recipe = Preprocess(size=(48, 64), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pair = Pair("x", tmp_path / "lr.png", tmp_path / "lr.png")
    evaluated = get_protocol("rgb", recipe).load(pair, (48, 64)).network_input
    streamed = vdsp_op_of(recipe).run(network_picture(RGB, luma_only=False), input_shape=(1, 3, 48, 64))
    np.testing.assert_array_equal(evaluated.astype(np.float16)[0], streamed)
