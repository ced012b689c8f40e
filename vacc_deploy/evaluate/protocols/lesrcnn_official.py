"""LESRCNN as its authors score it: native size, truncated output, limited-range 8-bit Y (tcw_sample.py).

A model compiled for one input size runs in overlapping tiles; tiles join exactly, but a picture smaller
than the tile is extended and differs a little near the extension.  Compile for the picture's own size where
the last hundredth of a dB counts.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import DataError
from vacc_deploy.evaluate.luma import luma_bt601_8bit
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.evaluate.protocol import (
    EvaluationProtocol,
    Sample,
    Score,
    clip_truncate,
    protocol,
    to_network,
    to_pixels,
)
from vacc_deploy.evaluate.psnr import psnr, shave
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.safe_io import read_image


@protocol(
    "lesrcnn_official", "LESRCNN at native sizes: truncated output, BT.601 Y, border cut (tcw_sample.py)"
)
class LesrcnnOfficial(EvaluationProtocol):
    """The paper's figures; the border cut is the scale."""

    native_size: ClassVar[bool] = True

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        del size  # pictures keep their own
        return Sample(to_network(read_image(pair.lr or pair.hr), 255.0), read_image(pair.hr))

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels(output * np.float32(255.0))

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        height, width = picture.shape[:2]
        target = sample.target[:height, :width]
        if target.shape != picture.shape:
            raise DataError(
                f"the model makes {width}x{height} pixels, the ground truth has "
                f"{sample.target.shape[1]}x{sample.target.shape[0]}",
                hint="the pictures are of another scale than the model",
            )
        border = round(height / sample.network_input.shape[2])  # the scale
        own = shave(luma_bt601_8bit(clip_truncate(picture)), border)
        reference = shave(luma_bt601_8bit(target), border)
        return Score(psnr(own, reference), ssim_gaussian(own, reference))
