"""LESRCNN by the zoo's two scripts: the whole picture squeezed to the network's size, RGB, no border cut."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import ResizeMethod, resize
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
from vacc_deploy.evaluate.psnr import psnr
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.safe_io import read_image


@protocol("lesrcnn_vamp", "LESRCNN at 128x128: INTER_AREA, RGB, output rounded to 8 bits (zoo vamp_eval.py)")
class LesrcnnVamp(EvaluationProtocol):
    """The zoo's ``vamp_eval.py`` on inputs shrunk with INTER_AREA, as its figures must have been."""

    default_size: ClassVar[tuple[int, int] | None] = (128, 128)
    input_resize: ClassVar[ResizeMethod] = "area_cv"
    target_resize: ClassVar[ResizeMethod] = "area_cv"

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        low = resize(read_image(pair.lr or pair.hr), size or (128, 128), self.input_resize)
        return Sample(to_network(low, 255.0), read_image(pair.hr))

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels(output * np.float32(255.0))

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.uint8] | NDArray[np.float32]:
        return clip_round(picture)

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own = self._pixels(picture)
        target = resize(sample.target, (picture.shape[0], picture.shape[1]), self.target_resize)
        return Score(psnr(own, target), ssim_gaussian(own, target))


@protocol("lesrcnn_vsx", "LESRCNN at 128x128: bilinear input as the run stream makes it, float output")
class LesrcnnVsx(LesrcnnVamp):
    """The zoo's ``vsx_inference.py``: the vdsp's bilinear input, ground truth bilinear, nothing rounded."""

    input_resize: ClassVar[ResizeMethod] = "bilinear_cv"
    target_resize: ClassVar[ResizeMethod] = "bilinear_cv"

    def _pixels(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(picture, 0.0, 255.0)


@protocol("lesrcnn_vsx_area", "LESRCNN at 128x128: as lesrcnn_vsx, with the input shrunk by INTER_AREA")
class LesrcnnVsxArea(LesrcnnVsx):
    """What the zoo recommends to align run stream and run model."""

    input_resize: ClassVar[ResizeMethod] = "area_cv"
