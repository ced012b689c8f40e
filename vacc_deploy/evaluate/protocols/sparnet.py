"""SPARNet: a face shrunk to an eighth by Pillow's bicubic, enlarged again, restored; RGB, truncated output.

The network was trained on bicubic enlargement.  The vendor's run stream enlarges bilinearly instead, which
alone costs decibels; both are here, under their own names.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import ResizeMethod, resize
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
from vacc_deploy.evaluate.psnr import psnr
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.safe_io import read_image

_SHRINK = 8


@protocol("sparnet", "SPARNet: Pillow bicubic 16 to 128 as trained, output truncated to 8 bits, RGB")
class Sparnet(EvaluationProtocol):
    """Low-resolution pictures of one's own (16×16 PNGs) are enlarged; else the ground truth is shrunk.

    Ground truth of another size than the output is brought to it by Pillow's bicubic; Helen's fits already.
    """

    low_resolution: ClassVar[Literal["needed", "optional", "made"]] = "optional"
    default_size: ClassVar[tuple[int, int] | None] = (128, 128)
    enlarge: ClassVar[ResizeMethod] = "bicubic_pillow"

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        shape = size or (128, 128)
        target = resize(read_image(pair.hr), shape, "bicubic_pillow")
        source = target if pair.lr is None else read_image(pair.lr)
        small = resize(source, (shape[0] // _SHRINK, shape[1] // _SHRINK), "bicubic_pillow")
        return Sample(to_network(resize(small, shape, self.enlarge), 255.0, 0.5, 0.5), target)

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels((output * np.float32(0.5) + np.float32(0.5)) * np.float32(255.0))

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own = clip_truncate(picture)
        return Score(psnr(own, sample.target), ssim_gaussian(own, sample.target))


@protocol(
    "sparnet_vendor", "SPARNet: as sparnet, with the run stream's bilinear enlargement (zoo vsx_inference.py)"
)
class SparnetVendor(Sparnet):
    """OpenCV bilinear from 16×16, as the vendor's vdsp op does."""

    enlarge: ClassVar[ResizeMethod] = "bilinear_cv"
