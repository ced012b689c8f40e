"""The pictures that pre-processing is compared on when the user gives none."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import resize
from vacc_deploy.data.sample_pictures import sample_pictures as installed_pictures
from vacc_deploy.safe_io import read_image

_SMALL = 8  # a face super-resolution network's pictures are 8 times smaller than its input


def sample_pictures(size: tuple[int, int]) -> list[tuple[str, NDArray[np.uint8]]]:
    """A portrait larger than most networks' inputs, and the same an eighth of `size` (height, width).

    Raises:
        DataError: scikit-image does not bring its pictures along.
    """
    portrait = _portrait()
    small = (max(1, size[0] // _SMALL), max(1, size[1] // _SMALL))
    return [("astronaut", portrait), ("astronaut, small", resize(portrait, small, "bicubic_pillow"))]


@functools.cache
def _portrait() -> NDArray[np.uint8]:
    return read_image(next(path for path in installed_pictures() if path.stem == "astronaut"))
