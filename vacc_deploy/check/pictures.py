"""The pictures that pre-processing is compared on when the user gives none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import resize
from vacc_deploy.errors import DataError
from vacc_deploy.safe_io import read_image

_SMALL = 8  # a face super-resolution network's pictures are 8 times smaller than its input


def sample_pictures(size: tuple[int, int]) -> list[tuple[str, NDArray[np.uint8]]]:
    """A portrait larger than most networks' inputs, and the same an eighth of `size` (height, width).

    Raises:
        DataError: scikit-image does not bring its pictures along.
    """
    from importlib.util import find_spec

    spec = find_spec("skimage")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    path = folder / "data" / "astronaut.png"
    if not path.is_file():
        raise DataError("scikit-image's sample picture is missing", hint="give a picture with --image")
    portrait = read_image(path)
    small = (max(1, size[0] // _SMALL), max(1, size[1] // _SMALL))
    return [
        ("astronaut", portrait),
        (f"astronaut at {small[0]}×{small[1]}", resize(portrait, small, "bicubic_pillow")),
    ]
