"""VDSR at one fixed size on Set5 scale 4: the zoo's two scripts, and the one behind the card's 30.958 dB.

The low-resolution pictures are already enlarged (``baby_GT_scale_4.bmp``); picture and ground truth are both
squeezed to the network's 256×256, and 4 pixels are cut off at every side.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.color import luma
from vacc_deploy.data.resize import resize
from vacc_deploy.evaluate.luma import luma_pillow
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.evaluate.protocol import (
    EvaluationProtocol,
    Sample,
    Score,
    clip_round,
    protocol,
    to_network,
    to_pixels,
)
from vacc_deploy.evaluate.psnr import psnr, shave
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.safe_io import read_image

_SHAVE = 4
_IDENTICAL_DB = 100.0  # what the zoo's PSNR returns for equal pictures


@protocol("vdsr_vamp", "VDSR at 256x256, Set5 x4: OpenCV Y, output rounded to 8 bits (zoo vamp_eval.py)")
class VdsrVamp(EvaluationProtocol):
    """The zoo's ``vamp_eval.py``: full-range OpenCV Y, bilinear to the network's size, rounded output."""

    scale = 4
    default_size: ClassVar[tuple[int, int] | None] = (256, 256)

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        shape = size or (256, 256)
        low = resize(self._luma(read_image(pair.lr or pair.hr)), shape, "bilinear_cv")
        return Sample(to_network(low, 255.0), resize(self._luma(read_image(pair.hr)), shape, "bilinear_cv"))

    def _luma(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return luma(rgb)

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels(output * np.float32(255.0))

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
        return clip_round(picture)

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own, target = shave(self._pixels(picture), _SHAVE), shave(sample.target, _SHAVE)
        return Score(min(psnr(own, target), _IDENTICAL_DB), ssim_gaussian(own, target))


@protocol("vdsr_vsx", "VDSR at 256x256, Set5 x4: OpenCV Y, output kept as float (zoo vsx_inference.py)")
class VdsrVsx(VdsrVamp):
    """The zoo's ``vsx_inference.py``: as vamp_eval, but nothing is rounded."""

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(picture, 0.0, 255.0)


@protocol("vdsr_pil", "VDSR at 256x256, Set5 x4: Pillow Y, output kept as float (the card's 30.958 dB)")
class VdsrPil(VdsrVsx):
    """Pillow's Y plane, which the official demo reads with; reproduces the published 30.958 dB."""

    def _luma(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return luma_pillow(rgb)
