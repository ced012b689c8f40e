"""Metrics against scikit-image, MATLAB's own numbers, and values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vacc_deploy.data.color import luma
from vacc_deploy.errors import DataError
from vacc_deploy.evaluate.imresize import imresize
from vacc_deploy.evaluate.luma import luma_bt601, luma_bt601_8bit, luma_pillow
from vacc_deploy.evaluate.psnr import psnr, shave
from vacc_deploy.evaluate.ssim import ssim_gaussian, ssim_uniform
from vacc_deploy.safe_io import read_image

RNG = np.random.default_rng(11)
FIRST = cv2.resize(RNG.integers(0, 256, (12, 14, 3), dtype=np.uint8), (56, 48))
SECOND = np.clip(FIRST.astype(int) + RNG.integers(-20, 20, FIRST.shape), 0, 255).astype(np.uint8)


def test_psnr_of_a_known_difference() -> None:
    flat = np.full((4, 4), 100, np.uint8)
    assert psnr(flat, flat + 10) == pytest.approx(20 * math.log10(25.5))
    assert psnr(flat, flat) == math.inf
    assert psnr(np.zeros(4, np.uint8), np.full(4, 255, np.uint8)) == 0.0  # no wrap-around of uint8


def test_shave() -> None:
    assert shave(FIRST, 4).shape == (40, 48, 3)
    assert shave(FIRST, 0) is FIRST


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image(channels: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first, second = (FIRST, SECOND) if channels == 3 else (FIRST[:, :, 0], SECOND[:, :, 0])
    axis = -1 if channels == 3 else None
    uniform = metrics.structural_similarity(first, second, channel_axis=axis, data_range=255)
    assert ssim_uniform(first, second) == pytest.approx(uniform, abs=1e-9)
    gaussian = metrics.structural_similarity(
        first, second, channel_axis=axis, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, truncate=3.3,
    )  # fmt: skip
    assert ssim_gaussian(first, second) == pytest.approx(gaussian, abs=1e-9)
    assert ssim_gaussian(first, first) == pytest.approx(1.0)


def test_ssim_needs_its_window() -> None:
    with pytest.raises(DataError, match="at least 11x11"):
        ssim_gaussian(FIRST[:10], SECOND[:10])


def test_luma_conversions() -> None:
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    assert (luma_bt601(white)[0, 0], luma_bt601(black)[0, 0]) == (pytest.approx(235), 16)
    assert luma_bt601_8bit(white).dtype == np.uint8
    np.testing.assert_array_equal(
        luma_pillow(FIRST), np.asarray(Image.fromarray(FIRST).convert("YCbCr"))[:, :, 0]
    )
    np.testing.assert_array_equal(
        luma(FIRST), cv2.cvtColor(FIRST[:, :, ::-1].copy(), cv2.COLOR_BGR2YCrCb)[:, :, 0]
    )
    red = np.array([[[200, 0, 0]]], np.uint8)
    assert luma_bt601(red)[0, 0] == pytest.approx(16 + 200 * 65.481 / 255)


def test_imresize_keeps_planes_that_bicubic_reproduces() -> None:
    flat = np.full((9, 12), 3.25)
    np.testing.assert_allclose(imresize(flat, 1 / 3), np.full((3, 4), 3.25), rtol=1e-13)
    ramp = np.add.outer(np.arange(40.0), np.arange(40.0))
    inner = imresize(ramp, 2.0)[16:-16, 16:-16]
    expected = np.add.outer(np.arange(80) / 2 - 0.25, np.arange(80) / 2 - 0.25)[16:-16, 16:-16]
    np.testing.assert_allclose(inner, expected, atol=1e-12)
    assert imresize(np.zeros((7, 5)), 0.5).shape == (4, 3)


def test_imresize_of_an_impulse_is_the_kernel() -> None:
    impulse = np.zeros((1, 9))
    impulse[0, 4] = 1.0
    doubled = imresize(impulse, 2.0)[0] * 1.0
    # Keys' kernel (a = -0.5) at distances 0.25, 0.75, 1.25, 1.75 from the impulse
    np.testing.assert_allclose(doubled[9:13], [0.8671875, 0.2265625, -0.0703125, -0.0234375], atol=1e-15)


@pytest.mark.golden
def test_imresize_makes_the_stored_quarter_planes(shared_data: Path) -> None:
    with np.load(shared_data / "vdsr" / "set5_x4_lr_y.npz") as stored:
        rgb = read_image(shared_data / "set5_vdsr" / "butterfly_GT.bmp")
        for scale in (2, 3, 4):
            rgb = rgb[: rgb.shape[0] - rgb.shape[0] % scale, : rgb.shape[1] - rgb.shape[1] % scale]
        own = imresize(luma_bt601(rgb), 1 / 4)
        np.testing.assert_allclose(own, stored["butterfly_lr_y"], atol=2e-5)  # stored as float32
