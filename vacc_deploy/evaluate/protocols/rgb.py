"""The protocol of any other picture-to-picture model: its recipe's own processing, plain PSNR and SSIM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.color import luma
from vacc_deploy.data.resize import resize
from vacc_deploy.errors import ConfigError
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.evaluate.protocol import EvaluationProtocol, Sample, Score, clip_round, protocol, to_pixels
from vacc_deploy.evaluate.psnr import psnr
from vacc_deploy.evaluate.ssim import ssim_gaussian
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.safe_io import read_image


@protocol("rgb", "Any model: the recipe's pre- and post-processing, output rounded to 8 bits, no border cut")
class Rgb(EvaluationProtocol):
    """Input as the run stream makes it; ground truth resized to the output's size by OpenCV's bilinear.

    A model of one channel is scored on OpenCV's Y plane.  Without a recipe, x / 255 goes in and y · 255 out.
    """

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        recipe = self.preprocess or Preprocess(size=size or (0, 0))
        picture = read_image(pair.lr or pair.hr)
        resized = resize(picture, size or (picture.shape[0], picture.shape[1]), recipe.resize)
        values = _planes(resized, recipe.color).astype(np.float32) / np.float32(recipe.divisor)
        for numbers in (recipe.mean, recipe.std):
            if len(numbers) not in (0, 1, values.shape[0]):
                raise ConfigError(f"the recipe has {len(numbers)} means for {values.shape[0]} channels")
        if recipe.mean:
            values = values - _stored(recipe.mean)
        if recipe.std:
            values = values / _stored(recipe.std)
        return Sample(np.ascontiguousarray(values[np.newaxis], np.float32), read_image(pair.hr))

    @property
    def _output(self) -> Postprocess:
        return self.postprocess or Postprocess()

    def select(self, outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:  # noqa: D102
        return outputs[self._output.output]

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        values = output * np.float32(self._output.scale) + np.float32(self._output.shift)
        return to_pixels(values[::-1] if self._output.color == "bgr" else values)

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own = clip_round(picture)
        target = resize(sample.target, (own.shape[0], own.shape[1]), "bilinear_cv")
        if own.ndim == 2:
            target = luma(target)
        return Score(psnr(own, target), ssim_gaussian(own, target))


def _stored(numbers: tuple[float, ...]) -> NDArray[np.float32]:
    """Mean or std as the card stores it, in fp16, one per channel."""
    return np.asarray(numbers, np.float16).astype(np.float32).reshape(-1, 1, 1)


def _planes(rgb: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """C×H×W in the recipe's colour."""
    if color == "y":
        return luma(rgb)[np.newaxis]
    ordered = rgb[:, :, ::-1] if color == "bgr" else rgb
    return ordered.transpose(2, 0, 1)
