"""FSRNet: a face shrunk to an eighth and enlarged again is the network's input; scikit-image's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

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
from vacc_deploy.evaluate.ssim import ssim_uniform
from vacc_deploy.safe_io import read_image

_FINE = 2  # outputs: coarse, prior, fine
_SHRINK = 8


@protocol("fsrnet", "FSRNet: Pillow bicubic 16 to 128, fine output truncated, RGB (zoo vamp_eval)")
class Fsrnet(EvaluationProtocol):
    """The zoo's ``image2npz.py`` and ``vamp_eval.py``; low-resolution pictures given go the same way."""

    low_resolution: ClassVar[Literal["needed", "optional", "made"]] = "optional"
    default_size: ClassVar[tuple[int, int] | None] = (128, 128)
    kernel: ClassVar[ResizeMethod] = "bicubic_pillow"

    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:  # noqa: D102
        shape = size or (128, 128)
        small = resize(
            read_image(pair.lr or pair.hr), (shape[0] // _SHRINK, shape[1] // _SHRINK), self.kernel
        )
        low = resize(small, shape, self.kernel)
        target = resize(read_image(pair.hr), shape, "bicubic_pillow")
        return Sample(to_network(low.astype(np.float32) - np.float32(127.5), 127.5), target)

    def select(self, outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:  # noqa: D102
        return outputs[_FINE] if len(outputs) > _FINE else outputs[0]

    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: D102
        return to_pixels((output + np.float32(1.0)) * np.float32(127.5))

    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:  # noqa: D102
        own = clip_truncate(picture)
        return Score(psnr(own, sample.target), ssim_uniform(own, sample.target))


@protocol("fsrnet_vsx", "FSRNet: OpenCV bicubic without anti-aliasing, coarse output (zoo vsx_inference.py)")
class FsrnetVsx(Fsrnet):
    """The zoo's ``vsx_inference.py``, which reads output 0."""

    kernel: ClassVar[ResizeMethod] = "bicubic_cv"

    def select(self, outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:  # noqa: D102
        return outputs[0]
