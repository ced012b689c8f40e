"""VDSR at the pictures' own sizes: the official eval.py, whose inputs MATLAB made.

The low-resolution picture is computed from the ground truth in double precision; nothing is rounded to 8 bits
on the way, and the Y plane is the limited-range one that VDSR was trained on.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.evaluate.imresize import imresize
from vacc_deploy.evaluate.luma import luma_bt601
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.evaluate.protocol import (
    EvaluationProtocol,
    Sample,
    Score,
    protocol,
    to_network,
    to_pixels,
)
from vacc_deploy.evaluate.psnr import psnr, shave
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.safe_io import read_image


class _MultiSize(EvaluationProtocol):
    low_resolution: ClassVar[Literal["needed", "optional", "made"]] = "made"
    native_size: ClassVar[bool] = True
    factor: ClassVar[int]

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:
        del size  # pictures keep their own
        rgb = read_image(pair.hr)
        for scale in range(2, self.factor + 1):  # the official generator crops for 2, 3, 4 on the same array
            rgb = rgb[: rgb.shape[0] - rgb.shape[0] % scale, : rgb.shape[1] - rgb.shape[1] % scale]
        plane = luma_bt601(rgb)
        blurred = imresize(imresize(plane, 1.0 / self.factor), float(self.factor))
        return Sample(to_network(blurred, 255.0), plane)

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        return to_pixels(output * np.float32(255.0))

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:
        own = shave(np.clip(picture, 0.0, 255.0), self.factor)
        target = shave(sample.target, self.factor)
        return Score(psnr(own, target), ssim_gaussian(own, target))


@protocol("vdsr_multisize", "VDSR at native sizes, scale 4: MATLAB bicubic made from --hr (official eval.py)")
class VdsrMultiSizeX4(_MultiSize):
    """The published 31.464 dB on Set5."""

    factor = 4


@protocol("vdsr_multisize_x3", "VDSR at native sizes, scale 3 (official eval.py)")
class VdsrMultiSizeX3(_MultiSize):
    """The published 33.77 dB on Set5."""

    factor = 3


@protocol("vdsr_multisize_x2", "VDSR at native sizes, scale 2 (official eval.py)")
class VdsrMultiSizeX2(_MultiSize):
    """The published 37.65 dB on Set5."""

    factor = 2
