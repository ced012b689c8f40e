"""GPEN face restoration: degraded faces in, RGB PSNR against the ground truth.

Without --lr the faces are degraded here, seeded (see `degrade`); the published test set had no seed.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import resize
from vacc_deploy.evaluate.degrade import degrade_face
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


@protocol("gpen", "GPEN restoration: seeded blur, noise and JPEG, float output, RGB (zoo vsx_inference.py)")
class Gpen(EvaluationProtocol):
    """The zoo's ``vsx_inference.py``: bilinear to the network's size, output clipped and not rounded."""

    low_resolution: ClassVar[Literal["needed", "optional", "made"]] = "optional"
    default_size: ClassVar[tuple[int, int] | None] = (512, 512)

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        shape = size or (512, 512)
        high = read_image(pair.hr)
        low = self._degrade(high, pair.name, shape) if pair.lr is None else read_image(pair.lr)
        network_input = to_network(resize(low, shape, "bilinear_cv"), 255.0, 0.5, 0.5)
        return Sample(network_input, resize(high, shape, "bilinear_cv"))

    def _degrade(self, high: NDArray[np.uint8], name: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        del size  # the whole picture is degraded, then resized
        return degrade_face(high, name)

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels((output * np.float32(0.5) + np.float32(0.5)) * np.float32(255.0))

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
        return np.clip(picture, 0.0, 255.0)

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own = self._pixels(picture)
        return Score(psnr(own, sample.target), ssim_gaussian(own, sample.target))


@protocol("gpen_vamp", "GPEN restoration: as gpen, with the output truncated to 8 bits (zoo vamp_eval.py)")
class GpenVamp(Gpen):
    """The zoo's ``vamp_eval.py``."""

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.uint8]:
        return clip_truncate(picture)
